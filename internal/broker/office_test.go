package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/watch"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// heldStore is a credential store in memory, with the fields of one that keeps crypt(3) hashes.
type heldStore struct {
	mu      sync.Mutex
	records map[string]shadowsync.Credential
	probed  func() // runs after it was asked whether it can be written
	err     error  // of every write but those
	refuses string // likewise
}

const heldFields = shadowsync.FieldHash | shadowsync.FieldLocked

func (s *heldStore) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: heldFields}
}

func (s *heldStore) Revision(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.records), nil
}

func (s *heldStore) Read(_ context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := shadowsync.StoreSnapshot{Revision: fmt.Sprint(s.records), Records: map[string]shadowsync.StoreRecord{}}
	for _, name := range names {
		if c, ok := s.records[name]; ok {
			snapshot.Records[name] = shadowsync.StoreRecord{Credential: c}
		}
	}
	return snapshot, nil
}

func (s *heldStore) Write(_ context.Context, writes []shadowsync.Write) (map[string]error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := map[string]error{}
	for _, w := range writes {
		switch {
		case w.Probes():
			if s.probed != nil {
				s.probed()
			}
		case s.err != nil:
			return nil, s.err
		case s.refuses != "":
			failed[w.Name] = &shadowsync.RefusedError{Reason: s.refuses}
		default:
			s.records[w.Name] = shadowsync.NoAgeing().With(w.Want, heldFields)
		}
	}
	return failed, nil
}

func (s *heldStore) Watch(context.Context) (<-chan struct{}, error) { return nil, nil }
func (s *heldStore) Close() error                                   { return nil }

// guarded remembers for whose sake units were held back.
type guarded struct {
	mu    sync.Mutex
	names []string
}

func (g *guarded) Set(_ context.Context, _ string, accounts []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = append(g.names, accounts...)
	return nil
}

// office is a broker for one account, "user", that is in sync, and an administrator at it.
// What else its configuration says is settings.
type office struct {
	*Broker
	t         *testing.T
	root      string
	held      *heldStore
	guarded   *guarded
	operators *operators
	call      *call
	shell     *socket.Conn // the administrator's end of the call
}

const (
	formerHash = "$6$former$hash"
	otherHash  = "$6$other$hash"
	rootsHash  = "$6$roots$hash"
)

func openOffice(t *testing.T, settings string) *office {
	t.Helper()
	f := &office{t: t, root: t.TempDir(), guarded: &guarded{}}
	f.held = &heldStore{records: map[string]shadowsync.Credential{"user": shadowsync.NoAgeing().With(shadowsync.Credential{Hash: formerHash}, heldFields)}}
	for name, text := range map[string]string{"passwd": "user:x:1000:1000::/:/bin/sh\n", "group": "user:x:1000:\n"} {
		f.write(name, text)
	}
	f.sets(formerHash)
	c, err := config.Parse([]byte(settings + "[[application]]\nname = \"app\"\nunit = \"a.service\"\naccounts = [\"user\"]\n" +
		"[application.store]\ndriver = \"json\"\npath = \"/store.json\"\nusers = \"\"\nname = \"name\"\npassword = \"password\"\nformats = [\"sha512crypt\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), engine.Options{
		Root: f.root, Config: c, Program: "test", StoreTimeout: time.Second, Guard: f.guarded,
		OpenStore: func(context.Context, config.Application, store.Options) (shadowsync.CredentialStore, error) {
			return f.held, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	k := newKeeper(e, c.Applications[0], func() {}, log)
	f.Broker = &Broker{dialogues: &dialogues{}, log: log, writers: &writers{path: shadowPath(e)}, keepers: map[string]*keeper{"app": k}}
	f.engine.Store(e)
	f.operators = &operators{engine: e, kept: newKept(), keepers: f.keepers, dialogues: f.dialogues, errands: &f.errands, log: log, life: t.Context()}
	uid := 1001
	ours, theirs, err := socket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	f.shell, err = socket.FromFile(theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	f.call = &call{conn: ours, request: operator.Request{Op: operator.OpEditUser, User: "user"}, asker: asker{name: "admin", uid: uid, role: operator.RoleAdmin, origin: shadowsync.Origin{
		At: time.Now().Add(-time.Minute), SeenBy: shadowsync.SeenByPcli, By: "admin", UID: &uid,
	}}}
	t.Cleanup(func() {
		k.background.Wait()
		_ = errors.Join(e.Close(), ours.Close(), f.shell.Close())
	})
	f.reconcile()
	return f
}

func (f *office) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.root, "etc", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

// sets sets the OS side's password past us.
func (f *office) sets(hash string) {
	f.t.Helper()
	f.write("shadow", "user:"+hash+":20000::::::\n")
}

// written is who the watch takes for the writer of what this process has written.
func (f *office) written() shadowsync.Origin {
	f.t.Helper()
	file, err := watch.FileAt(f.writers.path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.writers.saw(watch.Write{PID: os.Getpid(), File: file})
	by, _ := f.witness("a.service")()
	return by
}

func (f *office) reconcile() {
	f.t.Helper()
	if _, err := f.engine.Load().Reconcile(f.t.Context(), "app", shadowsync.Request{Force: true}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *office) present() shadowsync.Account {
	f.t.Helper()
	account, err := f.operators.present(f.t.Context(), "user")
	if err != nil {
		f.t.Fatal(err)
	}
	return account
}

func (f *office) onRecord() shadowsync.AccountMemory {
	f.t.Helper()
	memory, err := f.engine.Load().State.Load(f.t.Context(), "app", []string{"user"})
	if err != nil {
		f.t.Fatal(err)
	}
	return memory.Accounts["user"]
}

// holds asserts what both sides have.
func (f *office) holds(os, store string) {
	f.t.Helper()
	f.held.mu.Lock()
	defer f.held.mu.Unlock()
	if got := f.held.records["user"]; got.Password() != store {
		f.t.Errorf("the store holds %q, want %q", got.Password(), store)
	}
	if got := f.present(); got.Password() != os {
		f.t.Errorf("the OS holds %q, want %q", got.Password(), os)
	}
}

// audited tells whether a record of that action is in the trail, whose reason begins like that.
func (f *office) audited(action, reason string) bool {
	f.t.Helper()
	for r, err := range f.engine.Load().State.Audit(f.t.Context(), state.Query{}) {
		if err != nil {
			f.t.Fatal(err)
		}
		if r.Event.Action == action && strings.HasPrefix(r.Event.Reason, reason) {
			return true
		}
	}
	return false
}

var errGone = fmt.Errorf("the store: %w", shadowsync.ErrUnavailable)
