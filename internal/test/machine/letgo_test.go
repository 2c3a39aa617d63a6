package machine

import (
	"syscall"
	"testing"
	"time"
)

// TestProgramsDoNotHoldUpAReboot: an open shell, login and command end when the machine reboots.
func TestProgramsDoNotHoldUpAReboot(t *testing.T) {
	m := Boot(t, Bookworm)
	m.AddUser("admin", "a password")
	shell := m.Terminal("/bin/bash", "-l")
	shell.Expect("#", Patience)
	login := m.SSH("admin", "a password")
	login.Expect("$", Patience)
	command := m.Start("sleep", "1000")
	shell.Send("systemctl reboot\n")
	m.AwaitBoot(2)
	shell.Ended(Patience)
	login.Ended(Patience)
	<-command.Done()
}

// TestStoppedStaysStopped: outside of a shutdown a stopped program stays stopped.
func TestStoppedStaysStopped(t *testing.T) {
	m := Boot(t, Bookworm)
	command := m.Start("sh", "-c", "sleep 0.3; echo went on")
	if err := command.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(600 * time.Millisecond) // the absence of output can only be waited for
	if got := command.Output(); got != "" {
		t.Errorf("a stopped program printed %q", got)
	}
	// Repeated, because an nsenter(1) that continues before its child sees the child stopped and
	// stops again.
	m.WaitFor("the end of a continued program", Patience, func() bool {
		if err := command.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		return isClosed(command.Done())
	})
	if got := command.Output(); got != "went on\n" {
		t.Errorf("a continued program printed %q", got)
	}
}
