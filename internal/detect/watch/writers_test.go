package watch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace runs the present test in its own mount namespace.
func inNamespace(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "WATCH_TEST_MOUNTS=1")
	// Unshareflags makes the mounts private, so that they do not leave the namespace.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

type writer struct {
	pid           int
	name, program string
}

// writersIn starts Writers, or skips the test if the kernel does not support it.
func writersIn(t *testing.T, folder string) <-chan writer {
	t.Helper()
	told := make(chan writer, 100)
	_, err := Writers(t.Context(), folder, func(w Write) {
		if !strings.HasPrefix(w.Name(), "shadow") {
			return
		}
		comm, _ := os.ReadFile("/proc/" + strconv.Itoa(w.PID) + "/comm")
		told <- writer{w.PID, w.Name(), strings.TrimSpace(string(comm))}
	})
	if errors.Is(err, ErrNoWriters) {
		t.Skip(err)
	}
	must(t, err)
	return told
}

func TestWritersTellsTheProgram(t *testing.T) {
	folder := t.TempDir()
	told := writersIn(t, folder)
	// The child lives on for a moment, as usermod does after its rename.
	cmd := exec.Command("/bin/sh", "-c", "exec 3>shadow+; echo x >&3; exec 3>&-; echo y >other; mv shadow+ shadow; sleep 0.2")
	cmd.Dir = folder
	must(t, cmd.Run())
	select {
	case w := <-told:
		if w.pid != cmd.Process.Pid || w.program != "sh" || w.name != "shadow+" && w.name != "shadow" {
			t.Errorf("told %+v, want pid %d", w, cmd.Process.Pid)
		}
	case <-time.After(time.Minute):
		t.Fatal("not told within a minute")
	}
	for { // the close follows the write
		select {
		case <-told:
			continue
		case <-time.After(100 * time.Millisecond):
		}
		break
	}
	// Writes by this process itself are not reported.
	must(t, os.WriteFile(filepath.Join(folder, "shadow"), nil, 0o600))
	select {
	case w := <-told:
		t.Errorf("told %+v", w)
	case <-time.After(100 * time.Millisecond):
	}
}

// A program that ends right after it closes its file has been seen by then.
func TestWritersTellsBeforeTheClose(t *testing.T) {
	folder := t.TempDir()
	told := writersIn(t, folder)
	cmd := exec.Command("/bin/sh", "-c", "exec 3>shadow+; echo x >&3; read wait")
	cmd.Dir = folder
	hold, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	select {
	case w := <-told:
		if w.pid != cmd.Process.Pid || w.program != "sh" {
			t.Errorf("told %+v, want pid %d", w, cmd.Process.Pid)
		}
	case <-time.After(time.Minute):
		t.Error("not told within a minute")
	}
	must(t, hold.Close())
	_ = cmd.Wait() // read fails at the end of its input
}

func TestWritersKeepsNoDescriptors(t *testing.T) {
	folder := t.TempDir()
	told := writersIn(t, folder)
	before := descriptors(t)
	cmd := exec.Command("/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 0; do for j in 1 2 3 4 5 6 7 8 9; do echo >other$i$j; done; done; echo >shadow; sleep 0.2")
	cmd.Dir = folder
	must(t, cmd.Run())
	select {
	case <-told:
	case <-time.After(time.Minute):
		t.Fatal("not told within a minute")
	}
	if now := descriptors(t); now > before {
		t.Errorf("%d descriptors, %d before", now, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

func TestWritersRefused(t *testing.T) {
	_, err := Writers(t.Context(), filepath.Join(t.TempDir(), "none"), nil)
	if !errors.Is(err, ErrNoWriters) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if os.Getuid() == 0 && !errors.Is(err, unix.ENOENT) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// A caller that sees a new file and catches up knows its writer, and can tell it from the writer of
// an older file.
func TestWritersCatchUp(t *testing.T) {
	folder := t.TempDir()
	var last atomic.Pointer[Write]
	catchUp, err := Writers(t.Context(), folder, func(w Write) { last.Store(&w) })
	if errors.Is(err, ErrNoWriters) {
		t.Skip(err)
	}
	must(t, err)
	for i := range 50 {
		cmd := exec.Command("/bin/sh", "-c", "echo "+strconv.Itoa(i)+" >shadow+; mv shadow+ shadow")
		cmd.Dir = folder
		must(t, cmd.Run())
		file, err := FileAt(filepath.Join(folder, "shadow"))
		must(t, err)
		catchUp()
		if w := last.Load(); w == nil || w.File != file || w.PID != cmd.Process.Pid {
			t.Fatalf("round %d: told %+v, want pid %d and %+v", i, w, cmd.Process.Pid, file)
		}
	}
}

func FuzzEachWriter(f *testing.F) {
	f.Add([]byte{24, 0, 0, 0})
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, events []byte) {
		for i := 16; i+4 <= len(events); i++ { // no descriptor of this process may be closed
			events[i] |= 0x80
		}
		eachWrite(events, func(Write) { t.Error("told without a descriptor") })
	})
}
