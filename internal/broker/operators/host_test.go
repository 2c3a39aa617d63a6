package operators

import (
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
)

// TestHostOf: farewell waits for the process that serves a shell's terminal, not for a shell on
// that terminal, and not a process that is gone.
func TestHostOf(t *testing.T) {
	here := origin.FromPID(os.Getpid()).Terminal
	const nobody = 1<<22 + 1 // above the highest pid
	for _, c := range []struct {
		name  string
		shell origin.Process
		want  bool
	}{
		{"another terminal", origin.Process{Parent: os.Getpid(), Terminal: "pts/4711"}, true},
		{"no terminal", origin.Process{Parent: os.Getpid()}, true},
		{"the same terminal", origin.Process{Parent: os.Getpid(), Terminal: here}, here == ""},
		{"gone", origin.Process{Parent: nobody, Terminal: "pts/4711"}, false},
	} {
		if host, hosted := hostOf(c.shell); hosted != c.want || hosted && host.PID != os.Getpid() {
			t.Errorf("%s: %v, pid %d", c.name, hosted, host.PID)
		}
	}
}
