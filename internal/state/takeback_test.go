package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// hashed is a pair of one hash.
func hashed(hash string) shadowsync.Baseline {
	c := shadowsync.NoAgeing()
	c.Hash = hash
	return shadowsync.Baseline{OS: c, Store: c}
}

// moved records that an account's baseline moved from one hash to another.
func moved(t *testing.T, db *DB, from, to string) {
	t.Helper()
	next := hashed(to)
	tr := shadowsync.Transition{
		Account: "admin", Baseline: &next, Past: shadowsync.PastOf(hashed(from)),
		Displaced: []shadowsync.Entry{{Baseline: hashed(from), Replaced: time.Now()}},
		Events:    []shadowsync.Event{{At: time.Now(), Application: "conductor", Account: "admin", Action: "held"}},
	}
	if err := db.Commit(t.Context(), "conductor", []shadowsync.Transition{tr}); err != nil {
		t.Fatal(err)
	}
}

// TestTakeBack: a value that the account had only in a volatile copy may be what the application
// remembers. The state knows it once it takes writes again, whether it recorded more meanwhile or
// not.
func TestTakeBack(t *testing.T) {
	for name, more := range map[string]bool{"as it was copied": false, "it recorded more meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			h := &heldState{t, filled(t), filepath.Join(t.TempDir(), "held")}
			state := openIn(t, h.dir)
			moved(t, state, "$6$first", "$6$second")
			copied, err := h.open()
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			moved(t, copied, "$6$second", "$6$third")
			moved(t, copied, "$6$third", "$6$fourth")
			if more {
				if err := state.Audit(t.Context(), shadowsync.Event{Action: "more"}); err != nil {
					t.Fatal(err)
				}
				next, err := h.open()
				if err != nil {
					t.Fatal(err)
				}
				defer next.Close()
				if _, err := copied.Load(t.Context(), "conductor", nil); !errors.Is(err, ErrReplaced) {
					t.Errorf("the outdated copy is used: %v", err)
				}
			}
			if err := state.TakeBack(t.Context(), "/", h.held); err != nil {
				t.Fatal(err)
			}
			admin := load(t, state, nil).Accounts["admin"]
			if admin.Baseline == nil || admin.Baseline.OS.Hash != "$6$second" {
				t.Errorf("the baseline is %+v", admin.Baseline)
			}
			for _, hash := range []string{"$6$first", "$6$second", "$6$third", "$6$fourth"} {
				past := admin.Past.Add(shadowsync.PastOf(hashed(hash)))
				if len(past) != len(admin.Past) {
					t.Errorf("%s is not known", hash)
				}
			}
			if r := admin.Record; len(r) < 3 || r[0].OS.Hash != "$6$third" || r[1].OS.Hash != "$6$second" || r[2].OS.Hash != "$6$first" {
				t.Errorf("on record is %+v", r)
			}
			if n := h.records(func() (*DB, error) { return Open(t.Context(), h.dir) }); n != 3 {
				t.Errorf("the trail has %d records of the changes, want 3", n)
			}
			if _, err := state.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(h.held); !os.IsNotExist(err) {
				t.Errorf("the copies are still there: %v", err)
			}
		})
	}
}

// TestTakeBackCannot: while the state takes no writes, the copies stay.
func TestTakeBackCannot(t *testing.T) {
	h := newHeld(t)
	state := openIn(t, h.dir)
	if err := os.Rename(filepath.Join(h.dir, FileName), filepath.Join(h.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if err := state.TakeBack(t.Context(), "/", h.held); !errors.Is(err, ErrReplaced) {
		t.Errorf("it says %v", err)
	}
	if err := os.Rename(filepath.Join(h.dir, "away"), filepath.Join(h.dir, FileName)); err != nil {
		t.Fatal(err)
	}
	if n := h.records(h.open); n != 1 {
		t.Errorf("the copy has %d records, want 1", n)
	}
}
