package machine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// host gives its terminal to a shell on a machine.
func host() int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := machine.New(ctx, machine.Trixie, machine.Options{Hostname: "handed-over"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer m.Close()
	code, err := m.Interactive(ctx, machine.Command{Args: []string{"bash", "--norc"}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

func TestInteractiveHandsTheTerminalOver(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), roleVariable+"=host")
	terminal, err := pty.StartWithSize(program, &pty.Winsize{Rows: 33, Cols: 99})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := io.WriteString(terminal, "hostname; sh -c 'stty size; exec sleep 100'\n"); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Minute, func() { _ = program.Process.Kill() })
	shown := readUntil(t, terminal, "33 99")
	if !strings.Contains(shown, "handed-over\r\n") {
		t.Errorf("the terminal showed:\n%s", shown)
	}
	_, _ = io.WriteString(terminal, "\x03") // interrupts the sleep on the machine, not the program here
	readUntil(t, terminal, "# ")            // the terminal discards input typed before the interrupt is handled
	_, _ = io.WriteString(terminal, "exit 7\n")
	go func() { _, _ = io.Copy(io.Discard, terminal) }()
	_ = program.Wait()
	if code := program.ProcessState.ExitCode(); code != 7 {
		t.Errorf("the program ended with %d, want the shell's 7", code)
	}
}

func readUntil(t *testing.T, from io.Reader, text string) string {
	t.Helper()
	var shown bytes.Buffer
	part := make([]byte, 4096)
	for !strings.Contains(shown.String(), text) {
		n, err := from.Read(part)
		if err != nil {
			t.Fatalf("%v; so far:\n%s", err, shown.String())
		}
		shown.Write(part[:n])
	}
	return shown.String()
}

// orphan boots a machine, prints its path, and waits to be killed.
func orphan() int {
	m, err := machine.New(context.Background(), machine.Bookworm, machine.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(m.Root())
	time.Sleep(time.Minute)
	return 1
}

// The next boot removes the machine of a test that was killed.
func TestKilledTestLeavesNothing(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), roleVariable+"=orphan")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	root := strings.TrimSpace(string(line[:n]))
	if err != nil || !strings.HasPrefix(root, "/run/") {
		t.Fatalf("the owner said %q, %v", root, err)
	}
	if !mounted(t, root) {
		t.Fatal("nothing to sweep")
	}
	if err := owner.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	machine.Boot(t, machine.Bookworm)
	if mounted(t, root) {
		t.Errorf("%s is still mounted", root)
	}
	if _, err := os.Stat(strings.TrimSuffix(root, "/root")); err == nil {
		t.Errorf("the folder of %s is still there", root)
	}
}

func mounted(t *testing.T, path string) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(mounts), " "+path+" ")
}
