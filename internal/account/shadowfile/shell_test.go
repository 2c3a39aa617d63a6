package shadowfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Only the shell in the line that counts changes; mode and the other lines stay byte for byte.
func TestSetShell(t *testing.T) {
	const before = "root:x:0:0:root:/root:/bin/bash\n# kept\n+nis::::::\nadmin:x:1001:1001:Joe, room 1:/home/admin:/usr/bin/pcli\n" +
		"short:x:1002:50\nadmin:x:7:7::/:/usr/bin/pcli\nlast:x:1003:1003::/:/usr/bin/pcli"
	const after = "root:x:0:0:root:/root:/bin/bash\n# kept\n+nis::::::\nadmin:x:1001:1001:Joe, room 1:/home/admin:/bin/zsh\n" +
		"short:x:1002:50:::/bin/sh\nadmin:x:7:7::/:/usr/bin/pcli\nlast:x:1003:1003::/:/bin/sh"
	root := t.TempDir()
	path := filepath.Join(root, "etc/passwd")
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	put(t, path, before, 0o640)
	for name, shell := range map[string]string{"admin": "/bin/zsh", "short": "/bin/sh", "last": "/bin/sh"} {
		must(t, SetShell(t.Context(), root, name, shell))
	}
	if err := SetShell(t.Context(), root, "ghost", "/bin/sh"); !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Errorf("an account that is not there: %v", err)
	}
	if err := SetShell(t.Context(), root, "admin", "/bin/sh:\nroot2:x:0:0::/:/bin/sh"); err == nil {
		t.Error("a shell that is another line was taken")
	}
	got, err := os.ReadFile(path)
	info, _ := os.Stat(path)
	if err != nil || string(got) != after || info.Mode() != 0o640 {
		t.Errorf("%v, %v:\n%s\nwant:\n%s", err, info.Mode(), got, after)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 2 { // .pwd.lock stays, as everywhere
		t.Errorf("files are left: %v", left)
	}
}

// A tool that holds the file's lock keeps SetShell out, and the file as it is. A link out of the system is not followed.
func TestSetShellIsKeptOut(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "etc/passwd")
	const text = "admin:x:1001:1001::/:/usr/bin/pcli\n"
	must(t, os.Mkdir(filepath.Dir(path), 0o755))
	put(t, path, text, 0o644)
	tree, err := openTree(root)
	must(t, err)
	defer tree.close()
	held, err := tree.lock(t.Context(), passwdName)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := SetShell(ctx, root, "admin", "/bin/sh"); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("while another holds the lock: %v", err)
	}
	must(t, held.release())
	outside := filepath.Join(t.TempDir(), "passwd")
	put(t, outside, text, 0o644)
	must(t, os.Remove(path))
	must(t, os.Symlink(outside, path))
	if err := SetShell(t.Context(), root, "admin", "/bin/sh"); err == nil {
		t.Error("a link was followed, or replaced by a file")
	}
	for _, file := range []string{outside, path} {
		if got, err := os.ReadFile(file); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}
