package inroot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestShown: the path that is shown leads, from outside, to the right file inside.
func TestShown(t *testing.T) {
	root, host := tree(t)
	for name, want := range map[string]string{
		"etc/real/file": "etc/real/file", "/etc/real": "etc/real", "../../etc/real": "etc/real", "/": "", "none/at/all": "none/at/all",
		"absolute/file": "etc/real/file", "chain": "etc/real", "up/none/file": "etc/real/none/file",
	} {
		if got := Shown(root, name); got != filepath.Join(root, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	// Like a link /etc -> /etc, seen from outside.
	if err := errors.Join(os.MkdirAll(filepath.Join(root, host, "etc/real"), 0o755), os.WriteFile(filepath.Join(root, host, "etc/real/file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got := Shown(root, "host/file"); got != filepath.Join(root, host, "etc/real/file") {
		t.Errorf("it leads to %s", got)
	}
	if got := Shown("/", "etc/../etc/passwd"); got != "/etc/passwd" {
		t.Errorf("of the running system: %s", got)
	}
}

func TestOpen(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	for path, text := range map[string]string{"etc/file": "inside", "../outside": "outside"} {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"absolute": "/etc/file", "up": "../../../../etc/file", "out": filepath.Join(base, "outside"), "magic": "/proc/self/cwd",
	} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"etc/file": "inside", "/etc/file": "inside", "absolute": "inside", "up": "inside", "../../etc/file": "inside", "fifo": ""} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(root, name, os.O_RDONLY)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if text, err := io.ReadAll(f); err != nil || string(text) != want {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	for _, name := range []string{"out", "magic", "etc/none"} {
		if f, err := Open(root, name, os.O_RDONLY); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if _, err := Open(filepath.Join(base, "none"), "etc/file", os.O_RDONLY); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing root is a missing file: %v", err)
	}
}
