package storeworker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const stranger = 4711

// mounted makes a mounted system in which root's folder /etc/app holds a store of a stranger's.
func mounted(t *testing.T) (o store.Options, path, name string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	root := t.TempDir()
	folder := filepath.Join(root, "etc/app")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path, names := crowd(t, folder, 1)
	if err := os.Chown(path, stranger, stranger+1); err != nil {
		t.Fatal(err)
	}
	o = options("/etc/app/user.json")
	o.Root = root
	return o, path, names[0]
}

func TestNeeds(t *testing.T) {
	own := Rights{Identity: safefile.Identity{UID: stranger, GID: stranger + 1}}
	for name, test := range map[string]struct {
		spoil func(root, path string) error
		want  Rights
		says  string
	}{
		"root's folder": {func(string, string) error { return nil }, Rights{Folder: true}, ""},
		"root's file":   {func(_, path string) error { return os.Chown(path, 0, 7) }, Rights{Identity: safefile.Identity{GID: 7}}, ""},
		"the owner's folder": {func(_, path string) error {
			return os.Chown(filepath.Dir(path), stranger, 0)
		}, own, ""},
		"the owner's group writes": {func(_, path string) error {
			return errors.Join(os.Chown(filepath.Dir(path), 0, stranger+1), os.Chmod(filepath.Dir(path), 0o775))
		}, own, ""},
		"everybody writes": {func(_, path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, own, ""},
		"another group writes": {func(_, path string) error {
			return errors.Join(os.Chown(filepath.Dir(path), 0, 8), os.Chmod(filepath.Dir(path), 0o775))
		}, Rights{}, "can be replaced neither by its owner nor safely by root: "},
		"a stranger's folder on the way": {func(root, _ string) error {
			return os.Chown(filepath.Join(root, "etc"), stranger, 0)
		}, Rights{}, "belongs to uid 4711, who can replace files in it"},
		"another driver": {func(string, string) error { return nil }, own, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, path, _ := mounted(t)
			if name == "another driver" {
				o.Driver = "sqlite"
			}
			if err := test.spoil(o.Root, path); err != nil {
				t.Fatal(err)
			}
			got, err := Needs(o)
			if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	t.Run("a folder of all", func(t *testing.T) {
		o, path, _ := mounted(t)
		if err := os.Rename(path, filepath.Join(o.Root, "etc/user.json")); err != nil {
			t.Fatal(err)
		}
		o.Path = "/etc/user.json"
		if got, err := Needs(o); !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(err.Error(), "a folder of its own") {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestFolderWorker: the file's owner cannot write in root's folder. The worker keeps owner and mode,
// and has no other rights.
func TestFolderWorker(t *testing.T) {
	o, path, name := mounted(t)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	c, err := Spawn(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before, err := c.Read(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	w := shadowsync.Write{Name: name, Expect: before.Accounts[name].Credential, Want: shadowsync.Credential{Hash: "$6$new$"}}
	if left, err := c.Write(t.Context(), []shadowsync.Write{w}); err != nil || len(left) > 0 {
		t.Fatalf("left %v: %v", left, err)
	}
	var st unix.Stat_t
	text, err := os.ReadFile(path)
	if err := errors.Join(err, unix.Stat(path, &st)); err != nil || !strings.Contains(string(text), "$6$new$") {
		t.Errorf("it was not written: %v", err)
	}
	if st.Uid != stranger || st.Gid != stranger+1 || st.Mode&0o7777 != 0o640 {
		t.Errorf("owner %d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
	hasOnlyFolderRights(t, workerOf(t, c))
}

// hasOnlyFolderRights looks at every thread: each has capabilities of its own.
func hasOnlyFolderRights(t *testing.T, pid int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v: %v", threads, err)
	}
	const three = "000000000000000b" // CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER: bits 0, 1 and 3
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"Uid:\t0\t0\t0\t0", "Groups:\t \n", "NoNewPrivs:\t1",
			"CapInh:\t0000000000000000", "CapPrm:\t" + three, "CapEff:\t" + three, "CapBnd:\t" + three, "CapAmb:\t0000000000000000",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("%q is not in %s:\n%s", want, thread, status)
			}
		}
	}
}

// TestFileOfAnAttacker: the file's owner, who cannot write in the folder, does all to the file that
// an owner can.
func TestFileOfAnAttacker(t *testing.T) {
	for name, do := range map[string]func(path string) error{
		"set-id bits": func(path string) error { return os.Chmod(path, 0o6755) },
		"no rights":   func(path string) error { return os.Chmod(path, 0) },
		"attributes":  func(path string) error { return unix.Setxattr(path, "user.x", []byte("y"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			o, path, account := mounted(t)
			err := do(path)
			if errors.Is(err, unix.ENOTSUP) {
				t.Skip("the file system has no such attributes")
			}
			var before, after syscall.Stat_t
			if err := errors.Join(err, syscall.Stat(path, &before)); err != nil {
				t.Fatal(err)
			}
			c, err := Spawn(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			held, err := c.Read(t.Context(), []string{account})
			if err != nil {
				t.Fatal(err)
			}
			w := shadowsync.Write{Name: account, Expect: held.Accounts[account].Credential, Want: shadowsync.Credential{Hash: "$6$new$"}}
			if left, err := c.Write(t.Context(), []shadowsync.Write{w}); err != nil || len(left) > 0 {
				t.Fatalf("left %v: %v", left, err)
			}
			if err := syscall.Stat(path, &after); err != nil || after.Uid != before.Uid || after.Gid != before.Gid || after.Mode != before.Mode {
				t.Errorf("%d:%d %o became %d:%d %o: %v", before.Uid, before.Gid, before.Mode, after.Uid, after.Gid, after.Mode, err)
			}
		})
	}
}

// TestLooks: a worker that looks up its store's owner becomes that user, and does not open a store of root's.
func TestLooks(t *testing.T) {
	for name, test := range map[string]struct {
		uid  int
		fits bool
	}{"the owner's": {stranger, true}, "root's": {0, false}} {
		t.Run(name, func(t *testing.T) {
			o, path, account := mounted(t)
			folder := filepath.Dir(path)
			if err := errors.Join(os.Chown(folder, stranger, stranger), os.Chown(path, test.uid, test.uid), os.Chmod(folder, 0o700)); err != nil {
				t.Fatal(err)
			}
			root, err := os.Open(o.Root)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			p, err := worker.Child(Command.Name, root)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.End() }()
			o.Root = worker.FirstFile
			c, err := ConnectLooking(t.Context(), p.Conn, o)
			if !test.fits {
				if !errors.Is(err, unix.EACCES) {
					t.Errorf("it opened root's file: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			held, err := c.Read(t.Context(), []string{account})
			if err != nil || len(held.Accounts) != 1 {
				t.Errorf("read %+v, %v", held, err)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", workerOf(t, c)))
			if err != nil || !strings.Contains(string(status), "Uid:\t4711\t4711\t4711\t4711") || !strings.Contains(string(status), "CapEff:\t0000000000000000") {
				t.Errorf("it is %s: %v", status, err)
			}
		})
	}
}
