package broker

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestAnnouncedAccountOfLDAP: for a listed account whose password is elsewhere, passwd prints no
// promise and nothing is queued; for an account that is not listed it prints nothing.
func TestAnnouncedAccountOfLDAP(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "somebody", "ldapuser", "")
	peer := socket.Peer{PID: os.Getpid()}
	if got, _ := b.pamChanged(t.Context(), b.engine.Load(), peer, "ldapuser", nil); !strings.Contains(got.Text, "NOT persisted (its password is not in /etc/shadow)") {
		t.Errorf("it says %q", got)
	}
	if got, _ := b.pamChanged(t.Context(), b.engine.Load(), peer, "nobody", nil); got != says("") {
		t.Errorf("of an account that is not listed it says %q", got)
	}
	memory, err := b.engine.Load().State.Load(t.Context(), b.engine.Load().Config.Applications[0].Name, nil)
	if err != nil || len(memory.Accounts) != 0 {
		t.Errorf("on record: %+v, %v", memory.Accounts, err)
	}
}

// announcing is a broker, which is not running yet, of a system with one account, "user".
func announcing(t *testing.T) (*Broker, *enginetest.System) {
	t.Helper()
	s := enginetest.Open(t, "")
	return brokerFor(t, s), s
}

// brokerFor is a broker of a system, which is not running yet.
func brokerFor(t *testing.T, s *enginetest.System) *Broker {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b := &Broker{dialogues: &operators.Dialogues{}, log: log, writers: &writers{path: shadowPath(s.Engine)}}
	b.engine.Store(s.Engine)
	b.keepers = map[string]*keeper.Keeper{}
	for _, a := range s.Config.Applications {
		k := keeper.New(b.engine.Load, a, func() {}, log)
		b.keepers[a.Name] = k
		t.Cleanup(k.Wait)
	}
	return b
}

// written returns who changed the shadow file, after the watch reported this process.
func (b *Broker) written(t *testing.T) shadowsync.Origin {
	t.Helper()
	file, err := watch.FileAt(b.writers.path)
	if err != nil {
		t.Fatal(err)
	}
	b.writers.saw(watch.Write{PID: os.Getpid(), File: file})
	by, _ := b.witness("a.service")()
	return by
}

// TestAnnouncedByAWorker: a worker's change that the PAM module announces counts as the operator's,
// at the present time; not as the worker's, whose real uid may be root's.
func TestAnnouncedByAWorker(t *testing.T) {
	b, s := announcing(t)
	peer := socket.Peer{PID: os.Getpid()}
	unit := who(b.engine.Load(), peer).Unit
	given := time.Now()
	uid := 1001
	e := b.errands.Begin(unit, shadowsync.Origin{At: given.Add(-time.Minute), SeenBy: shadowsync.SeenByPcli, By: "admin", UID: &uid})
	s.Held.Err = enginetest.ErrGone
	s.Sets(enginetest.OtherHash)
	if by := b.written(t); by.By != "admin" || by.SeenBy != shadowsync.SeenByWatch {
		t.Errorf("the watch takes it for the change of %+v", by)
	}
	if said, _ := b.pamChanged(t.Context(), b.engine.Load(), peer, "user", nil); said != says("") {
		t.Errorf("the worker is told %q", said)
	}
	open := s.OnRecord().Open
	if open == nil || open.Origin.By != "admin" || open.Origin.SeenBy != shadowsync.SeenByPcli || !open.Origin.At.After(given) {
		t.Fatalf("on record: %+v", open)
	}
	if len(s.Guarded.Names) > 0 {
		t.Errorf("guarded for %q", s.Guarded.Names)
	}
	if due, err := s.State.Logouts(t.Context(), "app"); err != nil || len(due) > 0 {
		t.Errorf("sessions are to end: %+v, %v", due, err)
	}
	if hash, all := e.Result(); hash != enginetest.OtherHash || len(all) != 1 || all[0].State != shadowsync.Pending {
		t.Errorf("the dialogue knows of %q, %+v", hash, all)
	}
	s.Held.Err = nil
	s.Settle()
	if m := s.OnRecord(); m.Open != nil || m.LastChange == nil || !m.LastChange.At.After(given) {
		t.Errorf("the change is not in force: %+v", m)
	}
}
