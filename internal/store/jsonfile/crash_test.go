package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// The test binary also runs the helper processes of these tests.
const (
	helper     = "SHADOWSYNC_TEST_HELPER"
	helperFile = "SHADOWSYNC_TEST_FILE"
)

func TestMain(m *testing.M) {
	switch os.Getenv(helper) {
	case "once":
		runtime.LockOSThread() // strace counts by thread
		if err := writeOnce(os.Getenv(helperFile)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	case "read-only":
		fmt.Print(mountAndWrite(os.Getenv(helperFile), pointer, bindSelf, makeReadOnly))
		os.Exit(0)
	case "full":
		fmt.Print(mountAndWrite(os.Getenv(helperFile), "/u", fill))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helperCommand(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helper+"="+role, helperFile+"="+path)
	return cmd
}

// writeOnce sets one account's password and reports the former one.
func writeOnce(path string) error {
	ctx := context.Background()
	s, err := Driver.Open(ctx, options(path, "/u"))
	if err != nil {
		return err
	}
	before, err := s.Read(ctx, []string{"user000003"})
	if err != nil {
		return err
	}
	left, err := s.Write(ctx, []shadowsync.Write{{Name: "user000003", Expect: before.Accounts["user000003"].Credential, Want: value("$6$once")}})
	return errors.Join(err, left["user000003"])
}

// TestKillAtEveryStep: the writer is killed at every system call of a write, one after the other.
func TestKillAtEveryStep(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("needs strace")
	}
	text, _ := crowd(5)
	written := file(t, text)
	if err := writeOnce(written); err != nil {
		t.Fatal(err)
	}
	steps, after := 0, read(t, written)
	for _, call := range []string{"openat2", "flock", "fchown", "fchmod", "flistxattr", "fsync", "renameat2", "unlinkat"} {
		for when := 1; ; when++ {
			path := file(t, text)
			killed, said := killedAt(t, path, call, when)
			now := read(t, path)
			if now != text && now != after {
				t.Fatalf("killed at %s %d, the file is\n%s", call, when, now)
			}
			if !killed {
				if now != after {
					t.Fatalf("not killed at %s %d, and not written: %s", call, when, said)
				}
				break
			}
			steps++
			s := open(t, path, "/u")
			present, err := s.Read(t.Context(), []string{"user000003"})
			if err != nil {
				t.Fatal(err)
			}
			w := shadowsync.Write{Name: "user000003", Expect: present.Accounts["user000003"].Credential, Want: value("$6$later")}
			if left, err := s.Write(t.Context(), []shadowsync.Write{w}); err != nil || len(left) != 0 {
				t.Fatal(left, err)
			}
			if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
				t.Errorf("killed at %s %d, what was left was not swept: %v, %v", call, when, entries, err)
			}
		}
	}
	t.Logf("killed at %d steps", steps)
	if steps < 8 {
		t.Errorf("only %d steps were hit", steps)
	}
}

// killedAt lets strace kill one write at a system call, counted from 1.
func killedAt(t *testing.T, path, call string, when int) (killed bool, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "strace", "-f", "-o", filepath.Join(t.TempDir(), "trace"),
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when), self)
	cmd.Env = append(os.Environ(), helper+"=once", helperFile+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("strace: %v", err)
	}
	return exit != nil && exit.ExitCode() != 1, string(out)
}

// inOwnMounts runs a helper in a mount namespace of its own.
func inOwnMounts(t *testing.T, role, path string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := helperCommand(t, role, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	return string(out)
}

// mountAndWrite makes the given mounts and tries a write.
func mountAndWrite(path, users string, mounts ...func(folder string) error) string {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err.Error()
	}
	for _, mount := range mounts {
		if err := mount(filepath.Dir(path)); err != nil {
			return err.Error()
		}
	}
	s, err := Driver.Open(context.Background(), options(path, users))
	if err != nil {
		return err.Error()
	}
	before, err := s.Read(context.Background(), []string{"admin"})
	if err != nil {
		return err.Error()
	}
	w := shadowsync.Write{Name: "admin", Expect: before.Accounts["admin"].Credential, Want: value("new")}
	_, err = s.Write(context.Background(), []shadowsync.Write{w})
	entries, _ := os.ReadDir(filepath.Dir(path))
	var errno syscall.Errno
	errors.As(err, &errno)
	return fmt.Sprint(err, errors.Is(err, shadowsync.ErrUnavailable), errno == unix.EROFS || errno == unix.ENOSPC, len(entries))
}

func bindSelf(folder string) error { return unix.Mount(folder, folder, "", unix.MS_BIND, "") }

func makeReadOnly(folder string) error {
	return unix.Mount("", folder, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// fill leaves room for one file, but not for its successor.
func fill(folder string) error {
	text := `{"pad":"` + strings.Repeat("x", 40_000) + `","u":{"admin":{"password":"old"}}}`
	return errors.Join(
		unix.Mount("tmpfs", folder, "tmpfs", 0, "size=64k"),
		os.WriteFile(filepath.Join(folder, "user.json"), []byte(text), 0o600),
	)
}

func TestReadOnlyFileSystem(t *testing.T) {
	path := file(t, appliance)
	if got, want := inOwnMounts(t, "read-only", path), "read-only file system true true 1"; got != want {
		t.Errorf("Write says %q, want %q", got, want)
	}
	if read(t, path) != appliance {
		t.Error("the file was changed")
	}
}

func TestNoSpace(t *testing.T) {
	if got, want := inOwnMounts(t, "full", file(t, appliance)), "no space left on device true true 1"; got != want {
		t.Errorf("Write says %q, want %q", got, want)
	}
}
