package scenes

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultFile is the environment of the broker and the hooks in a crash scene.
const faultFile = "/run/fault"

// storeWorkerUnit is the unit in which the broker runs the store's driver.
const storeWorkerUnit = "shadowsync-store-conductor.service"

// armed sets a stage whose shadowsync kills itself by SIGKILL at the step of a reconcile
// that SHADOWSYNC_FAULT names.
func armed(t *testing.T) *stage {
	t.Helper()
	s := set(t, machine.Bookworm, machine.Appliance{}, "[node]", "[settle]\ntime = \"0s\"\n\n[node]")
	s.CopyIn(withFaultPoints(t), "/usr/sbin/shadowsync.new", 0o755)
	for _, unit := range []string{"shadowsync.service", "shadowsync-start@.service"} {
		s.WriteFile("/run/systemd/system/"+unit+".d/50-fault.conf", "[Service]\nEnvironmentFile=-"+faultFile+"\n", 0o644)
	}
	s.MustShell("mv /usr/sbin/shadowsync.new /usr/sbin/shadowsync && systemctl daemon-reload && systemctl restart shadowsync.service")
	return s
}

// arm restarts the broker with a fault point and returns its pid.
func (s *stage) arm(step shadowsync.Step) string {
	s.t.Helper()
	s.WriteFile(faultFile, "SHADOWSYNC_FAULT="+string(step)+"\n", 0o600)
	s.Must("systemctl", "restart", "shadowsync.service")
	return s.brokerPID()
}

// disarm also ends the silence that the PAM module keeps after a broker did not answer it;
// otherwise the next passwd would not announce its change.
func (s *stage) disarm() {
	s.t.Helper()
	s.MustShell("rm -f " + faultFile + " /run/shadowsync/pam-timeout && systemctl restart shadowsync.service")
}

func (s *stage) brokerPID() string {
	s.t.Helper()
	return strings.TrimSpace(s.Must("systemctl", "show", "--property=MainPID", "--value", "shadowsync.service"))
}

// bystanders returns the lines of the shadow file that are not the account's.
func (s *stage) bystanders(account string) string {
	s.t.Helper()
	var others []string
	for line := range strings.Lines(s.ReadFile("/etc/shadow")) {
		if strings.Count(line, ":") != 8 || !strings.HasSuffix(line, "\n") {
			s.t.Errorf("a torn line in the shadow file: %.30q", line)
		}
		if !strings.HasPrefix(line, account+":") {
			others = append(others, line)
		}
	}
	return strings.Join(others, "")
}

