package setup_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/machine"
)

// appliance boots a machine with the appliance on it, and our programs.
func appliance(t *testing.T, release machine.Release) *machine.T {
	t.Helper()
	m := machine.Boot(t, release)
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	return m
}

func TestSetupThenRemoveLeavesEtcAsItWas(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			m := appliance(t, release)
			before := m.Etc()

			first := m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--account", "user222")
			if !strings.Contains(first, "account   admin (128T): adopted") {
				t.Errorf("the first setup says:\n%s", first)
			}
			if again := m.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") || strings.Contains(again, "done ") {
				t.Errorf("the second setup says:\n%s", again)
			}
			if line := m.Must("grep", "pam_shadowsync", "/etc/pam.d/common-password"); !strings.Contains(line, "optional") {
				t.Errorf("the PAM line: %q", line)
			}
			said := m.Input("Trubador-Gneis-81\nTrubador-Gneis-81\n").Run("passwd", "admin")
			if !strings.Contains(said.Stdout+said.Stderr, "shadowsync: admin: persisted in 128T's credential store") {
				t.Errorf("passwd says: %s", said)
			}

			removed := m.Must("shadowsync", "remove")
			m.Must("pam-auth-update", "--package")
			if after := m.Etc(); after != before {
				t.Errorf("/etc differs after remove:\n%s\nremove said:\n%s", difference(before, after), removed)
			}
			for _, left := range []string{"/run/shadowsync", "/run/systemd/system/128T.service.d"} {
				if m.Shell("test -e "+left).Code == 0 {
					t.Errorf("%s is left: %s", left, m.MustShell("ls -la "+left))
				}
			}
			if m.Shell("test -s /var/lib/shadowsync/state/state.db").Code != 0 {
				t.Error("the state is gone without --purge")
			}
			if again := m.Must("shadowsync", "remove"); !strings.Contains(again, "Nothing to do") {
				t.Errorf("the second remove says:\n%s", again)
			}
			const list = "/etc/shadowsync/accounts.d/128T.list"
			m.WriteFile(list, "guest\n", 0o600)
			if kept := m.Must("shadowsync", "remove"); !strings.Contains(kept, list+" is kept") || m.ReadFile(list) != "guest\n" {
				t.Errorf("with a list of accounts remove says:\n%s", kept)
			}
			m.Must("shadowsync", "remove", "--purge")
			if m.Shell("test -e /var/lib/shadowsync").Code == 0 {
				t.Error("the state is left after --purge")
			}
			if m.Shell("test -e /etc/shadowsync/accounts.d").Code == 0 {
				t.Error("the list is left after --purge")
			}
			m.Must("systemctl", "restart", machine.ApplianceUnit)
		})
	}
}

// A guard is on because the store's folder is missing; remove says that a change waits,
// and forced, takes the guard along.
func TestRemoveWithAGuardOn(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.Configure()
	before := m.Etc()
	m.Must("shadowsync", "setup", "--first", "os")
	folder := machine.StorePath[:strings.LastIndex(machine.StorePath, "/")]
	m.Must("mv", folder, folder+".away")
	m.Input("Trubador-Gneis-81\nTrubador-Gneis-81\n").Must("passwd", "admin")
	m.WaitFor("the guard", machine.Patience, m.Guarded)
	if held := m.Run("systemctl", "restart", machine.ApplianceUnit); held.Code == 0 {
		t.Errorf("the appliance was restarted under a guard: %s", held)
	}

	refused := m.Run("shadowsync", "remove")
	if refused.Code != 3 || !strings.Contains(refused.Stderr, "admin") {
		t.Errorf("remove with a change waiting: %s", refused)
	}
	if m.Shell("grep -q pam_shadowsync /etc/pam.d/common-password").Code != 0 {
		t.Error("a refused remove has begun its work")
	}
	m.Must("shadowsync", "remove", "--force")
	m.Must("pam-auth-update", "--package")
	if after := m.Etc(); after != before {
		t.Errorf("/etc differs after remove:\n%s", difference(before, after))
	}
	if left := m.MustShell("ls -a /run/systemd/system; systemctl list-units --all 'shadowsync*' --no-legend"); strings.Contains(left, "shadowsync") || strings.Contains(left, "128T") {
		t.Errorf("left of the guard:\n%s", left)
	}
	m.Must("mv", folder+".away", folder)
	m.Must("systemctl", "restart", machine.ApplianceUnit)
}

// Killed at any point, setup leaves what remove takes away, and what setup finishes.
func TestAnInterruptedSetupIsUndone(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	for _, after := range []string{"0.02", "0.05", "0.1", "0.15", "0.2", "0.3", "0.4", "0.6"} {
		m.MustShell(`shadowsync setup --unit 128T --account admin >/dev/null 2>&1 & pid=$!
			sleep ` + after + `; kill -9 $pid; wait
			while pgrep -f '[p]am-auth-update'; do sleep 0.05; done`)
		m.Must("shadowsync", "remove")
		if now := m.Etc(); now != before {
			t.Fatalf("/etc after setup was killed after %s s and removed:\n%s", after, difference(before, now))
		}
	}
	m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin")
	if again := m.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("setup after all that:\n%s", again)
	}
}

// What somebody changed since setup is theirs: it is left and named.
func TestRemoveLeavesWhatWasChanged(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.Must("shadowsync", "setup", "--unit", "128T.service", "--account", "admin")
	m.MustShell("echo '# mine' >> /etc/shadowsync/shadowsync.toml; echo '# mine' >> /etc/systemd/system/128T.service.d/50-shadowsync.conf")
	removed := m.Must("shadowsync", "remove")
	for _, path := range []string{"/etc/shadowsync/shadowsync.toml", "/etc/systemd/system/128T.service.d/50-shadowsync.conf"} {
		if !strings.Contains(removed, path+" was changed since setup wrote it") || m.Shell("grep -q mine "+path).Code != 0 {
			t.Errorf("%s: remove says:\n%s", path, removed)
		}
	}
}

