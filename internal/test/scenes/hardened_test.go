package scenes

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// unstarted runs the program as a user, and makes its loader wait, before the program's first
// instruction, for a reader of the loader's log. It prints what that user can read of the process.
const unstarted = `
import os, select, sys, time
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.dup2(w, 2)
    os.setgid(65534); os.setuid(65534)
    os.execve(sys.argv[1], [sys.argv[1], "--help"], {"LD_DEBUG": "all"})
full = select.poll()
full.register(w, select.POLLOUT)
deadline = time.monotonic() + 20
while full.poll(0):
    if time.monotonic() > deadline:
        sys.exit("it does not wait")
os.setgid(65534); os.setuid(65534)
for name in "mem", "maps", "environ":
    try:
        os.close(os.open("/proc/%d/%s" % (pid, name), os.O_RDONLY))
        print(name, "is readable")
    except OSError as e:
        print(name, "is not:", e.strerror)
os.kill(pid, 9)
`

// TestHardenedProgram: programs that run as root are loaded at a random address, and bind all
// symbols before they start.
func TestHardenedProgram(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	m := machine.Boot(t, machine.Bookworm)
	m.InstallShadowsync()
	if said := m.Input(unstarted).Must("python3", "-", "/usr/sbin/shadowsync"); strings.Contains(said, "readable") || strings.Count(said, "is not") != 3 {
		t.Errorf("of the program that runs with their uid a user may read: %s", said)
	}
	m.Must("cp", "/usr/sbin/shadowsync", "/root/open")
	m.MustShell("chmod 755 /root && chmod 755 /root/open")
	if said := m.Input(unstarted).Must("python3", "-", "/root/open"); !strings.Contains(said, "maps is readable") {
		t.Errorf("the test cannot fail: %s", said)
	}
	for _, argument := range []string{"--help", "--version"} {
		if r := m.Run("setpriv", "--reuid=65534", "--clear-groups", "/usr/sbin/shadowsync", argument); r.Code != 0 || r.Stdout == "" {
			t.Errorf("everybody may ask for %s: %s", argument, r)
		}
	}
	copied := filepath.Join(t.TempDir(), "shadowsync")
	if err := os.WriteFile(copied, []byte(m.ReadFile("/usr/sbin/shadowsync")), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := f.DynValue(elf.DT_FLAGS_1)
	if err != nil || len(flags) != 1 {
		t.Fatalf("flags %v, %v", flags, err)
	}
	if got := elf.DynFlag1(flags[0]); f.Type != elf.ET_DYN || got&elf.DF_1_PIE == 0 || got&elf.DF_1_NOW == 0 {
		t.Errorf("type %v, flags %v: not a position-independent program that binds at once", f.Type, got)
	}
}
