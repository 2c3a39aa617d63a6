package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// workerTime is how long a transaction for an operator may take.
const workerTime = 8 * time.Second

// TestStoppedWorker: a user who stops the worker that acts for them holds up other users no
// longer than the worker's deadline, and changes nothing.
func TestStoppedWorker(t *testing.T) {
	t.Parallel()
	s := manned(t, machine.Bookworm)
	before := s.ShadowHash("user222") + s.StoreHash("user222")
	s.sub("the worker that proves", func(s *stage) {
		s.holdable("auth")
		d := s.SSH("user222", oldPassword)
		d.Answer("> ", "set password")
		s.hold()
		d.Answer("Enter your current password:", oldPassword)
		s.transacts()
		s.As("user222").Must("pkill", "-STOP", "-U", "user222", "-f", "worker-pa[m]")
		s.release()
		d.Expect("nothing was changed", machine.Patience)
		if took := s.timed(func() { s.passwd("admin", newPassword) }); took > 2*time.Second+slack {
			s.t.Errorf("root's passwd took %v", took)
		}
	})
	s.sub("the worker that holds the lock", func(s *stage) {
		stopper := s.As("user222").Start("python3", "-c", stopsLocker)
		d := s.SSH("user222", oldPassword)
		d.Expect("> ", machine.Patience)
		s.WaitFor("the stopper", machine.Patience, func() bool { return strings.HasPrefix(stopper.Output(), "ready") })
		setPassword(d, oldPassword, newPassword)
		s.WaitFor("the worker to be stopped", machine.Patience, func() bool { return strings.Contains(stopper.Output(), "stopped") })
		took := s.timed(func() { s.passwd("admin", oldPassword) })
		if took < time.Second || took > workerTime+2*time.Second+slack {
			s.t.Errorf("root's passwd took %v, beside a worker that has %v", took, workerTime)
		}
		d.Expect("nothing was changed", machine.Patience)
	})
	if after := s.ShadowHash("user222") + s.StoreHash("user222"); after != before {
		t.Error("something was changed")
	}
	if left := s.Run("pgrep", "-f", "shadowsync worker-pa[m]"); left.Code == 0 {
		t.Errorf("workers are left: %s", left)
	}
	s.same("admin")
	s.lets("user222", oldPassword, newPassword)
}

// stopsLocker stops the first process of its user's that holds the lock of the password files.
const stopsLocker = `import os, signal
inode = str(os.stat("/etc/.pwd.lock").st_ino)
print("ready", flush=True)
while True:
    for line in open("/proc/locks"):
        field = line.split()
        if "->" in field or field[5].split(":")[2] != inode or int(field[4]) <= 0:
            continue
        try:
            os.kill(int(field[4]), signal.SIGSTOP)
            print("stopped", flush=True)
            raise SystemExit
        except (PermissionError, ProcessLookupError):
            pass
`

func (s *stage) timed(act func()) time.Duration {
	s.t.Helper()
	start := time.Now()
	act()
	took := time.Since(start)
	s.t.Logf("it took %v", took)
	return took
}
