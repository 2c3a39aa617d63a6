package state

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// records counts the audit's records of an action in a volatile copy, or in a glimpse of it.
func (h *heldState) records(open func() (*DB, error)) int {
	h.Helper()
	db, err := open()
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	n := 0
	for r, err := range db.Trail(h.Context(), Query{}) {
		if err != nil {
			h.Fatal(err)
		}
		if r.Event.Action == "held" {
			n++
		}
	}
	return n
}

// heldState is a state on a disk that takes no writes, and the folder of its copies.
type heldState struct {
	*testing.T
	dir, held string
}

func (h *heldState) open() (*DB, error) {
	db, in, err := OpenVolatile(h.Context(), "/", h.dir, h.held)
	if err == nil && filepath.Dir(in) != h.held {
		h.Errorf("the copy is in %q", in)
	}
	return db, err
}

func (h *heldState) glimpse() (*DB, error) { return Glimpse(h.Context(), "/", h.dir, h.held) }

func newHeld(t *testing.T) *heldState {
	h := &heldState{t, filled(t), filepath.Join(t.TempDir(), "held")}
	db, err := h.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Audit(t.Context(), shadowsync.Event{Action: "held"}); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHeldCopy: what one process records in a volatile copy, the next one finds. If the state itself
// records more, its next copy takes over what the last one has; so does the state in the end.
func TestHeldCopy(t *testing.T) {
	h := newHeld(t)
	if n, m := h.records(h.open), h.records(h.glimpse); n != 1 || m != 1 {
		t.Fatalf("%d and %d records are found, want 1", n, m)
	}
	state, err := Open(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Audit(t.Context(), shadowsync.Event{Action: "more"}); err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	if n, m := h.records(h.open), h.records(h.glimpse); n != 1 || m != 1 {
		t.Errorf("the next copy has %d and %d records, want 1", n, m)
	}
	if all, err := os.ReadDir(h.held); err != nil || len(all) != 1 {
		t.Errorf("%d copies are kept, %v", len(all), err)
	}
	for range 2 { // the second time there is nothing to do
		if err := state.TakeBack(t.Context(), "/", h.held); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.records(func() (*DB, error) { return Open(t.Context(), h.dir) }); n != 1 {
		t.Errorf("the state has %d records, want 1", n)
	}
	if _, err := os.Lstat(h.held); !os.IsNotExist(err) {
		t.Errorf("the copies are still there: %v", err)
	}
}

// TestHeldCopyOfGarbage: a malformed copy is made anew.
func TestHeldCopyOfGarbage(t *testing.T) {
	h := newHeld(t)
	all, err := filepath.Glob(filepath.Join(h.held, "*", FileName))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := os.WriteFile(all[0], []byte("garbage, not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func() (*DB, error){h.glimpse, h.open} {
		db, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Load(t.Context(), "conductor", nil); err != nil {
			t.Error(err)
		}
		db.Close()
	}
}

// TestHeldCopyWithoutRoom: without room the copy is in memory.
func TestHeldCopyWithoutRoom(t *testing.T) {
	held := filepath.Join(t.TempDir(), "held")
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db, in, err := OpenVolatile(t.Context(), "/", filled(t), held)
	if err != nil || in != "" {
		t.Fatalf("in %q: %v", in, err)
	}
	defer db.Close()
	if err := db.Audit(t.Context(), shadowsync.Event{Action: "more"}); err != nil {
		t.Error(err)
	}
}

// TestGlimpseOfNone: looking at a state that does not exist creates none. The process that
// rebuilds it would otherwise not see that it was lost.
func TestGlimpseOfNone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	db, err := Glimpse(t.Context(), "/", dir, filepath.Join(t.TempDir(), "held"))
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("there is a state: %v", err)
	}
}
