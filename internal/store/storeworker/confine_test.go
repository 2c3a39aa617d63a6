package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestWorkerIsConfined(t *testing.T) {
	path, names := crowd(t, t.TempDir(), 1)
	if os.Getuid() == 0 {
		give(t, filepath.Dir(path), 65534)
	}
	inherited, err := unix.MemfdCreate("password", 0) // as if this process had been started with it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	c := spawn(t, path)
	if _, err := c.Read(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	changed, err := c.Watch(t.Context())
	if err == nil {
		err = os.WriteFile(path, []byte("{}"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Error("it does not notice changes")
	}
	proc := fmt.Sprintf("/proc/%d/", workerOf(t, c))
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"NoNewPrivs:\t1", "Umask:\t0077"}
	if os.Getuid() == 0 {
		want = append(want, "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000")
	}
	for _, w := range want {
		if !strings.Contains(string(status), w) {
			t.Errorf("%q is not in\n%s", w, status)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(limits)), " "), "Max core file size 0 0") {
		t.Errorf("limits: %v\n%s", err, limits)
	}
	if environment, err := os.ReadFile(proc + "environ"); os.Getuid() == 0 && (err != nil || len(environment) > 0) {
		t.Errorf("environment %q: %v", environment, err)
	}
	if os.Getuid() != 0 {
		return
	}
	if info, err := os.Stat(proc + "status"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Error("the worker is dumpable: its /proc files are its own")
	}
	var descriptors []string
	entries, _ := os.ReadDir(proc + "fd")
	for _, e := range entries {
		target, _ := os.Readlink(proc + "fd/" + e.Name())
		descriptors = append(descriptors, target)
	}
	for _, d := range descriptors {
		// The watch has its mounts open, and the Go runtime its CPU limits.
		own := strings.HasPrefix(d, "anon_inode:") || strings.HasSuffix(d, "/mountinfo") || strings.HasPrefix(d, "/sys/fs/cgroup/")
		if !own && !strings.HasPrefix(d, "socket:") && d != "/dev/null" {
			t.Errorf("the worker holds %s", d)
		}
	}
}

// give gives a folder and what is in it to a user.
func give(t testing.TB, folder string, uid int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, uid))
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(folder); strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKernelDecides: the owner of the store configures a file of root's as the store.
func TestKernelDecides(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	folder := t.TempDir()
	path, _ := crowd(t, folder, 1)
	give(t, folder, 65534)
	c := spawn(t, path)
	secret := filepath.Join(folder, "secret")
	if err := os.WriteFile(secret, []byte(`{"u":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(secret, path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Revision(t.Context()); !errors.Is(err, unix.EACCES) {
		t.Errorf("the worker read a file of root's: %v", err)
	}
}

func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	folder := t.TempDir()
	path, _ := crowd(t, folder, 1)
	give(t, folder, 1001)
	if err := os.Chown(path, 1002, 1003); err != nil {
		t.Fatal(err)
	}
	check := func(what string, uid, gid uint32) {
		t.Helper()
		if got, err := Needs(options(path)); err != nil || got.UID != uid || got.GID != gid {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	check("the file's", 1002, 1003)
	if err := os.Link(path, filepath.Join(folder, "second")); err != nil {
		t.Fatal(err)
	}
	if got, err := Needs(options(path)); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("a second name of another user's file: %+v, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("the folder's", 1001, 1001)
	if err := os.Symlink("/etc/shadow", path); err != nil {
		t.Fatal(err)
	}
	if _, err := Needs(options(path)); !errors.Is(err, shadowsync.ErrMalformed) {
		t.Errorf("a symbolic link: %v", err)
	}
}

// TestOnlyItsFolder: another folder of the same owner that replaces the worker's folder is outside
// its sandbox. A new worker accepts it.
func TestOnlyItsFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Skip("the kernel has no Landlock:", errno)
	}
	top := t.TempDir()
	folder := filepath.Join(top, "store")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path, names := crowd(t, folder, 1)
	give(t, folder, 65534)
	c := spawn(t, path)
	err := errors.Join(os.Rename(folder, folder+".old"), os.Mkdir(folder, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	crowd(t, folder, 1)
	give(t, folder, 65534)
	if _, err := c.Read(t.Context(), names); !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("the worker reads another folder: %v", err)
	}
	if _, err := spawn(t, path).Read(t.Context(), names); err != nil {
		t.Errorf("a new worker does not: %v", err)
	}
}
