package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/state"
)

// enrols begins the enrolment of an account: its secret is sealed, with a key that is made if there is none.
func (w *world) enrols() {
	w.t.Helper()
	db, err := state.Open(w.t.Context(), w.system.Dir)
	w.must(err)
	f := factor.Factors{Store: unlisted{db}, Key: w.system.Key, Now: time.Now, Boot: func() (string, time.Duration) { return "", 0 }}
	_, err = f.Begin(w.t.Context(), factor.Beginning{Subject: factor.Subject{Realm: factor.Local, Account: "admin"}, ByRoot: true})
	w.must(errors.Join(err, db.Close()))
}

// unlisted is a state without the list of enrolled accounts.
type unlisted struct{ *state.DB }

func (u unlisted) ChangeFactor(ctx context.Context, s factor.Subject, change func(factor.Record) (factor.Change, error)) error {
	return u.DB.ChangeFactor(ctx, s, change, func([]factor.Record, bool) error { return nil })
}

// TestKeyOfTheFactors: a restore leaves a key that opens every secret, and one that fails leaves the key
// as it was: a damaged one to the byte, for whoever can mend it.
func TestKeyOfTheFactors(t *testing.T) {
	another := bytes.Repeat([]byte{7}, factor.KeySize)
	for name, tt := range map[string]struct {
		present []byte // nil: none
		stays   bool   // after a restore
	}{
		"missing": {},
		"damaged": {present: []byte("half of it")},
		"another": {present: another, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file, path := filepath.Join(w.base, "backup"), w.system.Key.(factor.KeyFile).Name
			w.live("backed-up")
			w.enrols()
			sealed, err := w.system.Key.Get()
			w.must(err)
			w.must(w.backup(t.Context(), file))
			w.must(os.Remove(path))
			if tt.present != nil {
				w.must(os.WriteFile(path, tt.present, 0o600))
			}

			ctx, cancel := context.WithCancel(t.Context())
			w.system.Probe = func(at string) {
				if at == StepWritten {
					cancel()
				}
			}
			if err := w.restore(ctx, file); err == nil {
				t.Fatal("it did not fail")
			}
			if key, err := os.ReadFile(path); tt.present != nil && !bytes.Equal(key, tt.present) {
				t.Errorf("after a failure the key is %q, %v", key, err)
			} else if tt.present == nil && !errors.Is(err, fs.ErrNotExist) && !bytes.Equal(key, sealed) {
				t.Errorf("after a failure there is a key %q, %v", key, err)
			}
			if left := w.kept(); left != nil {
				t.Errorf("kept, with nothing replaced: %q", left)
			}

			w.system.Probe = nil
			w.must(w.restore(t.Context(), file))
			key, err := w.system.Key.Get()
			if stays := bytes.Equal(key, tt.present); err != nil || stays != tt.stays || !stays && !bytes.Equal(key, sealed) {
				t.Errorf("the key is %q, %v", key, err)
			}
			w.opensAll()
			if kept, err := os.ReadFile(filepath.Join(w.kept()[0], damagedKey)); name == "damaged" && !bytes.Equal(kept, tt.present) {
				t.Errorf("of the damaged key it kept %q, %v", kept, err)
			}
		})
	}
}

// opensAll checks that the key opens every secret, of which there is one.
func (w *world) opensAll() {
	w.t.Helper()
	db, err := state.Open(w.t.Context(), w.system.Dir)
	w.must(err)
	all, err := db.Factors(w.t.Context())
	w.must(errors.Join(err, db.Close()))
	if left, err := factor.Unopened(w.system.Key, all); err != nil || len(left) > 0 || len(all) != 1 || len(all[0].Secret) == 0 {
		w.t.Errorf("the key does not open %q of %d, %v", left, len(all), err)
	}
}
