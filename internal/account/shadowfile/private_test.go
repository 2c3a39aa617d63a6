package shadowfile

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const privateEnv = "SHADOWFILE_TEST_PRIVATE"

// privately runs the calling test once more in its own mount namespace, and calls body there. What
// body mounts or writes to /etc stays in that namespace.
func privately(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a private mount namespace")
	}
	if os.Getenv(privateEnv) != "" {
		if mountNamespace(t, os.Getpid()) == mountNamespace(t, os.Getppid()) {
			t.Fatal("this is not a mount namespace of its own")
		}
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		body(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), privateEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Fatalf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	case !strings.Contains(text, "--- PASS: "+t.Name()):
		t.Fatalf("the test did not run:\n%s", text)
	default:
		t.Log(text)
	}
}

func mountNamespace(t *testing.T, pid int) string {
	t.Helper()
	name, err := os.Readlink("/proc/" + itoa(pid) + "/ns/mnt")
	must(t, err)
	return name
}

// privateEtc mounts a copy of /etc with these accounts over /etc, and hides the sockets through
// which the tools would reach the machine's own services.
func privateEtc(t *testing.T, accounts ...string) {
	t.Helper()
	dir := t.TempDir()
	mountTmpfs(t, dir, "mode=755")
	must(t, exec.Command("cp", "-a", "/etc/.", dir).Run())
	must(t, unix.Mount(dir, "/etc", "", unix.MS_BIND, ""))
	mountTmpfs(t, "/run", "mode=755")
	passwd, shadow := "root:x:0:0:root:/root:/bin/sh\n", "root:*:19000:0:99999:7:::\n"
	for i, name := range accounts {
		passwd += name + ":x:" + itoa(2000+i) + ":2000::/nonexistent:/bin/sh\n"
		shadow += name + ":$6$salt$start:19000:0:99999:7:::\n"
	}
	put(t, "/etc/passwd", passwd, 0o644)
	put(t, "/etc/group", "root:x:0:\nshadow:x:42:\npeople:x:2000:\n", 0o644)
	must(t, os.Remove("/etc/shadow"))
	put(t, "/etc/shadow", shadow, 0o640)
	must(t, os.Chown("/etc/shadow", 0, 42))
	for _, stale := range leftovers(t, "/") {
		must(t, os.Remove(stale))
	}
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func TestFullDiskChangesNothing(t *testing.T) {
	privately(t, func(t *testing.T) {
		root := t.TempDir()
		must(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
		mountTmpfs(t, filepath.Join(root, "etc"), "size=128k")
		long := testShadow + "\n" + strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 800)
		put(t, filepath.Join(root, "etc/passwd"), testPasswd, 0o644)
		put(t, filepath.Join(root, "etc/group"), testGroup, 0o644)
		put(t, filepath.Join(root, "etc/shadow"), long, 0o640)
		err := writeOnce(root, "$y$new")
		checkFailure(t, err, unix.ENOSPC, root, long)
		must(t, unix.Mount("", filepath.Join(root, "etc"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		if err := writeOnce(root, "$y$new"); !isErrno(err, unix.EROFS, root) {
			t.Errorf("read-only: %v", err)
		}
	})
}

// checkFailure checks that a write failed for this reason, named the file, and left nothing behind.
func checkFailure(t *testing.T, err error, reason unix.Errno, root, shadow string) {
	t.Helper()
	if !isErrno(err, reason, root) {
		t.Errorf("error %v, want %v", err, reason)
	}
	if shadowOf(t, root) != shadow {
		t.Error("the shadow file was changed")
	}
	if files := leftovers(t, root); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

func isErrno(err error, reason unix.Errno, root string) bool {
	return err != nil && strings.Contains(err.Error(), reason.Error()) && strings.Contains(err.Error(), filepath.Join(root, "etc"))
}
