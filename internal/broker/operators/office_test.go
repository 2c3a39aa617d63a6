package operators

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// office serves the operators of a system with one account, "user"; an administrator uses it.
type office struct {
	*enginetest.System
	operators *Server
	call      *call
	shell     *socket.Conn // the administrator's end of the call
}

func openOffice(t *testing.T, settings string) *office {
	t.Helper()
	f := &office{System: enginetest.Open(t, settings)}
	log := slog.New(slog.DiscardHandler)
	present := func() *engine.Engine { return f.Engine }
	k := keeper.New(present, f.Config.Applications[0], func() {}, log)
	f.operators = New(Options{
		Engine: present, Keepers: map[string]*keeper.Keeper{"app": k}, Dialogues: &Dialogues{}, Errands: &Errands{}, Log: log, Life: t.Context(),
	}).with(f.Engine)
	uid := 1001
	ours, theirs, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	f.shell, err = socket.FromFile(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	f.call = &call{conn: ours, request: operator.Request{Op: operator.OpEditUser, User: "user"}, asker: asker{name: "admin", realm: factor.Local, uid: uid, role: operator.RoleAdmin, scope: []string{"app"}, origin: shadowsync.Origin{
		At: time.Now().Add(-time.Minute), SeenBy: shadowsync.SeenByPcli, By: "admin", UID: &uid,
	}}}
	t.Cleanup(func() {
		k.Wait()
		_ = errors.Join(ours.Close(), f.shell.Close())
	})
	return f
}
