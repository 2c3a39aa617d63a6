package notes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func system(t *testing.T) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(Dir)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(root); err != nil {
		t.Fatal(err)
	}
	return root, filepath.Join(root, Dir)
}

func leave(t *testing.T, dir, name, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, root string) []Note {
	t.Helper()
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestNotesAreRead(t *testing.T) {
	const field = "$y$j9T$old$hash"
	cases := map[string]struct {
		target    string
		at        int64 // 0: the link's own
		undone    bool  // with the old field
		undoneNow bool  // with another field
	}{
		"whole":         {"1 1700000000 " + tagOf(field), 1700000000, true, false},
		"no tag":        {"1 1700000000 ", 1700000000, false, false},
		"a spare one":   {"1", 0, false, false},
		"a later form":  {"2 1700000000 " + tagOf(field), 0, false, false},
		"no time":       {"1 soon " + tagOf(field), 0, true, false},
		"of an empty":   {"1 1700000000 " + tagOf(""), 1700000000, false, false},
		"longer than a": {"1 1700000000 " + tagOf(field) + " more", 1700000000, false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			root, dir := system(t)
			leave(t, dir, "n.admin", c.target)
			all := list(t, root)
			if len(all) != 1 || !all[0].Of("admin") || all[0].Of("admin2") || all[0].Account() != "admin" {
				t.Fatalf("notes %+v", all)
			}
			n := all[0]
			if got := n.At.Unix(); c.at != 0 && got != c.at || c.at == 0 && time.Since(n.At) > time.Minute {
				t.Errorf("at %v", n.At)
			}
			if n.Undone(field) != c.undone || n.Undone("$y$j9T$new$hash") != c.undoneNow {
				t.Errorf("undone %v and %v", n.Undone(field), n.Undone("$y$j9T$new$hash"))
			}
		})
	}
}

// The reader looks for the name that the module writes; both are tested with the same names.
func TestNames(t *testing.T) {
	for account, link := range map[string]string{
		"admin": "admin", "..": "%2E%2E", "a/../../x": "a%2F%2E%2E%2F%2E%2E%2Fx", "-rf": "-rf", `DOM\user`: "DOM%5Cuser",
		"über": "%C3%BCber", "a b\n": "a%20b%0A", strings.Repeat("x", 253): strings.Repeat("x", 253), strings.Repeat("x", 254): "all",
		strings.Repeat(".", 84): strings.Repeat("%2E", 84), strings.Repeat(".", 85): "all",
	} {
		if got := linkName(account); got != link {
			t.Errorf("%.12q has the link %q, want %q", account, got, link)
		}
		if back := (Note{name: link}).Account(); back != account && link != tooLong {
			t.Errorf("%q is of %q, want %q", link, back, account)
		}
	}
	for _, link := range []string{"%", "%2", "%zz", "a%2"} {
		if got := (Note{name: link}).Account(); got != "" {
			t.Errorf("%q is of %q", link, got)
		}
	}
}

// A change after the claim leaves a note of its own, which Drop does not remove with the claimed
// one.
func TestClaimAndDrop(t *testing.T) {
	root, dir := system(t)
	leave(t, dir, "n.admin", "1 1700000000 x")
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.List()
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	first := all[0]
	if err := f.Claim(&first); err != nil {
		t.Fatal(err)
	}
	leave(t, dir, "n.admin", "1 1700000001 y")
	if all, _ = f.List(); len(all) != 2 || all[0].prefix != claimed {
		t.Fatalf("notes %+v, want the claimed one first", all)
	}
	second := all[1]
	if err := f.Claim(&second); err != nil { // another reader's
		t.Fatal(err)
	}
	if err := f.Drop(first); err != nil {
		t.Fatal(err)
	}
	if all, _ = f.List(); len(all) != 1 || all[0].tag != "y" {
		t.Fatalf("notes %+v, want the newer one", all)
	}
	if err := errors.Join(f.Drop(second), f.Drop(second)); err != nil {
		t.Fatal(err)
	}
	if all, _ = f.List(); len(all) != 0 {
		t.Errorf("notes %+v, want none", all)
	}
}

// Until a note is claimed, a change by another person may be added to it.
func TestClaimTellsOfTheLastPerson(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a note to somebody")
	}
	root, dir := system(t)
	leave(t, dir, "n.admin", "1 1700000000 x")
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.List()
	if err != nil || len(all) != 1 || all[0].UID != 0 {
		t.Fatal(all, err)
	}
	if err := os.Lchown(filepath.Join(dir, "n.admin"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	if err := f.Claim(&all[0]); err != nil || all[0].UID != 65534 {
		t.Errorf("claimed %+v, %v", all[0], err)
	}
}

// Links of a killed module are swept away, but not one that is being made.
func TestSweep(t *testing.T) {
	root, dir := system(t)
	leave(t, dir, "t.17", "1 1700000000 x")
	if all := list(t, root); len(all) != 0 {
		t.Errorf("notes %+v, want none", all)
	}
	f, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, after := range []time.Duration{0, 2 * madeWithin} {
		if _, err := f.sweep(time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Readlink(filepath.Join(dir, "t.17")); (err == nil) != (after == 0) {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

func TestWhatIsNoNote(t *testing.T) {
	root, dir := system(t)
	for _, name := range []string{"n.file", "p.file"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leave(t, dir, "x.admin", "1 1700000000 x")
	if all := list(t, root); len(all) != 0 {
		t.Errorf("notes %+v, want none", all)
	}
}

func TestFolderOfAnother(t *testing.T) {
	spoil := map[string]func(dir string) error{
		"others may write": func(dir string) error { return os.Chmod(dir, 0o720) },
		"others may read":  func(dir string) error { return os.Chmod(dir, 0o704) },
		"a link": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Symlink(os.TempDir(), dir))
		},
	}
	if os.Geteuid() == 0 {
		spoil["another's"] = func(dir string) error { return os.Chown(dir, 65534, 0) }
	}
	for name, spoil := range spoil {
		t.Run(name, func(t *testing.T) {
			root, dir := system(t)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if f, err := Open(root); err == nil {
				t.Errorf("opened %v", f)
			}
		})
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
}

func TestPrepare(t *testing.T) {
	root, dir := system(t)
	for i := range spares {
		path := filepath.Join(dir, fmt.Sprintf("s.%d", i))
		if target, err := os.Readlink(path); err != nil || target != spareTarget {
			t.Errorf("%s: %q, %v", path, target, err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "s.3")), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(root); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Readlink(filepath.Join(dir, "s.3")); err != nil {
		t.Error(err)
	}
}
