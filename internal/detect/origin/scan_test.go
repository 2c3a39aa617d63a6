package origin

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestUIDs(t *testing.T) {
	const stranger = 54321
	has := func() bool {
		t.Helper()
		uids, err := UIDs()
		if err != nil || !uids[os.Getuid()] {
			t.Fatalf("our own is not among %v, %v", uids, err)
		}
		return uids[stranger]
	}
	if has() {
		t.Fatal("somebody has that uid")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to start somebody else's process")
	}
	cmd := exec.Command("/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	there := has()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !there || has() {
		t.Errorf("while it ran: %v, then: %v", there, has())
	}
}
