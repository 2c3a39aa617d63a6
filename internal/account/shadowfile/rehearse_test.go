package shadowfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRehearse(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	path := filepath.Join(root, "etc/shadow")
	look := func() (st unix.Stat_t) {
		t.Helper()
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	before := look()
	if err := Open(root).Rehearse(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := look()
	if after.Ino == before.Ino {
		t.Error("it was not replaced")
	}
	if shadowOf(t, root) != testShadow || after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid || after.Mtim != before.Mtim {
		t.Errorf("it has changed: %+v, before %+v", after, before)
	}
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if err := unix.Mount(path, path, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	if err := Open(root).Rehearse(t.Context()); err == nil || !strings.Contains(err.Error(), unix.EBUSY.Error()) {
		t.Errorf("a mount point: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/shadow+")); err == nil {
		t.Error("the temporary is left")
	}
}
