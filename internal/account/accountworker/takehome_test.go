package accountworker

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/account/newcomer"
)

// gone and next are uids that no account has.
var gone, next = ids{60123, 60124}, ids{60125, 60126}

// leftHome creates a home in its own folder, with typical files of a former user.
func leftHome(t *testing.T) Arrival {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	a := Arrival{Newcomer: newcomer.Newcomer{Name: "heir", Home: filepath.Join(t.TempDir(), "heir")}, TakeHome: true}
	sh(t, a, "mkdir -p .ssh deep/er && echo key > .ssh/authorized_keys && echo x > deep/er/file && ln -s /etc/passwd link && mkfifo fifo && chown -hR 60123:60124 . && chgrp 0 deep/er/file && chmod 4755 deep/er/file")
	return a
}

func sh(t *testing.T, a Arrival, script string) string {
	t.Helper()
	if err := os.MkdirAll(a.Home, 0o750); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", "-c", script)
	command.Dir = a.Home
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

const listing = "find . -printf '%p %y %U:%G %l\\n' | sort"

// TestAHomeIsTakenAndPutBack: everything in it changes its owner, no link is followed, and nothing
// is where a program looks for it; after undo it is as before.
func TestAHomeIsTakenAndPutBack(t *testing.T) {
	a := leftHome(t)
	before := sh(t, a, listing)
	former, err := a.setAside(t.Context())
	if err != nil || former == nil || *former != gone {
		t.Fatalf("former %v: %v", former, err)
	}
	if found, _ := os.Lstat(a.Home); found != nil {
		t.Fatal("the old home is still there")
	}
	sh(t, a, "chown 60125:60126 .") // as useradd does
	if err := a.moveIn(*former, next); err != nil {
		t.Fatal(err)
	}
	now := sh(t, a, listing)
	if strings.Contains(now, "60123") || strings.Contains(now, "60124") || !strings.Contains(now, "./home-before/link l 60125:60126 /etc/passwd") ||
		!strings.Contains(now, "./home-before/deep/er/file f 60125:0 ") || strings.Contains(now, "./.ssh") {
		t.Errorf("taken over it is\n%s", now)
	}
	if mode := sh(t, a, "stat -c %a home-before/deep/er/file"); mode != "755\n" {
		t.Errorf("the mode of a set-uid file is %s", mode)
	}
	if owner := sh(t, a, "stat -Lc %u home-before/link"); owner != "0\n" {
		t.Errorf("a link was followed: its target is of %s", owner)
	}
	if err := a.moveOut(*former, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(a.Home); err != nil { // as userdel --remove does
		t.Fatal(err)
	}
	if err := a.putBack(); err != nil {
		t.Fatal(err)
	}
	if after := sh(t, a, listing); after != before {
		t.Errorf("put back it is\n%s, was\n%s", after, before)
	}
}

// TestAKilledWorkerLosesNoHome: the next worker first puts the home back.
func TestAKilledWorkerLosesNoHome(t *testing.T) {
	a := leftHome(t)
	before := sh(t, a, listing)
	if _, err := a.setAside(t.Context()); err != nil {
		t.Fatal(err)
	}
	if former, err := a.setAside(t.Context()); err != nil || former == nil {
		t.Fatalf("former %v: %v", former, err)
	}
	if err := a.putBack(); err != nil {
		t.Fatal(err)
	}
	if after := sh(t, a, listing); after != before {
		t.Errorf("put back it is\n%s, was\n%s", after, before)
	}
}

// TestHomesThatAreRefused: each home stays as it was.
func TestHomesThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ make, says string }{
		"root's":        {"chown 0:0 .", "belongs to root"},
		"root's within": {"chown -h 0:0 link", "link is not the former owner's: it belongs to uid 0"},
		"a hard link":   {"ln deep/er/file other", "has another name"},
		"a device":      {"mknod null c 1 3 && chown 60123 null", "null is a device"},
		"too deep":      {`for i in $(seq 70); do mkdir d && cd d; done; cd - >/dev/null; chown -R 60123 .`, "too many files"},
		"a link":        {`cd .. && mv heir real && ln -s real heir`, "is not a folder"},
		"a file":        {`cd .. && mv heir real && echo > heir && chown 60123 heir`, "is not a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			a := leftHome(t)
			if tt.make == "" {
				t.Fatal("nothing is made")
			}
			sh(t, a, strings.Replace(tt.make, "cd - >/dev/null; chown -R 60123 .", "chown -R 60123 "+a.Home, 1))
			parent := Arrival{Newcomer: newcomer.Newcomer{Home: filepath.Dir(a.Home)}}
			before := sh(t, parent, listing)
			_, err := a.setAside(t.Context())
			if why := (*takeError)(nil); !errors.As(err, &why) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v", err)
			}
			if after := sh(t, parent, listing); after != before {
				t.Errorf("it is\n%s, was\n%s", after, before)
			}
		})
	}
	t.Run("a mount", func(t *testing.T) {
		a := leftHome(t)
		if err := unix.Mount("none", filepath.Join(a.Home, "deep"), "tmpfs", 0, "uid=60123"); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(filepath.Join(a.Home, "deep"), unix.MNT_DETACH) })
		if _, err := a.setAside(t.Context()); err == nil || !strings.Contains(err.Error(), "on another file system") {
			t.Errorf("%v", err)
		}
	})
	t.Run("none", func(t *testing.T) {
		a := leftHome(t)
		a.Home += "-none"
		if former, err := a.setAside(t.Context()); err != nil || former != nil {
			t.Errorf("%v, %v", former, err)
		}
	})
}
