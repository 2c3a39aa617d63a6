package state

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// filled makes a state with several pages of content, and returns its folder.
func filled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home", "state")
	db, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if err := db.Audit(t.Context(), shadowsync.Event{At: time.Now(), Account: "admin", Action: "test", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.SetSettle(t.Context(), "conductor", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// use does what an engine does first, and then what doctor does.
func use(ctx context.Context, dir string) error {
	db, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	_, err = db.Load(ctx, "conductor", nil)
	if err == nil {
		err = db.Check(ctx)
	}
	return errors.Join(err, db.Close())
}

// TestDamage: any damage to the file is found, and moving it aside makes room for a new one.
func TestDamage(t *testing.T) {
	write := func(at int64, data []byte) func(string) error {
		return func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(data, at)
				err = errors.Join(err, f.Close())
			}
			return err
		}
	}
	empty := func(path string) error { return os.WriteFile(path, nil, 0o600) }
	cases := map[string]func(path string) error{
		"overwritten":            func(path string) error { return os.WriteFile(path, []byte("garbage, not a database"), 0o600) },
		"its first page":         write(0, make([]byte, 4096)),
		"a page in the middle":   write(3*4096, []byte("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4\xf3\xf2")),
		"many pages":             write(4096, make([]byte, 5*4096)),
		"cut to a page":          func(path string) error { return os.Truncate(path, 4096) },
		"cut within a page":      func(path string) error { return os.Truncate(path, 10000) },
		"a folder in its place":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a link in its place":    func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
		"numbers without tables": func(path string) error { return errors.Join(empty(path), numbersAlone(path)) },
		"somebody else's":        func(path string) error { return errors.Join(os.Remove(path), empty(path), someTable(path)) },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			path := filepath.Join(dir, FileName)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			var damaged *DamagedError
			if err := use(t.Context(), dir); !errors.As(err, &damaged) || !errors.Is(err, shadowsync.ErrMalformed) {
				t.Fatalf("using it: %v", err)
			}
			if err := os.WriteFile(path+"-journal", []byte("stale"), 0o600); err != nil {
				t.Fatal(err)
			}
			aside, err := MoveAside(t.Context(), damaged, "test")
			if err != nil || aside == "" {
				t.Fatalf("moved to %q, %v", aside, err)
			}
			if kept := Aside(dir, time.Now().Add(-time.Minute)); len(kept) != 1 || kept[0] != aside {
				t.Errorf("kept are %q, want %q", kept, aside)
			}
			if _, err := os.Lstat(aside + "-journal"); err != nil {
				t.Error(err)
			}
			if err := use(t.Context(), dir); err != nil {
				t.Errorf("another one: %v", err)
			}
			// A second process that saw the same damage leaves the new one alone.
			if aside, err := MoveAside(t.Context(), damaged, "test"); aside != "" || err != nil {
				t.Errorf("moved again, to %q, %v", aside, err)
			}
		})
	}
}

func script(path, text string) error {
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		return err
	}
	_, err = db.Exec(text)
	return errors.Join(err, db.Close())
}

func numbersAlone(path string) error {
	return script(path, "PRAGMA application_id = 0x53487379; PRAGMA user_version = 1; CREATE TABLE t (x)")
}

func someTable(path string) error { return script(path, "CREATE TABLE t (x)") }