// OS and store differ, nothing tells which is right: nothing may be wired.
func TestFirstDifferenceWiresNothing(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.Configure()
	m.Input("admin:Trubador-Gneis-81\n").Must("chpasswd")
	before := m.Etc()
	stopped := m.Run("shadowsync", "setup")
	if stopped.Code != 4 {
		t.Errorf("setup over a difference: %s", stopped)
	}
	said := stopped.Stdout + stopped.Stderr
	today := strings.TrimSpace(m.Must("date", "+%F"))
	for _, text := range []string{"admin", "yescrypt  " + today + "  sha512crypt  unknown", "shadowsync setup --first os"} {
		if !strings.Contains(said, text) {
			t.Errorf("setup does not say %q:\n%s", text, said)
		}
	}
	if strings.Contains(said, "user222") || strings.Contains(said, "$y$") {
		t.Errorf("setup says too much:\n%s", said)
	}
	if after := m.Etc(); after != before {
		t.Errorf("something is wired:\n%s", difference(before, after))
	}
	if planned := m.Must("shadowsync", "setup", "--first", "store", "--dry-run"); !strings.Contains(planned, "to do ") {
		t.Errorf("a dry run says:\n%s", planned)
	}
	if after := m.Etc(); after != before {
		t.Errorf("a dry run changed something:\n%s", difference(before, after))
	}
	m.Must("shadowsync", "setup", "--first", "store")
	if !m.Login("admin", machine.OldPassword) {
		t.Error("--first store did not put the store's password into the OS")
	}
}

// A configuration written in this run goes again with a failure before the wiring.
func TestFailedImportTakesTheConfigurationBack(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	m.MustShell("mkdir -p /var/lib/shadowsync/credentials.db && chmod 700 /var/lib/shadowsync")
	if failed := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin"); failed.Code == 0 {
		t.Errorf("setup with no place for the store: %s", failed)
	}
	if after := m.Etc(); after != before {
		t.Errorf("something is left:\n%s", difference(before, after))
	}
}

func TestChecksComeFirst(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	cases := []struct{ breaking, args, says string }{
		{"true", "--unit nowhere --account admin", "the unit nowhere.service is not-found"},
		{"true", "--unit 128T --account nobody-here", "the account nobody-here is not in /etc/passwd"},
		{"true", "", "there is no configuration yet"},
		{"rm /usr/lib/systemd/system/shadowsync.socket", "--unit 128T --account admin", "the unit shadowsync.socket is missing"},
		{"rm /usr/lib/*/security/pam_shadowsync.so", "--unit 128T --account admin", "PAM module"},
	}
	for _, c := range cases {
		m.MustShell(c.breaking)
		if said := m.Shell("shadowsync setup " + c.args); said.Code == 0 || !strings.Contains(said.Stderr, c.says) {
			t.Errorf("setup %s: %s; want %q", c.args, said, c.says)
		}
	}
	if after := m.Etc(); after != before {
		t.Errorf("something was done:\n%s", difference(before, after))
	}
	worksElsewhere(t, m)
}

// pam-auth-update prints that it leaves an edited file alone, and exits 0. A stack
// that it does write may still be one that would announce failed changes.
func TestStacksThatNeedAPersonAreNamed(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, edit string
		says       []string
	}{
		{"edited", `s/requisite\(.*pam_pwquality\)/required\1/`, []string{"was edited by hand", "pam-auth-update --force --enable shadowsync"}},
		{"misshapen", "s/pam_deny.so/pam_debug.so/", []string{"reached after a failed change", "pam_deny.so"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := appliance(t, machine.Bookworm)
			m.Must("sed", "-i", c.edit, "/etc/pam.d/common-password")
			said := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin")
			if said.Code != 1 {
				t.Errorf("setup: %s", said)
			}
			for _, text := range c.says {
				if !strings.Contains(said.Stdout+said.Stderr, text) {
					t.Errorf("setup does not say %q: %s", text, said)
				}
			}
		})
	}
}

// A system that is mounted elsewhere is prepared as far as it can be.
func TestSetupOfAMountedSystem(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.MustShell("mkdir /mnt/system && mount --bind / /mnt/system")
	before := m.Etc()
	said := m.Must("shadowsync", "setup", "--root", "/mnt/system", "--unit", "128T", "--account", "admin")
	for _, text := range []string{"done      hooks around 128T.service", "left out  lines in the PAM stacks"} {
		if !strings.Contains(said, text) {
			t.Errorf("setup of a mounted system does not say %q:\n%s", text, said)
		}
	}
	m.Must("test", "-L", "/etc/systemd/system/sockets.target.wants/shadowsync.socket")
	if m.Shell("systemctl is-active shadowsync.service").Code == 0 {
		t.Error("the broker of a mounted system was started")
	}
	m.Must("shadowsync", "remove", "--root", "/mnt/system")
	if after := m.Etc(); after != before {
		t.Errorf("/etc differs after remove:\n%s", difference(before, after))
	}
}

// difference lists the lines that only one of two listings has.
func difference(before, after string) string {
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(after) {
		count[line]++
	}
	var lines []string
	for line, n := range count {
		switch {
		case n < 0:
			lines = append(lines, "-"+line)
		case n > 0:
			lines = append(lines, "+"+line)
		}
	}
	text, _ := json.MarshalIndent(lines, "", " ")
	return string(text)
}
