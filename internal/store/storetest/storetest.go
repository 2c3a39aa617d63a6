// Package storetest is the conformance suite of credential stores: it tests in a driver's own tests
// that the driver does what shadowsync.CredentialStore and driver.Driver ask of it. A driver calls Run
// with a Fixture that makes stores of its kind, looks at them as the application does, and breaks them.
//
//	storetest.go  Fixture, Store and Run
//	reads.go      capabilities, reading, revision, watch
//	writes.go     compare-and-swap, creating, removing, names and values
//	failures.go   unavailable, malformed, slow, cancelled, restarted
//	writers.go    several writers, and one that is killed
//	file.go       makes a store that is one text file
package storetest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Fixture makes stores of one driver. Functions end the test themselves if they fail.
type Fixture struct {
	Driver driver.Driver
	// Make makes a store that holds these accounts, with values as the application keeps them, and
	// nothing else.
	Make func(t *testing.T, accounts map[string]string) Store
	// Value returns the n-th of many different values that the application takes. Nil: crypt(3) hashes.
	Value func(n int) string
	// Lacks reports whether the store cannot hold an account of that name, because of its syntax. Nil:
	// it holds every name.
	Lacks func(name string) bool
}

// Store is a store from the application's side.
type Store struct {
	Options driver.Options
	// Held returns the value that the application finds for an account.
	Held func(name string) (value string, there bool)
	// Set changes the value of an account that is there, as the application does.
	Set func(name, value string)
	// Break makes the store unavailable until mend is called.
	Break func() (mend func())
	// Spoil damages the content so that nobody can read it. Nil: that cannot happen.
	Spoil func()
	// Hang keeps every call waiting until release is called. Nil: a call of this driver waits for nobody.
	Hang func() (release func())
	// Restart restarts the server of the store. Nil: it has none.
	Restart func()
}

// patience is how long a test waits for what must come; only a test that fails waits for as long.
const patience = 30 * time.Second

// Run runs the suite. The process of a test that kills a writer runs it too, and ends within it:
// nothing may be made before it is called.
func Run(t *testing.T, f Fixture) {
	t.Helper()
	if f.Value == nil {
		f.Value = func(n int) string { return fmt.Sprintf("$6$saltsalt$%086d", n) }
	}
	if f.Lacks == nil {
		f.Lacks = func(string) bool { return false }
	}
	f.writeIfWriter(t)
	for _, test := range []struct {
		name string
		run  func(*stage)
	}{
		{"capabilities", capabilities},
		{"read", reads},
		{"revision", revision},
		{"watch", watch},
		{"persisted", persisted},
		{"compare and swap", comparesAndSwaps},
		{"a write that changes nothing", probe},
		{"create", create},
		{"delete", remove},
		{"missing account", missing},
		{"two writes for one account", twice},
		{"names", names},
		{"values", values},
		{"locked", locked},
		{"opaque", opaque},
		{"unavailable", unavailable},
		{"malformed", malformed},
		{"slow", slow},
		{"cancelled", cancelled},
		{"restart", restart},
		{"two writers", writers},
		{"killed writer", killed},
	} {
		t.Run(test.name, func(t *testing.T) {
			accounts := map[string]string{"admin": f.Value(1), "user222": f.Value(2)}
			s := &stage{T: t, f: f, Store: f.Make(t, accounts)}
			s.store = s.open()
			test.run(s)
		})
	}
}

// stage is one test with a store of the accounts admin and user222, which have the values 1 and 2.
type stage struct {
	*testing.T
	Store
	f     Fixture
	store shadowsync.CredentialStore
}

func (s *stage) open() shadowsync.CredentialStore {
	s.Helper()
	if err := s.f.Driver.Validate(s.Options); err != nil {
		s.Fatalf("Validate: %v", err)
	}
	store, err := s.f.Driver.Open(s.Context(), s.Options)
	if err != nil {
		s.Fatalf("Open: %v", err)
	}
	s.Cleanup(func() { _ = store.Close() })
	return store
}

// credential is the credential that a value of the application stands for.
func (s *stage) credential(value string) shadowsync.Credential {
	of := s.store.Capabilities()
	c := shadowsync.Credential{Hash: value}
	if !of.Opaque() {
		c.Hash, c.Locked = shadowsync.ParsePassword(value)
	}
	return shadowsync.Credential{}.With(c, of.Fields)
}

// nth is the credential of the n-th value.
func (s *stage) nth(n int) shadowsync.Credential { return s.credential(s.f.Value(n)) }

// moves is a write from one value to another.
func (s *stage) moves(name string, from, to int) shadowsync.Write {
	return shadowsync.Write{Name: name, Expect: s.expected(name, from), Want: s.expected(name, to)}
}

// expected is the n-th value with what else the store holds for the account.
func (s *stage) expected(name string, n int) shadowsync.Credential {
	held := s.read(name).Accounts[name].Credential
	return held.With(s.nth(n), shadowsync.FieldHash|shadowsync.FieldLocked)
}

func (s *stage) read(names ...string) shadowsync.StoreSnapshot {
	s.Helper()
	snapshot, err := s.store.Read(s.Context(), names)
	if err != nil {
		s.Fatalf("Read: %v", err)
	}
	return snapshot
}

func (s *stage) write(writes ...shadowsync.Write) shadowsync.Unwritten {
	s.Helper()
	left, err := s.store.Write(s.Context(), writes)
	if err != nil {
		s.Fatalf("Write: %v", err)
	}
	for name, why := range left {
		s.notTold(why)
		if !slices.ContainsFunc(writes, func(w shadowsync.Write) bool { return w.Name == name }) {
			s.Errorf("Write left %q, which it was not asked for", name)
		}
	}
	return left
}

// holds checks the n-th value of an account, as the application and as the driver see it.
func (s *stage) holds(name string, n int) {
	s.Helper()
	if value, there := s.Held(name); !there || value != s.f.Value(n) {
		s.Errorf("the application finds %q, %v for %s; want %q", value, there, name, s.f.Value(n))
	}
	if got := s.read(name).Accounts[name]; got.Hash != s.nth(n).Hash || got.Locked != s.nth(n).Locked {
		s.Errorf("Read finds %q for %s; want %q", got.Hash, name, s.nth(n).Hash)
	}
}

// untouched checks that both accounts are as they were made.
func (s *stage) untouched() {
	s.Helper()
	s.holds("admin", 1)
	s.holds("user222", 2)
}

// notTold checks that an error tells no value: it is printed.
func (s *stage) notTold(err error) {
	s.Helper()
	if err == nil {
		return
	}
	for n := range 10 {
		if strings.Contains(err.Error(), s.f.Value(n)) {
			s.Errorf("an error tells a value: %v", err)
		}
	}
}

// faulty checks the error of a store as a whole.
func (s *stage) faulty(call string, err, kind error) {
	s.Helper()
	s.notTold(err)
	fault := (*driver.Fault)(nil)
	if !errors.Is(err, kind) || !errors.As(err, &fault) {
		s.Errorf("%s: %v, want a driver.Fault of the kind %q", call, err, kind)
	}
}

func isRefused(err error) bool {
	refused := (*shadowsync.RefusedError)(nil)
	return errors.As(err, &refused)
}

// variable tells the process of a killed writer its store.
const variable = "SHADOWSYNC_STORETEST"

func (f Fixture) writeIfWriter(t *testing.T) {
	if told := os.Getenv(variable); told != "" {
		f.writeForEver(t, told)
	}
}
