package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// folder opens a new folder and also returns its path.
func folder(t *testing.T) (int, string) {
	t.Helper()
	path := t.TempDir()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd()), path
}

// names lists the names in a folder.
func names(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(path string) error
	}{
		{"a new file", func(string) error { return nil }},
		{"over a file", func(path string) error { return os.WriteFile(path, []byte("a longer text than the new one"), 0o600) }},
		{"over a link, which is not followed", func(path string) error { return os.Symlink("/nonexistent/elsewhere", path) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			fd, path := folder(t)
			if err := test.prepare(filepath.Join(path, "file")); err != nil {
				t.Fatal(err)
			}
			if err := Write(fd, "file", []byte("new"), 0o644); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(path, "file"))
			if err != nil || string(text) != "new" {
				t.Errorf("it holds %q, %v", text, err)
			}
			info, err := os.Lstat(filepath.Join(path, "file"))
			if err != nil || info.Mode() != 0o644 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if got := names(t, path); len(got) != 1 {
				t.Errorf("the folder holds %q", got)
			}
		})
	}
}

func TestWriteThatFailsLeavesTheFormerFile(t *testing.T) {
	fd, path := folder(t)
	if err := os.Mkdir(filepath.Join(path, "file"), 0o755); err != nil { // rename(2) does not replace a folder by a file
		t.Fatal(err)
	}
	if err := Write(fd, "file", []byte("new"), 0o644); !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("the error is %v", err)
	}
	if got := names(t, path); len(got) != 1 {
		t.Errorf("the folder holds %q", got)
	}
}

func TestCreateTakesAFreeNameOnly(t *testing.T) {
	fd, path := folder(t)
	if err := os.Symlink("elsewhere", filepath.Join(path, "temporary")); err != nil {
		t.Fatal(err)
	}
	if n, err := Create(fd, "temporary"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create: %v, %v", n, err)
	}
}

func TestSettleClosesAfterAnError(t *testing.T) {
	fd, path := folder(t)
	n, err := Create(fd, "temporary")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Settle(unix.ENOSPC); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Settle: %v", err)
	}
	if err := n.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("it is still open: %v", err)
	}
	if err := n.Discard(); err != nil {
		t.Error(err)
	}
	if got := names(t, path); len(got) != 0 {
		t.Errorf("the folder holds %q", got)
	}
}

func TestKeepAttributes(t *testing.T) {
	fd, path := folder(t)
	like, err := os.OpenFile(filepath.Join(path, "like"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer like.Close()
	if os.Getuid() == 0 {
		if err := like.Chown(1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	if err := like.Chmod(0o640); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user.kept", "user.left"} {
		if err := unix.Fsetxattr(int(like.Fd()), name, []byte(name), 0); errors.Is(err, unix.ENOTSUP) {
			t.Skip("no extended attributes here")
		} else if err != nil {
			t.Fatal(err)
		}
	}
	n, err := Create(fd, "temporary")
	if err != nil {
		t.Fatal(err)
	}
	if err := KeepAttributes(n.File, like, func(name string) bool { return name != "user.left" }); err != nil {
		t.Fatal(err)
	}
	var want, have unix.Stat_t
	if err := errors.Join(unix.Fstat(int(like.Fd()), &want), unix.Fstat(int(n.Fd()), &have)); err != nil {
		t.Fatal(err)
	}
	if have.Uid != want.Uid || have.Gid != want.Gid || have.Mode != want.Mode {
		t.Errorf("owner %d:%d mode %o, want %d:%d %o", have.Uid, have.Gid, have.Mode, want.Uid, want.Gid, want.Mode)
	}
	for name, want := range map[string]string{"user.kept": "user.kept", "user.left": ""} {
		if value, err := attribute(int(n.Fd()), name); err != nil || string(value) != want {
			t.Errorf("%s is %q, %v", name, value, err)
		}
	}
	if err := n.Settle(nil); err != nil {
		t.Error(err)
	}
}
