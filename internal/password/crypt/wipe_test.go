package crypt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/race"
)

// wipeChild makes this test binary the process whose memory is searched.
const wipeChild = "CRYPT_TEST_WIPE_CHILD"

// canary returns a token that the binary does not hold as a constant.
func canary() []byte {
	text := make([]byte, 24)
	for i := range text {
		text[i] = 'A' + byte(i*7%23)
	}
	return text
}

// A token that libxcrypt has hashed is nowhere in the memory of the process after the caller has
// wiped its own copy. Another process searches, because a search would leave copies in its own
// memory.
func TestTokenIsWiped(t *testing.T) {
	if os.Getenv(wipeChild) != "" {
		holdThenWipe(t)
		return
	}
	if race.Enabled {
		t.Skip("the race detector's own memory is terabytes to search")
	}
	child := exec.Command("/proc/self/exe", "-test.run=^TestTokenIsWiped$", "-test.timeout=30s")
	child.Env = append(os.Environ(), wipeChild+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()
	lines := bufio.NewReader(stdout)
	for _, stage := range []struct {
		says string
		here bool
	}{{"held\n", true}, {"wiped\n", false}} {
		if line, err := lines.ReadString('\n'); err != nil || line != stage.says {
			t.Fatalf("the child says %q, %v", line, err)
		}
		if n := occurrences(t, child.Process.Pid, canary()); (n > 0) != stage.here {
			t.Errorf("%q: %d copies of the token in memory", stage.says, n)
		}
		if _, err := io.WriteString(stdin, "\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// holdThenWipe is the child: it stops at the points where its memory is searched.
func holdThenWipe(t *testing.T) {
	stdin := bufio.NewReader(os.Stdin)
	text := canary()
	fmt.Println("held")
	stdin.ReadString('\n')
	for _, v := range vectors {
		if _, ok := hashers[v.format].(libxcrypt); !ok {
			continue
		}
		if _, err := Verify(v.hash, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (Method{Format: vectors[9].format, Cost: 1}).Generate(text); err != nil {
		t.Fatal(err)
	}
	clear(text)
	fmt.Println("wiped")
	stdin.ReadString('\n')
}

// occurrences counts how often what is in the writable memory of a process.
func occurrences(t *testing.T, pid int, what []byte) (n int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skip(err) // kernel.yama.ptrace_scope forbids it
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var start, end int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		content, err := io.ReadAll(io.NewSectionReader(memory, start, end-start))
		if err != nil && len(content) == 0 {
			continue // a special mapping
		}
		n += bytes.Count(content, what)
	}
	return n
}
