package idle

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// resident returns how many pages of files are mapped: the third number of proc_pid_statm(5). It
// reads an open file, because the code that runs for the measurement gets mapped again.
func resident(t *testing.T, statm *os.File, line []byte) int {
	n, err := statm.ReadAt(line, 0)
	if n == 0 {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(line[:n])[2]))
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestReleaseProgram: a good part of the program is unmapped, and the needed part returns. What
// other threads run in between, the garbage collector or the race detector, is mapped again: the
// best of ten tries counts.
func TestReleaseProgram(t *testing.T) {
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	defer statm.Close()
	line := make([]byte, 200)
	before := resident(t, statm, line)
	after := before
	for range 10 {
		releaseProgram()
		after = min(after, resident(t, statm, line))
	}
	if after > before-1<<20 {
		t.Errorf("%d bytes of files are mapped, %d were", after, before)
	}
	giveBack()
	// Tables, constants and code still work.
	if got := fmt.Sprintf("%v %q %5.1f", os.ErrNotExist, strings.ToUpper("größe"), 1.25); got != `file does not exist "GRÖßE"   1.2` {
		t.Errorf("got %s", got)
	}
}
