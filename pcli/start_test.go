package pcli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/race"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// startBar limits how long an operator waits for the prompt.
const startBar = 10 * 8 * time.Millisecond // ten times the bench's figure, as below

// build builds the program as `make build` does.
func build(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pcli")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../cmd/pcli")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// toPrompt starts the program on a terminal and measures the time to its prompt.
func toPrompt(t testing.TB, program, path string) time.Duration {
	t.Helper()
	tty, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	command := exec.CommandContext(t.Context(), program, "--socket", path)
	command.Env = []string{"TERM=xterm"}
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	defer func() { _ = command.Process.Kill(); _ = command.Wait() }()
	var seen []byte
	buffer := make([]byte, 4096)
	for !bytes.Contains(seen, []byte(prompt)) {
		n, err := tty.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen = append(seen, buffer[:n]...)
	}
	return time.Since(began)
}

// The fastest of many starts shows the program's cost; the others depend on the machine.
func TestStartsQuickly(t *testing.T) {
	program, path := build(t), begin(t, newFake())
	var took []time.Duration
	for range 30 {
		took = append(took, toPrompt(t, program, path))
	}
	slices.Sort(took)
	t.Logf("start to prompt: quickest %v, median %v, slowest %v", took[0], took[len(took)/2], took[len(took)-1])
	if took[0] > startBar {
		t.Errorf("the prompt takes %v, more than %v", took[0], startBar)
	}
}

// completeBar is ten times the limit for Tab with 10,000 accounts. On a busy machine this test only
// detects a wrong order of magnitude; the bench measures the figure.
const completeBar = 200 * time.Millisecond

func TestCompletesQuickly(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes longer than what is measured")
	}
	f := newFake()
	for i := range 10_000 {
		f.users = append(f.users, operator.User{Name: fmt.Sprintf("operator%05d", i)})
	}
	p := play(t, begin(t, f), "xterm")
	p.expect(prompt)
	var took []time.Duration
	for range 10 {
		p.send("show user operator0999")
		p.expect("operator0999")
		began := time.Now()
		p.send("9\t")
		p.expect("9 ")
		took = append(took, time.Since(began))
		p.send("\x03")
		p.expect(prompt)
	}
	slices.Sort(took)
	t.Logf("Tab with 10,000 accounts: quickest %v, median %v", took[0], took[len(took)/2])
	if took[0] > completeBar {
		t.Errorf("Tab takes %v, more than %v", took[0], completeBar)
	}
}

// BenchmarkStart is the figure that `make bench` prints.
func BenchmarkStart(b *testing.B) {
	program, path := build(b), begin(b, newFake())
	for b.Loop() {
		toPrompt(b, program, path)
	}
}
