// Package enginetest is an engine in a test: of a system with one account and a credential store in
// memory.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Store is a credential store in memory, with the fields of one that keeps crypt(3) hashes.
type Store struct {
	mu      sync.Mutex
	Records map[string]shadowsync.Credential
	Looked  func() // runs after each Read, which does not see what it changes
	Probed  func() // runs after it was asked whether it can be written
	Err     error  // of every write but those probes
	Refuses string // the reason to refuse such writes
	Hangs   bool   // no question gets an answer
}

// enter waits for ever if the store hangs.
func (s *Store) enter(ctx context.Context) error {
	s.mu.Lock()
	hangs := s.Hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return ctx.Err()
}

const held = shadowsync.FieldHash | shadowsync.FieldLocked

// Capabilities are those of a store with crypt(3) hashes.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: held}
}

// Revision is another one after each write.
func (s *Store) Revision(ctx context.Context) (string, error) {
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.Records), nil
}

// Read returns its records.
func (s *Store) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	if err := s.enter(ctx); err != nil {
		return shadowsync.StoreSnapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot := shadowsync.StoreSnapshot{Revision: fmt.Sprint(s.Records), Accounts: map[string]shadowsync.StoredAccount{}}
	for _, name := range names {
		if c, ok := s.Records[name]; ok {
			snapshot.Accounts[name] = shadowsync.StoredAccount{Credential: c}
		}
	}
	if s.Looked != nil {
		s.Looked()
	}
	return snapshot, nil
}

// Write sets records, or fails as Err and Refuses say.
func (s *Store) Write(_ context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := shadowsync.Unwritten{}
	for _, w := range writes {
		switch {
		case w.Probes():
			if s.Probed != nil {
				s.Probed()
			}
		case s.Err != nil:
			return nil, s.Err
		case s.Refuses != "":
			failed[w.Name] = &shadowsync.RefusedError{Reason: s.Refuses}
		default:
			s.Records[w.Name] = shadowsync.NoAgeing().With(w.Want, held)
		}
	}
	return failed, nil
}

// Watch reports nothing.
func (s *Store) Watch(context.Context) (<-chan struct{}, error) { return nil, nil }

// Close does nothing.
func (s *Store) Close() error { return nil }

// Guard remembers the accounts for which units were guarded.
type Guard struct {
	engine.NoGuard
	mu    sync.Mutex
	Names []string
}

// Set guards a unit for accounts.
func (g *Guard) Set(_ context.Context, _, _ string, accounts []string, _ ...string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Names = append(g.Names, accounts...)
	return nil
}

// System is an engine for one account, "user", that is in sync.
type System struct {
	*engine.Engine
	Held    *Store            // the credential store
	Further map[string]*Store // other stores of the application, by their names
	Guarded *Guard
	Mails   Mails
	t       *testing.T
	dir     string
}

// What the account's password may be.
const (
	FormerHash = "$6$former$hash" // at first, on both sides
	OtherHash  = "$6$other$hash"
	RootsHash  = "$6$roots$hash"
)

// ErrGone is the error of a store that is not there.
var ErrGone = fmt.Errorf("the store: %w", shadowsync.ErrUnavailable)

// Open makes a system in a folder of its own. Settings are added to its configuration.
func Open(t *testing.T, settings string) *System {
	t.Helper()
	return open(t, settings, "", jsonTable("/store.json"))
}

// OpenSeveral is Open with more stores, which have these names.
func OpenSeveral(t *testing.T, names ...string) *System {
	t.Helper()
	tables := jsonTable("/store.json")
	for _, name := range names {
		tables += fmt.Sprintf("[[application.store]]\nstore_name = %q\n%s", name, jsonTable("/"+name+".json"))
	}
	return open(t, "", "", tables)
}

func jsonTable(path string) string {
	return fmt.Sprintf("driver = \"json\"\npath = %q\nusers = \"\"\nname = \"name\"\npassword = \"password\"\nformats = [\"sha512crypt\"]\n", path)
}

