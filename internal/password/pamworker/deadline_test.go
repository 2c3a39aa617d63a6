package pamworker

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKillAfter: the deadline also kills a stopped process, at the time that was set last.
func TestKillAfter(t *testing.T) {
	if os.Getenv("PAMWORKER_TEST_DEADLINE") != "" {
		var d killTimer
		if err := errors.Join(d.killAfter(time.Hour), d.killAfter(200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
		time.Sleep(time.Minute)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, "-test.run=^TestKillAfter$")
	child.Env = append(os.Environ(), "PAMWORKER_TEST_DEADLINE=1")
	child.WaitDelay = time.Second
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	rescue := time.AfterFunc(10*time.Second, func() { _ = child.Process.Signal(unix.SIGTERM); _ = child.Process.Signal(unix.SIGCONT) })
	defer rescue.Stop()
	_ = child.Wait()
	if status := child.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", child.ProcessState)
	}
}
