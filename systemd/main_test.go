package systemd

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

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	// insideVariable tells the test program that it runs on a test machine.
	insideVariable = "SHADOWSYNC_INSIDE_MACHINE"
	insideProgram  = "/usr/local/bin/systemd.test"
	patience       = machine.Patience
)

// TestMain lets the test program also act as shadowsync on a test machine.
func TestMain(m *testing.M) {
	if os.Args[0] == webProgram {
		playWeb()
		return
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "daemon":
			playBroker()
			return
		case "hook":
			playHook()
			return
		case "worker":
			playWorker()
			return
		case "end":
			playEnd()
			return
		}
	}
	os.Exit(m.Run())
}

// inside reports whether the test runs on a test machine, which has its own systemd. If it does
// not, inside runs the test on a machine of each release.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	t.Parallel()
	machine.Need(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t, release)
			m.CopyIn(self, insideProgram, 0o755)
			run := m.Env(insideVariable+"=1").Within(5*machine.Patience).Run(insideProgram, "-test.v", "-test.run=^"+strings.Split(t.Name(), "/")[0]+"$")
			if run.Code != 0 || !strings.Contains(run.Stdout, "--- PASS") {
				t.Errorf("on the machine: %s", run)
			}
		})
	}
	return false
}

// install writes the units to the machine, with this program as theirs.
func install(t *testing.T) {
	t.Helper()
	if err := WriteUnits("/usr/lib/systemd/system", DefaultBinary); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{DefaultBinary, webProgram} {
		must(t, "cp", "--remove-destination", insideProgram, program) // a unit may still run the former one
	}
	must(t, "systemctl", "daemon-reload")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// script replaces a program. A unit that systemd calls started may still be in execve(2), which
// refuses writes to the program's file.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// run returns a command's output and exit status.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	out, err := command.CombinedOutput()
	if ctx.Err() != nil || command.ProcessState == nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out), command.ProcessState.ExitCode()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := run(t, args...)
	if code != 0 {
		t.Fatalf("%q: exit %d\n%s", args, code, out)
	}
	return out
}

func show(t *testing.T, unit, property string) string {
	t.Helper()
	return strings.TrimSpace(must(t, "systemctl", "show", "--value", "-p", property, unit))
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

const hookLog = "/var/log/hooks"

// playHook logs its call and what it sees, and that it is not in the application's sandbox.
func playHook() {
	noteSight(os.Args[2])
	if err := os.WriteFile("/etc/hook-was-here", nil, 0o600); err != nil || os.Geteuid() != 0 {
		os.Exit(1)
	}
	f, err := os.OpenFile(hookLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		os.Exit(1)
	}
	fmt.Fprintln(f, strings.Join(os.Args[2:], " "))
	if exists("/run/hook-fails") {
		os.Exit(4)
	}
}
