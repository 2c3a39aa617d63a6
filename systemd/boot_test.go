package systemd

import (
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// At boot the hook runs before its application, even before early ones, without an ordering cycle;
// the sockets exist although nobody started the broker.
func TestBootOnMachine(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dropIn, err := DropIn(PolicyRefuse, Jobs{})
	if err != nil {
		t.Fatal(err)
	}
	units, err := Units(DefaultBinary)
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t, release)
			m.CopyIn(self, DefaultBinary, 0o755)
			for name, text := range units {
				m.WriteFile("/usr/lib/systemd/system/"+name, string(text), 0o644)
			}
			for name, head := range map[string]string{
				"late":  "[Install]\nWantedBy=multi-user.target\n",
				"early": "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\nBefore=sysinit.target\n[Install]\nWantedBy=sysinit.target\n",
			} {
				unit := name + ".service"
				m.WriteFile("/etc/systemd/system/"+unit, head+"[Service]\nExecStart=sh -c 'echo "+name+" >>"+hookLog+"; exec sleep 1000'\n", 0o644)
				m.WriteFile(DropInPath("/etc", unit), dropIn, 0o644)
				m.Must("systemctl", "enable", unit)
			}
			m.Must("systemctl", "enable", RootSocketUnit, OperatorSocketUnit)
			m.Reboot()
			var log string
			m.WaitFor("both units", machine.Patience, func() bool {
				log = m.ReadFile(hookLog)
				return strings.Contains("\n"+log, "\nlate\n") && strings.Contains("\n"+log, "\nearly\n")
			})
			for _, name := range []string{"late", "early"} {
				hook, start := strings.Index(log, "pre-start --unit "+name), strings.Index("\n"+log, "\n"+name+"\n")
				if hook < 0 || start < 0 || start < hook {
					t.Errorf("%s did not start after its hook; noted:\n%s", name, log)
				}
			}
			if journal := m.Journal("-b", "-o", "cat"); strings.Contains(journal, "ordering cycle") {
				t.Errorf("the journal tells of an ordering cycle:\n%s", journal)
			}
			for _, unit := range []string{"late.service", "early.service", RootSocketUnit, OperatorSocketUnit} {
				if state := m.Run("systemctl", "is-active", unit).Stdout; state != "active\n" {
					t.Errorf("%s is %s", unit, state)
				}
			}
			if state := m.Run("systemctl", "is-active", BrokerUnit).Stdout; state != "inactive\n" {
				t.Errorf("the broker is %s", state)
			}
		})
	}
}
