package scenes

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestDriversOnServers runs the tests of what talks to database servers where PostgreSQL and MariaDB are, in two
// generations of each: on the machine that runs the suite they may be missing, and the tests are skipped there.
func TestDriversOnServers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tests := map[string]string{"sqltable": ".", "sqlrole": ".", "storeworker": "Network"}
	for name := range tests {
		compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-trimpath", "-buildmode=pie", "-o", filepath.Join(folder, name), "../../store/"+name)
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for release, layer := range map[machine.Release]machine.Layer{machine.Bookworm: machine.Apps, machine.Trixie: machine.WordPress} {
		t.Run(string(release), func(t *testing.T) {
			m := machine.BootWith(t, release, machine.Options{Layer: layer})
			for name, run := range tests {
				m.CopyIn(filepath.Join(folder, name), "/root/"+name, 0o755)
				r := m.Within(5*time.Minute).Run("/root/"+name, "-test.v", "-test.run="+run)
				if r.Code != 0 || !strings.Contains(r.Stdout, "--- PASS: Test") {
					t.Errorf("%s: %s", name, r)
				}
				if _, left, missing := strings.Cut(r.Stdout, "the machine has no "); missing {
					t.Errorf("the layer lacks a server%.200s", left)
				}
			}
		})
	}
}
