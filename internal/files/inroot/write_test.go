package inroot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tree creates a system below a folder, beside another one that must not change.
func tree(t *testing.T) (root, host string) {
	t.Helper()
	base := t.TempDir()
	root, host = filepath.Join(base, "root"), filepath.Join(base, "host")
	for _, dir := range []string{"etc/real", "proc"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, dir), 0o755), os.MkdirAll(filepath.Join(host, dir), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	// Like /var and /etc/systemd of a real tree: the links are right only if the tree is "/".
	for link, to := range map[string]string{
		"absolute": "/etc/real", "chain": "/absolute", "up": "../../../../../../etc/real", "host": host + "/etc/real",
		"loop": "/loop", "self": "/proc/self/root" + host, "init": "/proc/1/root" + host, "nowhere": "/etc/none",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root, host
}

// verbs are all functions that change something, each applied to a name in a folder.
var verbs = map[string]func(root, folder string) error{
	"replace": func(root, folder string) error { return Replace(root, folder+"/new", []byte("new"), 0o640) },
	"rewrite": func(root, folder string) error {
		return errors.Join(Rewrite(root, folder+"/old", []byte("rewritten")), Symlink(root, "old", folder+"/new"))
	},
	"mkdir":   func(root, folder string) error { return Mkdir(root, folder+"/new", 0o750) },
	"all":     func(root, folder string) error { return MkdirAll(root, folder+"/new", 0o750) },
	"symlink": func(root, folder string) error { return Symlink(root, "target", folder+"/new") },
	"remove":  func(root, folder string) error { return Remove(root, folder+"/old") },
	"tree":    func(root, folder string) error { return RemoveAll(root, folder+"/old") },
}

func TestChangesStayInside(t *testing.T) {
	for verb, do := range verbs {
		for _, folder := range []string{"absolute", "chain", "up"} {
			t.Run(verb+" "+folder, func(t *testing.T) {
				root, host := tree(t)
				for _, at := range []string{root, host} {
					if err := os.WriteFile(at+"/etc/real/old", nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := do(root, folder); err != nil {
					t.Fatal(err)
				}
				before, after := names(t, host+"/etc/real"), names(t, root+"/etc/real")
				if before != "old" || after == before {
					t.Errorf("beside the root %q, in it %q", before, after)
				}
			})
		}
		for _, folder := range []string{"host", "loop", "self", "init"} {
			t.Run(verb+" "+folder, func(t *testing.T) {
				root, host := tree(t)
				if err := unix.Mount("/proc", root+"/proc", "", unix.MS_BIND, ""); err == nil {
					t.Cleanup(func() { _ = unix.Unmount(root+"/proc", unix.MNT_DETACH) })
				}
				if err := os.WriteFile(host+"/old", nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := do(root, folder); err == nil && verb != "tree" && (verb != "all" || folder != "host") {
					t.Error("done")
				}
				if got := names(t, host); got != "etc old proc" {
					t.Errorf("beside the root: %q", got)
				}
			})
		}
	}
}

func names(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// If a name is a link, the link itself is replaced or removed.
func TestALinkIsNotFollowed(t *testing.T) {
	root, _ := tree(t)
	if err := os.WriteFile(root+"/etc/real/file", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "three"} {
		if err := os.Symlink("/etc/real/file", root+"/etc/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := Rewrite(root, "/etc/one", []byte("x")); err == nil {
		t.Error("a link was rewritten")
	}
	if err := errors.Join(Replace(root, "/etc/one", []byte("x"), 0o644), Remove(root, "etc/two"), RemoveAll(root, "etc/three")); err != nil {
		t.Fatal(err)
	}
	if got := names(t, root+"/etc"); got != "one real" {
		t.Errorf("left: %q", got)
	}
	if text, _ := os.ReadFile(root + "/etc/real/file"); string(text) != "kept" {
		t.Errorf("written through a link: %q", text)
	}
	if info, err := Lstat(root, "etc/one"); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	root, _ := tree(t)
	if err := unix.Mkfifo(root+"/etc/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etc/fifo", "etc", "absolute"} {
		if text, err := ReadFile(root, name); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := ReadFile(root, "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// The folder is opened once: a folder that gets its path later is another tree.
func TestTheRootIsPinned(t *testing.T) {
	root, host := tree(t)
	if _, err := Stat(root, "etc"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(root, root+".moved"), os.Symlink(host, root)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(root, "etc/new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if here, there := names(t, root+".moved/etc"), names(t, host+"/etc"); here != "new real" || there != "real" {
		t.Errorf("written to %q, and to the other %q", here, there)
	}
}