// OpenOwn is Open with a store whose values are of the application's own scheme, mosquitto's. Settings
// are added to the application.
func OpenOwn(t *testing.T, settings string) *System {
	t.Helper()
	return open(t, "", settings, "driver = \"passwdfile\"\npath = \"/store\"\nformat = \"mosquitto\"\ncost = 1000\n")
}

// OpenNT is OpenOwn with NT hashes.
func OpenNT(t *testing.T) *System {
	t.Helper()
	return open(t, "", "", ntTable)
}

const ntTable = "driver = \"passwdfile\"\npath = \"/store\"\nformat = \"freeradius\"\nscheme = \"nt\"\n"

// OpenBesideNT is Open with a further store, "radius", with NT hashes.
func OpenBesideNT(t *testing.T) *System {
	t.Helper()
	return open(t, "", "", jsonTable("/store.json")+"[[application.store]]\nstore_name = \"radius\"\n"+ntTable)
}

func open(t *testing.T, settings, application, table string) *System {
	t.Helper()
	s := &System{t: t, dir: t.TempDir(), Guarded: &Guard{}, Held: newStore(), Further: map[string]*Store{}}
	for name, text := range map[string]string{"passwd": "user:x:1000:1000::/:/bin/sh\n", "group": "user:x:1000:\n"} {
		s.Write(name, text)
	}
	s.Sets(FormerHash)
	c, err := config.Parse([]byte(settings + "[[application]]\nname = \"app\"\nunit = \"a.service\"\naccounts = [\"user\"]\n" +
		application + "[[application.store]]\n" + table))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.Applications {
		s.Further[a.StoreName] = newStore()
	}
	s.Engine, err = engine.Open(t.Context(), engine.Options{
		Root: s.dir, Config: c, Program: "test", StoreTimeout: time.Second, Guard: s.Guarded, SendMail: s.Mails.send,
		OpenStore: func(_ context.Context, a config.Application, _ store.Options) (shadowsync.CredentialStore, error) {
			if a.First() {
				return s.Held, nil
			}
			return s.Further[a.StoreName], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Settle()
	return s
}

func newStore() *Store {
	return &Store{Records: map[string]shadowsync.Credential{"user": shadowsync.NoAgeing().With(shadowsync.Credential{Hash: FormerHash}, held)}}
}

// Write writes a file of /etc.
func (s *System) Write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "etc", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// Sets sets the OS side's password as any program may.
func (s *System) Sets(hash string) {
	s.t.Helper()
	s.Write("shadow", "user:"+hash+":20000::::::\n")
}

// Settle reconciles.
func (s *System) Settle() {
	s.t.Helper()
	for _, h := range s.Config.Applications {
		if _, err := s.Reconcile(s.t.Context(), h.Name, shadowsync.Request{Force: true}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Present is the account as the OS has it.
func (s *System) Present() shadowsync.Account {
	s.t.Helper()
	snapshot, err := s.Accounts.Read(s.t.Context(), []string{"user"})
	account, there := snapshot.Accounts["user"]
	if err != nil || !there {
		s.t.Fatalf("there %v, %v", there, err)
	}
	return account
}

// OnRecord is what the state records about the account.
func (s *System) OnRecord() shadowsync.AccountMemory {
	s.t.Helper()
	memory, err := s.State.Load(s.t.Context(), "app", []string{"user"})
	if err != nil {
		s.t.Fatal(err)
	}
	return memory.Accounts["user"]
}

// Holds checks the hashes of both sides.
func (s *System) Holds(os, store string) {
	s.t.Helper()
	s.Held.mu.Lock()
	defer s.Held.mu.Unlock()
	if got := s.Held.Records["user"]; got.Password() != store {
		s.t.Errorf("the store holds %q, want %q", got.Password(), store)
	}
	if got := s.Present(); got.Password() != os {
		s.t.Errorf("the OS holds %q, want %q", got.Password(), os)
	}
}

// Audited reports whether the trail has a record of that action whose reason begins with the given
// text.
func (s *System) Audited(action, reason string) bool {
	s.t.Helper()
	for r, err := range s.State.Trail(s.t.Context(), state.Query{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if r.Event.Action == action && strings.HasPrefix(r.Event.Reason, reason) {
			return true
		}
	}
	return false
}
