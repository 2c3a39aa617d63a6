package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// traced runs one write of this binary with faults that strace injects into its system calls. It
// returns what the writer printed, and whether it was killed.
func traced(t *testing.T, root string, inject ...string) (said string, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	args := []string{"-f", "-o", filepath.Join(t.TempDir(), "trace")}
	cmd := exec.CommandContext(ctx, "strace", append(append(args, inject...), "/proc/self/exe")...)
	self, err := os.Executable()
	must(t, err)
	cmd.Args[len(cmd.Args)-1] = self
	cmd.Env = append(os.Environ(), actEnv+"=write-once", rootEnv+"="+root)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("strace: %v", err)
	}
	return string(out), exit != nil && exit.ExitCode() != 1
}

// giveToGroup gives the shadow file another group than new files have, so that the replacement
// needs fchown(2). Only root can do that.
func giveToGroup(t *testing.T, root string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	must(t, os.Chown(filepath.Join(root, "etc", shadowName), 0, 42))
}

func TestInjectedErrorsChangeNothing(t *testing.T) {
	needTools(t, "strace")
	tests := []struct {
		call, file string
		reason     unix.Errno
	}{
		{"fchown", shadowName + tempSuffix, unix.EPERM},
		{"fchmod", shadowName + tempSuffix, unix.EPERM},
		{"write", shadowName + tempSuffix, unix.ENOSPC},
		{"write", shadowName + tempSuffix, unix.EDQUOT},
		{"write", shadowName + tempSuffix, unix.EIO},
		{"fsync", shadowName + tempSuffix, unix.EDQUOT},
		{"fsync", shadowName + tempSuffix, unix.EIO},
		{"close", shadowName + tempSuffix, unix.EIO},
		{"renameat2", "", unix.EBUSY},
		{"linkat", "", unix.EPERM},
	}
	for _, test := range tests {
		t.Run(test.call+" "+test.reason.Error(), func(t *testing.T) {
			root := testRoot(t, testPasswd, testGroup, testShadow)
			giveToGroup(t, root)
			inject := []string{"-e", fmt.Sprintf("inject=%s:error=%s", test.call, unix.ErrnoName(test.reason))}
			if test.file != "" {
				inject = append(inject, "-P", filepath.Join(root, "etc", test.file))
			}
			said, _ := traced(t, root, inject...)
			checkFailure(t, errors.New(said), test.reason, root, testShadow)
		})
	}
}

// The writer is killed at each system call of a write, one after the other.
func TestKillAtEveryStep(t *testing.T) {
	needTools(t, "strace")
	after := strings.Replace(testShadow, "admin:$6$a:", "admin:$y$once:", 1)
	steps := 0
	for _, call := range []string{"linkat", "unlinkat", "fchown", "fchmod", "flistxattr", "fsync", "renameat2"} {
		for when := 1; ; when++ {
			root := testRoot(t, testPasswd, testGroup, testShadow)
			giveToGroup(t, root)
			said, killed := traced(t, root, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when))
			now := shadowOf(t, root)
			if now != testShadow && now != after {
				t.Fatalf("killed at %s %d: %q", call, when, now)
			}
			if !killed {
				if now != after {
					t.Fatalf("not killed at %s %d, but not written: %s", call, when, said)
				}
				break
			}
			steps++
			must(t, writeOnce(root, "$y$later"))
			checkLitter(t, root)
		}
	}
	if steps < 8 {
		t.Errorf("only %d steps were hit", steps)
	}
}

// checkLitter allows the only thing that a killed writer may leave for good, as shadow-utils does:
// the file with its pid that it had not yet linked or removed.
func checkLitter(t *testing.T, root string) {
	t.Helper()
	for _, file := range leftovers(t, root) {
		pid := strings.TrimPrefix(filepath.Ext(file), ".")
		if content, err := os.ReadFile(file); err != nil || string(content) != pid+"\x00" {
			t.Errorf("left behind: %s with %q, %v", file, content, err)
		}
	}
}
