package hook

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The ways in which a state is lost under an application that runs.
var losses = map[string]func(path string) error{
	"gone":                       os.Remove,
	"empty":                      func(path string) error { return os.Truncate(path, 0) },
	"blank":                      func(path string) error { return errors.Join(os.Remove(path), overwriteBlank(path)) },
	"overwritten by a blank one": overwriteBlank,
}

// overwriteBlank writes a state in which nothing is recorded into the file.
func overwriteBlank(path string) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	blank, err := state.Open(context.Background(), dir)
	if err == nil {
		err = blank.Close()
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, state.FileName))
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// loses loses the state, and opens the engine again.
func (s *system) loses(lose func(path string) error) {
	s.Helper()
	path := filepath.Join(s.root, engine.StateDir, state.FileName)
	if err := errors.Join(s.engine.Close(), lose(path)); err != nil {
		s.Fatal(err)
	}
	s.opensAgain()
}

func (s *system) opensAgain() {
	s.Helper()
	var err error
	if s.engine, err = engine.Open(s.Context(), s.options); err != nil {
		s.Fatal(err)
	}
}

func (s *system) hooks(kinds ...Kind) {
	s.Helper()
	for _, kind := range kinds {
		if err := s.run(kind); err != nil {
			s.Fatalf("%s: %v", kind, err)
		}
	}
}

// holds checks the OS side alone.
func (s *system) holds(hash string) {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "etc/shadow"))
	if err != nil || !strings.Contains(string(text), "admin:"+hash+":") {
		s.Errorf("shadow holds %q, %v; want %q", text, err, hash)
	}
}

// TestStateLostUnderAnOldMemory: the state is lost after root's change, and with it the value that
// the application remembers from its start. What the application then writes over its store while it
// stops does not count as a wish: it is never applied over root's change, at the stop or at any later
// start. Once the application has read its store, its changes count again.
func TestStateLostUnderAnOldMemory(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, config.StartAnyway) // the application starts, and remembers oldHash
			s.units = unit{Over: true}
			s.shadow(newHash)
			s.hooks(PostStart)
			s.both(newHash)
			s.loses(lose)
			if n := s.events("state-rebuilt"); n != 1 {
				t.Errorf("%d records of the loss, want 1", n)
			}
			s.hooks(PostStart)
			s.both(newHash)
			s.store.hash = oldHash // the application stops
			s.hooks(PostStop)
			s.holds(newHash)
			if m := s.memory(); m.Open == nil || m.Open.State != shadowsync.Conflict {
				t.Errorf("it is %+v, want a conflict", m.Open)
			}
			for range 2 { // and it starts twice without a decision
				s.hooks(PreStart)
				s.shadow(oldHash)
				s.units = unit{Active: true, For: time.Second}
				s.hooks(PostStart)
				s.holds(newHash)
				s.units = unit{Over: true}
				s.hooks(PostStop)
				s.holds(newHash)
			}
			req := shadowsync.Request{Evidence: shadowsync.Evidence{Prefer: shadowsync.OSSide}}
			if _, err := s.engine.Reconcile(t.Context(), "conductor", req); err != nil {
				t.Fatal(err)
			}
			s.both(newHash)
			s.hooks(PreStart)
			s.store.hash = thirdHash // its own user interface
			s.hooks(PostStop)
			s.both(thirdHash)
		})
	}
}

// TestStateLostAndThenAChange: the same, but root sets a password by PAM after the loss. It is the
// newest that is known, so the store gets it back.
func TestStateLostAndThenAChange(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, config.StartAnyway)
			s.units = unit{Over: true}
			s.shadow(thirdHash)
			s.hooks(PostStart)
			s.loses(lose)
			s.hooks(PostStart)
			s.note("admin", thirdHash)
			s.shadow(newHash)
			s.hooks(PostStart)
			s.both(newHash)
			s.store.hash = oldHash // older than what the present state knows
			s.hooks(PostStop)
			s.both(newHash)
			if m := s.memory(); m.Open != nil || m.WriteBacks != 1 {
				t.Errorf("it is %+v after %d write-backs", m.Open, m.WriteBacks)
			}
		})
	}
}

// TestRunningOnALostState: a process that has the lost state open learns that, whether it was
// replaced or overwritten, and decides nothing by what it knew.
func TestRunningOnALostState(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, config.StartAnyway)
			s.units = unit{Over: true}
			if name == "empty" {
				t.Skip("SQLite reads that as damage")
			}
			if err := lose(filepath.Join(s.root, engine.StateDir, state.FileName)); err != nil {
				t.Fatal(err)
			}
			s.shadow(newHash)
			for _, kind := range []Kind{PostStart, Settle, PostStop} {
				if err := s.run(kind); !Again(err) {
					t.Errorf("%s: %v", kind, err)
				}
			}
			if s.store.hash != oldHash {
				t.Errorf("the store holds %q", s.store.hash)
			}
			if err := s.engine.Close(); err != nil {
				t.Fatal(err)
			}
			s.opensAgain()
			if n := s.events("state-rebuilt"); n != 1 {
				t.Errorf("%d records of the loss, want 1", n)
			}
		})
	}
}

// TestAnnouncedInALostState: the change is journalled, so the store is written before anything else
// is recorded. The state must be asked before that, too.
func TestAnnouncedInALostState(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.units = unit{Over: true}
	s.shadow(newHash)
	snapshot, err := s.engine.Accounts.Read(t.Context(), []string{"admin"})
	if err != nil {
		t.Fatal(err)
	}
	change := shadowsync.Change{Account: "admin", OS: snapshot.Accounts["admin"].Credential, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByPAM}}
	if _, err := s.engine.Reconciler("conductor").Announce(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.State.Survey(t.Context(), "conductor", []string{"admin"}); err != nil { // it is remembered
		t.Fatal(err)
	}
	if err := losses["gone"](filepath.Join(s.root, engine.StateDir, state.FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.Reconciler("conductor").Reconcile(t.Context(), shadowsync.Request{Force: true}); !Again(err) {
		t.Errorf("it says %v", err)
	}
	if s.store.hash != oldHash {
		t.Errorf("the store holds %q", s.store.hash)
	}
}
