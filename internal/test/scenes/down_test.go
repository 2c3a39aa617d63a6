package scenes

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestChangesWhileDown: the password changes while some program does not run.
func TestChangesWhileDown(t *testing.T) {
	t.Parallel()
	for name, appliance := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := set(t, machine.Bookworm, appliance)
			old := machine.OldPassword
			for i, d := range downs {
				password := fmt.Sprintf("Down-%d-velvet-x", i)
				s.sub(d.name, func(s *stage) {
					before := len(s.audit("admin"))
					d.change(s, password)
					s.holds(password)
					s.eventually("the audit tells of it", machine.Patience, func() bool {
						return slices.ContainsFunc(s.audit("admin")[before:], d.tells)
					})
				})
				if i == len(downs)-1 {
					s.opens("admin", password, old)
				}
				old = password
			}
		})
	}
}

// down is a change while some program does not run, until all programs run again.
type down struct {
	name   string
	change func(s *stage, password string)
	tells  func(e event) bool
}

var downs = []down{
	{"the daemon down", changedWithoutDaemon, seen("pam", "")}, // by the module's note
	{"the application down", func(s *stage, password string) {
		s.Must("systemctl", "stop", machine.ApplianceUnit)
		s.passwd("admin", password)
		s.Must("systemctl", "start", machine.ApplianceUnit)
	}, seen("pam", "passwd")},
	{"power lost after passwd", func(s *stage, password string) {
		s.passwd("admin", password)
		s.Kill()
		s.PowerOn()
	}, seen("pam", "passwd")},
	{"the machine down, its file edited", func(s *stage, password string) {
		s.PowerOff()
		s.edited(s.hashed(password))
		s.PowerOn()
	}, seen("start", "")},
	{"the machine down, edited and carried over by the tool", func(s *stage, password string) {
		s.PowerOff()
		s.edited(s.hashed(password))
		s.mounted("", "sync", "--prefer", "os")
		if !s.bothOpen("admin", password) {
			s.t.Error("sync --prefer os did not carry the password into the store")
		}
		s.PowerOn()
	}, seen("start", "")},
	{"the machine down, its file edited, and /tmp full as it boots", whileTmpIsFull, seen("start", "")},
	{"the machine down, its file edited, and the start hook cannot run", whileTheHookCannotRun, seen("start", "")},
	{"the machine down, its file edited, and no hook can run", whileNoHookCanRun, seen("pam", "passwd")},
	{"the machine down, set by the tool", func(s *stage, password string) {
		s.PowerOff()
		s.mounted(password+"\n", "user", "set", "password", "admin", "--stdin")
		s.PowerOn()
	}, seen("tool", "shadowsync")},
}

// seen finds the record of a change. If the watch was faster than the PAM module, the module's
// announcement has a record of its own.
func seen(by, program string) func(event) bool {
	return func(e event) bool {
		return (e.Action == "adopted" || e.Action == "attributed") && e.Result == "in-sync" && e.Origin.SeenBy == by && e.Origin.Program == program
	}
}

func changedWithoutDaemon(s *stage, password string) {
	s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
	s.says(s.passwd("admin", password), queued)
	s.restart()
	if !s.opensHash(s.ShadowHash("admin"), password) {
		s.t.Error("the restart undid the change")
	}
	s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
}

// edited writes a hash for admin into the shadow file of a machine that is off.
func (s *stage) edited(hash string) {
	s.t.Helper()
	var text strings.Builder
	for line := range strings.Lines(s.ReadFile("/etc/shadow")) {
		if f := strings.Split(line, ":"); f[0] == "admin" {
			f[1] = hash
			line = strings.Join(f, ":")
		}
		text.WriteString(line)
	}
	s.WriteFile("/etc/shadow", text.String(), 0o640)
}

// mounted runs the tool on the file system of a machine that is off, as from a rescue system.
func (s *stage) mounted(input string, args ...string) {
	s.t.Helper()
	tool := exec.CommandContext(s.t.Context(), "../../../bin/shadowsync", append([]string{"--root", s.Root()}, args...)...)
	tool.Stdin = strings.NewReader(input)
	if said, err := tool.CombinedOutput(); err != nil {
		s.t.Errorf("shadowsync --root DIR %q: %v\n%s", args, err, said)
	}
}
