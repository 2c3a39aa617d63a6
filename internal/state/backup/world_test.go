package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// striking in the environment turns the test binary into a restore that is killed: "DIR STEP".
const striking = "SHADOWSYNC_TEST_STRIKE"

func TestMain(m *testing.M) {
	if what, ok := os.LookupEnv(striking); ok {
		base, step, _ := strings.Cut(what, " ")
		w := world{system: systemIn(base), base: base}
		w.system.Probe = func(at string) {
			if at == step {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
				select {}
			}
		}
		fmt.Println(w.restore(context.Background(), filepath.Join(base, "backup")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// world is a machine: a state and two embedded stores.
type world struct {
	t      *testing.T
	system System
	base   string
	key    *age.X25519Identity
	done   Swapped // of the last restore
}

func systemIn(base string) System {
	s := System{Root: "/", Dir: filepath.Join(base, "lib", "state"), Key: factor.KeyFile{Root: "/", Name: filepath.Join(base, "lib", "factor.key")}}
	var err error
	if s.Folder, err = inroot.OpenFolder("/", s.Dir); err != nil {
		panic(err)
	}
	for _, name := range []string{"one", "two"} {
		o := store.Options{Driver: "sqlite", Path: filepath.Join(base, "lib", name+".db")}
		d, err := store.Find(o.Driver)
		if err != nil {
			panic(err)
		}
		s.Stores = append(s.Stores, Store{
			Application: name, Image: d.Image,
			Make: func(ctx context.Context) (func() error, error) {
				return func() error { return nil }, d.Prepare(ctx, o)
			},
			Open: func(ctx context.Context) (driver.Embedded, error) {
				opened, err := d.Open(ctx, o)
				if err != nil {
					return nil, err
				}
				return opened.(driver.Embedded), nil
			},
		})
	}
	return s
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, base: t.TempDir()}
	w.system = systemIn(w.base)
	if err := state.Prepare("/", w.system.Dir); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.system.Stores {
		if _, err := s.Make(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func rows(value string) []driver.Row {
	c := shadowsync.Credential{Hash: "$6$salt$" + value, LastChange: 20000, Min: shadowsync.NoDay, Max: shadowsync.NoDay, Warn: shadowsync.NoDay, Inactive: shadowsync.NoDay, Expire: shadowsync.NoDay}
	return []driver.Row{{Name: "admin", StoredAccount: shadowsync.StoredAccount{Credential: c, ChangedAt: time.UnixMilli(1_700_000_000_000)}}}
}

// live sets a value in the state and in both stores.
func (w *world) live(value string) {
	w.t.Helper()
	db, err := state.Open(w.t.Context(), w.system.Dir)
	if err == nil {
		c := rows(value)[0].Credential
		err = db.Commit(w.t.Context(), "one", []shadowsync.Transition{{
			Account: "admin", Baseline: &shadowsync.Baseline{OS: c, Store: c},
			Events: []shadowsync.Event{{At: time.Now(), Action: "set", Reason: value}},
		}})
		err = errors.Join(err, db.Close())
	}
	for _, s := range w.system.Stores {
		if err == nil {
			err = put(w.t.Context(), s, rows(value))
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func put(ctx context.Context, s Store, rows []driver.Row) error {
	opened, err := s.Open(ctx)
	if err != nil {
		return err
	}
	held, err := opened.Hold(ctx)
	if err == nil {
		err = errors.Join(held.Replace(ctx, rows), held.Commit(ctx))
	}
	return errors.Join(err, opened.Close())
}

// holds returns the value in the state, and in each store.
func (w *world) holds() []string {
	w.t.Helper()
	db, err := state.Open(w.t.Context(), w.system.Dir)
	if err != nil {
		w.t.Fatal(err)
	}
	memory, err := db.Load(w.t.Context(), "one", nil)
	if _, bad := db.Verify(w.t.Context()); bad != nil {
		w.t.Error(bad)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		w.t.Fatal(err)
	}
	value := "none"
	if b := memory.Accounts["admin"].Baseline; b != nil {
		value = b.OS.Hash
	}
	all := []string{value}
	for _, s := range w.system.Stores {
		have, err := s.all(w.t.Context())
		if err != nil || len(have) != 1 {
			w.t.Fatalf("%s holds %+v, %v", s.Application, have, err)
		}
		all = append(all, have[0].Hash)
	}
	return all
}

func (w *world) mustHold(value string) {
	w.t.Helper()
	if got, want := w.holds(), []string{"$6$salt$" + value, "$6$salt$" + value, "$6$salt$" + value}; !reflect.DeepEqual(got, want) {
		w.t.Errorf("it holds %q", got)
	}
}

// identity is the world's key, in a file, so that another process can use it too.
func (w *world) identity() *age.X25519Identity {
	path := filepath.Join(w.base, "key")
	text, err := os.ReadFile(path)
	if err == nil {
		w.key, err = age.ParseX25519Identity(string(text))
	} else if w.key, err = age.GenerateX25519Identity(); err == nil {
		err = os.WriteFile(path, []byte(w.key.String()), 0o600)
	}
	if err != nil {
		panic(err)
	}
	return w.key
}

func (w *world) backup(ctx context.Context, path string) error {
	st, err := w.system.Stage()
	if err != nil {
		return err
	}
	m := Manifest{Created: time.Now().UTC().Truncate(time.Second), Node: "node1"}
	if m.Databases, err = w.system.Collect(ctx, st.Path); err == nil {
		m.FactorKey, err = w.system.CollectKey(st.Path)
	}
	if err == nil {
		err = Write(ctx, path, false, st.Path, m, w.identity().Recipient())
	}
	return errors.Join(err, st.Close())
}

func (w *world) restore(ctx context.Context, path string) error {
	source, err := Open(path)
	if err != nil {
		return err
	}
	defer source.Close()
	st, err := w.system.Stage()
	if err != nil {
		return err
	}
	c, err := w.system.Check(ctx, st, source, w.identity())
	if err == nil {
		w.done, err = w.system.Swap(ctx, c, Manifest{Created: time.Now()}, func(was, kept string) shadowsync.Event {
			return shadowsync.Event{At: time.Now(), Action: "restored", Reason: was}
		})
	}
	return errors.Join(err, st.Close())
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// sealed is a world that was changed after a backup of it was made.
func sealed(t *testing.T) (w *world, file string) {
	w = newWorld(t)
	file = filepath.Join(w.base, "backup")
	w.live("backed-up")
	w.must(w.backup(t.Context(), file))
	w.live("later")
	return w, file
}

func (w *world) kept() []string {
	list, err := filepath.Glob(filepath.Join(w.system.Dir, "before-restore", "*"))
	w.must(err)
	return list
}

func (w *world) leavesNothing() {
	w.t.Helper()
	for _, pattern := range []string{"lib/state/staging", "lib/.*", "lib/*journal", ".shadowsync*"} {
		if left, _ := filepath.Glob(filepath.Join(w.base, pattern)); left != nil {
			w.t.Errorf("left behind: %q", left)
		}
	}
}