// TestNoDamage: a newer version's file, a leftover journal, and a file with another owner are not
// damage.
func TestNoDamage(t *testing.T) {
	newer := filled(t)
	if err := script(filepath.Join(newer, FileName), "PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if err := use(t.Context(), newer); errors.As(err, new(*DamagedError)) || !errors.As(err, new(*NewerError)) {
		t.Errorf("a newer one: %v", err)
	}
	left := filled(t)
	if err := os.WriteFile(filepath.Join(left, FileName+"-journal"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := use(t.Context(), left); err != nil {
		t.Errorf("with a journal of garbage: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	given := filled(t)
	path := filepath.Join(given, FileName)
	if err := errors.Join(os.Chown(path, 65534, 65534), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	if err := use(t.Context(), given); err != nil {
		t.Errorf("one that was given away: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it has mode %v, %v", info.Mode(), err)
	}
}

// TestReplaced: a process that has the old file open learns that another file has its name.
func TestReplaced(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"gone": os.Remove,
		"moved": func(path string) error {
			return errors.Join(os.Rename(path, path+".x"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			db, err := Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := replace(filepath.Join(dir, FileName)); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Load(t.Context(), "conductor", nil); !errors.Is(err, ErrReplaced) {
				t.Errorf("reading: %v", err)
			}
			if err := db.SetSettle(t.Context(), "conductor", time.Now()); !errors.Is(err, ErrReplaced) {
				t.Errorf("writing: %v", err)
			}
		})
	}
}

// TestReplacedMeanwhile: what was written to a file that lost its name is not acknowledged.
func TestReplacedMeanwhile(t *testing.T) {
	dir := filled(t)
	db := openIn(t, dir)
	err := db.write(t.Context(), "x", func(*tx) error {
		return os.Rename(filepath.Join(dir, FileName), filepath.Join(dir, "away"))
	})
	if !errors.Is(err, ErrReplaced) {
		t.Errorf("it says %v", err)
	}
}

// TestReplacedRecollection: what is remembered of a replaced file is not used either.
func TestReplacedRecollection(t *testing.T) {
	dir := filled(t)
	db := openIn(t, dir)
	if _, err := db.Survey(t.Context(), "conductor", []string{"admin"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, FileName), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Survey(t.Context(), "conductor", []string{"admin"}); !errors.Is(err, ErrReplaced) {
		t.Errorf("it says %v", err)
	}
}

// TestOverwritten: a process that has the file open learns that a state in which nothing is recorded
// was written over it.
func TestOverwritten(t *testing.T) {
	dir, other := filled(t), filepath.Join(t.TempDir(), "state")
	db := openIn(t, dir)
	if err := db.SetSettle(t.Context(), "conductor", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := openIn(t, other).Rehearse(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(other, FileName))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, FileName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := db.SetSettle(t.Context(), "conductor", time.Now()); !errors.Is(err, ErrReplaced) {
			t.Errorf("it says %v", err)
		}
	}
}

// TestBlank distinguishes a state in which nothing is recorded: the process that created it may have
// been killed before it could record why.
func TestBlank(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home", "state")
	for i, want := range []bool{true, true, false} {
		db, err := Open(t.Context(), dir)
		if err != nil || db.Blank() != want {
			t.Fatalf("blank: %v, %v; want %v", db.Blank(), err, want)
		}
		if i > 0 {
			begun, err := db.Begin(t.Context(), []string{"conductor"}, shadowsync.Event{Action: "begun"})
			if err != nil || begun != want {
				t.Fatalf("begun: %v, %v; want %v", begun, err, want)
			}
		}
		db.Close()
	}
	if err := os.Truncate(filepath.Join(dir, FileName), 0); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), dir)
	if err != nil || !db.Blank() {
		t.Fatalf("an emptied one is not begun anew: %v", err)
	}
	db.Close()
}

// TestVolatile: the copy has what can be read, and none of its changes reach the disk.
func TestVolatile(t *testing.T) {
	dir := filled(t)
	before, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(path string) error{
		"whole":   func(string) error { return nil },
		"damaged": func(path string) error { return os.WriteFile(path, []byte("garbage, not a database"), 0o600) },
		"a row":   func(path string) error { return script(path, "UPDATE application SET settle = 'never'") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			if err := spoil(filepath.Join(dir, FileName)); err != nil {
				t.Fatal(err)
			}
			held := filepath.Join(t.TempDir(), "held")
			db, in, err := OpenVolatile(t.Context(), "/", dir, held)
			if err != nil || filepath.Dir(in) != held {
				t.Fatalf("in %s: %v", in, err)
			}
			defer db.Close()
			n := 0
			for _, err := range db.Trail(t.Context(), Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if want := map[string]int{"whole": 200}[name]; n != want {
				t.Errorf("%d records, want %d", n, want)
			}
			if _, err := db.Load(t.Context(), "conductor", nil); err != nil {
				t.Error(err)
			}
			if err := db.Audit(t.Context(), shadowsync.Event{Action: "more"}); err != nil {
				t.Error(err)
			}
		})
	}
	after, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil || string(after) != string(before) {
		t.Errorf("the file changed, %v", err)
	}
}

// TestSalvageOfGarbage: what cannot be read is left out.
func TestSalvageOfGarbage(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"overwritten": func(path string) error { return os.WriteFile(path, []byte("garbage, not a database"), 0o600) },
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"gone":        os.Remove,
		"cut":         func(path string) error { return os.Truncate(path, 10000) },
		"a row": func(path string) error {
			return script(path, `INSERT INTO change VALUES ('conductor', 'admin', 'pending', '', '', 'garbage', '', '{}', '', 0)`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(filled(t), FileName)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if found := Salvage(t.Context(), path); len(found) != 0 {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// TestSalvageSetup: setup's manifest and the held units survive the state, and an incomplete
// manifest is dropped.
func TestSalvageSetup(t *testing.T) {
	path := filepath.Join(filled(t), FileName)
	if err := script(path, `INSERT INTO manifest (path, wrote, before) VALUES ('/etc/a', 'x', 'y');
		UPDATE application SET held = 1`); err != nil {
		t.Fatal(err)
	}
	files, held := SalvageSetup(t.Context(), path)
	if len(files) != 1 || files[0] != (SetupFile{"/etc/a", "x", "y"}) || len(held) != 1 {
		t.Errorf("found %+v and %q", files, held)
	}
	for _, spoil := range []func() error{func() error { return os.Truncate(path, 5000) }, func() error { return os.Remove(path) }} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if files, held := SalvageSetup(t.Context(), path); len(files)+len(held) != 0 {
			t.Errorf("found %+v and %q", files, held)
		}
	}
}
