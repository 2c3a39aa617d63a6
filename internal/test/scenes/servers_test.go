package scenes

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestDriversOnServers runs the tests of what talks to database servers where PostgreSQL and MariaDB are:
// on the machine that runs the suite they may be missing, and the tests are skipped there.
func TestDriversOnServers(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	for name, run := range map[string]string{"sqltable": ".", "sqlrole": ".", "storeworker": "Network"} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), name)
			compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-trimpath", "-buildmode=pie", "-o", program, "../../store/"+name)
			if out, err := compile.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			m.CopyIn(program, "/root/"+name, 0o755)
			r := m.Within(5*time.Minute).Run("/root/"+name, "-test.v", "-test.run="+run)
			if r.Code != 0 || !strings.Contains(r.Stdout, "--- PASS: Test") {
				t.Errorf("%s", r)
			}
			if _, left, missing := strings.Cut(r.Stdout, "the machine has no such server"); missing {
				t.Errorf("the layer lacks a server%.200s", left)
			}
		})
	}
}