// sha512crypt makes a hash as an application does that does not know yescrypt.
func sha512crypt(t *testing.T, password string) string {
	t.Helper()
	hash, err := crypt.Generate(format.SHA512, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// bothOpen reports whether both sides hold the same hash, and it is of this password.
func (s *stage) bothOpen(account, password string) bool {
	s.t.Helper()
	os, store := s.ShadowHash(account), s.StoreHash(account)
	ok, err := crypt.Verify(os, []byte(password))
	return err == nil && ok && os == store
}

// deed is a change during which a program of ours dies.
type deed struct {
	name string
	// do makes the change and reports whether it was acknowledged.
	do func(s *stage, step shadowsync.Step, password string) bool
	// tool: the program that dies is started by do; it is not the broker.
	tool bool
	// skips are the steps that this kind of change does not have.
	skips []shadowsync.Step
}

var deeds = []deed{
	{
		name: "passwd by root, the daemon dies",
		do: func(s *stage, _ shadowsync.Step, password string) bool {
			s.passwd("admin", password)
			return true
		},
		skips: []shadowsync.Step{shadowsync.StepOSWritten},
	},
	{
		name: "passwd by root with no store there, the daemon dies",
		do: func(s *stage, step shadowsync.Step, password string) bool {
			pid := s.brokerPID()
			s.Must("mv", storeFolder, storeFolder+".away")
			defer s.Must("mv", storeFolder+".away", storeFolder)
			s.passwd("admin", password)
			s.eventually("the broker dies", machine.Patience, func() bool { return s.brokerDied(pid) })
			if step == shadowsync.StepGuarded {
				// Each new broker dies there again; the first one perhaps before it knew of the change. If passwd has
				// ended before one can ask who runs it, nobody knows that it was root.
				s.eventually("the change is root's", machine.Patience, func() bool {
					if a := s.state("admin"); a.LastChange != nil && a.LastChange.By == "root" && a.State == "pending" {
						return true
					}
					s.askAgain()
					s.passwd("admin", password)
					return false
				})
				s.eventually("the unit is held", machine.Patience, func() bool {
					return s.Guarded()
				})
				s.isHeld("admin")
			}
			return true
		},
		// A change that waits for its store is recorded in one step.
		skips: []shadowsync.Step{shadowsync.StepJournalled, shadowsync.StepOSWritten, shadowsync.StepPersisted, shadowsync.StepVerified},
	},
	{
		name: "usermod -p by root, the daemon that saw it dies",
		do: func(s *stage, _ shadowsync.Step, password string) bool {
			s.Must("usermod", "-p", sha512crypt(s.t, password), "admin")
			return true
		},
		skips: []shadowsync.Step{shadowsync.StepOSWritten, shadowsync.StepLoggedOut},
	},
	{
		name: "user set password, the tool dies",
		tool: true,
		do: func(s *stage, step shadowsync.Step, password string) bool {
			// A running broker would do some of the steps instead of the tool.
			s.MustShell("systemctl stop shadowsync.service shadowsync.socket")
			r := s.Env("SHADOWSYNC_FAULT="+string(step)).Input(password+"\n").Run("shadowsync", "user", "set", "password", "admin", "--stdin")
			if r.Code != 128+9 {
				s.t.Errorf("the tool did not die: %s", r)
			}
			s.MustShell("systemctl start shadowsync.socket shadowsync.service")
			// Before the OS is written nothing has changed; after that the change must hold.
			return step != shadowsync.StepJournalled
		},
	},
	{
		name: "usermod -p while nothing of ours runs, the start hook dies",
		tool: true,
		do: func(s *stage, step shadowsync.Step, password string) bool {
			s.MustShell("systemctl stop shadowsync.service shadowsync.socket")
			s.Must("usermod", "-p", sha512crypt(s.t, password), "admin")
			hook := []string{"shadowsync", "hook", "pre-start", "--unit", machine.ApplianceUnit}
			if r := s.Env("SHADOWSYNC_FAULT=" + string(step)).Run(hook...); r.Code != 128+9 {
				s.t.Errorf("the hook did not die: %s", r)
			}
			s.Must(hook...)
			if !s.bothOpen("admin", password) {
				s.t.Error("the next hook did not finish what the dead one began")
			}
			s.MustShell("systemctl start shadowsync.socket shadowsync.service")
			return true
		},
		skips: []shadowsync.Step{shadowsync.StepOSWritten, shadowsync.StepLoggedOut},
	},
	{
		name: "the application writes its old value back, the daemon dies",
		do: func(s *stage, _ shadowsync.Step, password string) bool {
			old := s.StoreHash("admin")
			s.MustShell("systemctl stop shadowsync.service shadowsync.socket")
			s.Input(password+"\n").Must("shadowsync", "user", "set", "password", "admin", "--stdin")
			s.MustShell("systemctl start shadowsync.socket shadowsync.service")
			s.swapStore(s.StoreHash("admin"), old)
			return true
		},
		skips: []shadowsync.Step{shadowsync.StepOSWritten, shadowsync.StepLoggedOut},
	},
	{
		name: "the application sets a password, the daemon dies",
		do: func(s *stage, _ shadowsync.Step, password string) bool {
			s.AskAppliance("set", "admin", sha512crypt(s.t, password))
			return true
		},
		skips: []shadowsync.Step{shadowsync.StepPersisted, shadowsync.StepLoggedOut},
	},
}

// swapStore writes a hash over another in the store, as the application would.
func (s *stage) swapStore(from, to string) {
	s.t.Helper()
	text := strings.Replace(s.ReadFile(machine.StorePath), from, to, 1)
	s.WriteFile(machine.StorePath+".app", text, 0o600)
	s.MustShell(fmt.Sprintf("chown %[2]s: %[1]s.app && mv %[1]s.app %[1]s", machine.StorePath, machine.StoreOwner))
}

// TestKillAtEveryStep: a reconcile that dies at any step is finished by the next one.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	s := armed(t)
	others := s.bystanders("admin")
	for i, d := range deeds {
		for j, step := range shadowsync.Steps {
			if slices.Contains(d.skips, step) {
				continue
			}
			t.Run(d.name+"/"+string(step), func(t *testing.T) {
				s := &stage{T: s.T, t: t}
				password := fmt.Sprintf("Crash-%d-%d-velvet", i, j)
				s.killed(d, step, password)
				if s.bystanders("admin") != others {
					t.Error("other lines of the shadow file changed")
				}
			})
		}
	}
	if r := s.Run("shadowsync", "audit", "--verify"); r.Code != 0 {
		t.Errorf("audit --verify: %s", r)
	}
}

func (s *stage) killed(d deed, step shadowsync.Step, password string) {
	s.t.Helper()
	var pid string
	if !d.tool {
		pid = s.arm(step)
	}
	acknowledged := d.do(s, step, password)
	if !d.tool {
		s.eventually("the broker dies at its step", machine.Patience, func() bool { return s.brokerDied(pid) })
		s.disarm()
	}
	if acknowledged {
		s.eventually("both sides hold the new password", machine.Patience, func() bool { return s.bothOpen("admin", password) })
	}
	s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	s.eventually("nothing is held", machine.Patience, func() bool {
		return !s.Guarded()
	})
	s.inStore("admin")
}

// brokerDied reports whether the process is gone.
func (s *stage) brokerDied(pid string) bool {
	return s.Run("test", "-d", "/proc/"+pid).Code != 0
}

// TestKilledStoreWorker: the worker dies again and again while passwords change.
func TestKilledStoreWorker(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	others := s.bystanders("admin")
	killer := s.Start("sh", "-c", "while :; do systemctl kill -s KILL "+storeWorkerUnit+" 2>/dev/null; sleep 0.$((1 + $(date +%s) % 4)); done")
	said := map[bool]int{}
	for i := range 20 {
		password := fmt.Sprintf("Worker-%d-velvet", i)
		persisted := strings.Contains(s.passwd("admin", password), ": persisted")
		said[persisted]++
		if persisted && !s.bothOpen("admin", password) {
			t.Errorf("passwd %d said persisted, and it is not", i)
		}
	}
	if err := killer.Stop(); err != nil {
		t.Fatal(err)
	}
	died := strings.Count(s.Journal("--unit", storeWorkerUnit), "code=killed")
	t.Logf("persisted at once: %d of 20, with %d workers killed", said[true], died)
	if died < 3 {
		t.Error("too few workers were killed to tell anything")
	}
	s.eventually("the last password drains into the store", machine.Patience, func() bool { return s.bothOpen("admin", "Worker-19-velvet") })
	s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	s.eventually("the next worker is there, and killed", machine.Patience, func() bool {
		return s.Run("systemctl", "kill", "-s", "KILL", storeWorkerUnit).Code == 0
	})
	hash := sha512crypt(t, "Worker-idle-velvet")
	s.AskAppliance("set", "admin", hash)
	s.eventually("a change by the application is seen after the idle worker died", machine.Patience, func() bool { return s.ShadowHash("admin") == hash })
	if s.bystanders("admin") != others {
		t.Error("other lines of the shadow file changed")
	}
	if left := s.MustShell("ls -A /var/lib/128technology"); strings.TrimSpace(left) != filepath.Base(machine.StorePath) {
		t.Errorf("left behind beside the store: %q", left)
	}
}
