package sessions

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
)

// TestAwaitEnd: the wait ends with the process, or when its time is over.
func TestAwaitEnd(t *testing.T) {
	for _, c := range []struct {
		lasts string
		most  time.Duration
		ends  bool
	}{{"0.2", time.Minute, true}, {"60", 50 * time.Millisecond, false}} {
		child := exec.Command("sleep", c.lasts)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		told := AwaitEnd(origin.FromPID(child.Process.Pid), c.most)
		var seen unix.Siginfo
		err := unix.Waitid(unix.P_PID, child.Process.Pid, &seen, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if ended := seen.Signo != 0; err != nil || ended != c.ends || told != c.ends {
			t.Errorf("sleep %s has ended: %v, %v, %v", c.lasts, ended, told, err)
		}
		_ = child.Process.Kill()
		_ = child.Wait() // killed
	}
}
