package setup_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// appliance boots a machine with the appliance and our programs.
func appliance(t *testing.T, release machine.Release) *machine.T {
	t.Helper()
	m := machine.Boot(t, release)
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	return m
}

// onEachRelease plays a test on an appliance of each release.
func onEachRelease(t *testing.T, play func(t *testing.T, m *machine.T)) {
	t.Helper()
	t.Parallel()
	machine.Need(t)
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			play(t, appliance(t, release))
		})
	}
}

func TestSetupThenRemoveLeavesEtcAsItWas(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		before := m.Etc()

		first := m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--account", "user222", "--store", "sqlite")
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

		shadowOfMode0000(t, m)

		removed := m.Must("shadowsync", "remove")
		m.Must("pam-auth-update", "--package")
		if after := m.Etc(); after != before {
			t.Errorf("/etc differs after remove:\n%s\nremove said:\n%s", difference(before, after), removed)
		}
		for _, left := range []string{"/run/shadowsync", "/run/systemd/system/128T.service.d"} {
			if m.Shell("test -e "+left).Code == 0 {
				t.Errorf("%s is left as it is: %s", left, m.MustShell("ls -la "+left))
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

// shadowOfMode0000: if root needs a capability to read /etc/shadow, as on Fedora, the broker gets
// it. Without that mode it loses it again.
func shadowOfMode0000(t *testing.T, m *machine.T) {
	t.Helper()
	for _, mode := range []struct{ mode, dropIn string }{{"0000", "yes"}, {"0640", "no"}} {
		m.Must("chmod", mode.mode, "/etc/shadow")
		said := m.Must("shadowsync", "setup")
		if there := strings.TrimSpace(m.MustShell("test -e /etc/systemd/system/shadowsync.service.d/50-shadow-mode.conf && echo yes || echo no")); there != mode.dropIn {
			t.Errorf("shadow has mode %s, the drop-in is there: %s\n%s", mode.mode, there, said)
		}
		if again := m.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") {
			t.Errorf("shadow has mode %s: setup again says:\n%s", mode.mode, again)
		}
		passwd := m.Input("Trubador-Gneis-82\nTrubador-Gneis-82\n").Run("passwd", "admin")
		if !strings.Contains(passwd.Stdout+passwd.Stderr, "shadowsync: admin: persisted in 128T's credential store") {
			t.Errorf("shadow has mode %s: passwd says: %s", mode.mode, passwd)
		}
	}
}

// The guard is on because the store's folder is missing. remove says that a change is pending;
// remove --force also removes the guard.
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

// Killed at any point, setup leaves a machine that remove can clean up and setup can finish.
func TestAnInterruptedSetupIsUndone(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	for _, after := range []string{"0.02", "0.05", "0.1", "0.15", "0.2", "0.3", "0.4", "0.6"} {
		m.MustShell(`shadowsync setup --unit 128T --account admin --store sqlite >/dev/null 2>&1 & pid=$!
			sleep ` + after + `; kill -9 $pid; wait
			while pgrep -f '[p]am-auth-update'; do sleep 0.05; done`)
		m.Must("shadowsync", "remove")
		if now := m.Etc(); now != before {
			t.Fatalf("/etc after setup was killed after %s s and removed:\n%s", after, difference(before, now))
		}
	}
	m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	if again := m.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("setup after all that:\n%s", again)
	}
}

// A unit that systemd would refuse with our hooks gets only those that it has room for, or none,
// and starts as before.
func TestUnitsWithoutRoomForHooks(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	const folder, ours = "/etc/systemd/system/128T.service.d", "/etc/systemd/system/128T.service.d/50-shadowsync.conf"
	isolates := "mkdir -p " + folder + "; printf '[Unit]\\nOnFailure=emergency.service\\nOnFailureJobMode=isolate\\n' > " + folder + "/10-vendor.conf"

	m.MustShell("ln -s /etc/systemd/system/128T.service /etc/systemd/system/router.service; systemctl daemon-reload")
	if said := m.Run("shadowsync", "setup", "--unit", "router", "--account", "admin", "--store", "sqlite"); said.Code == 0 || !strings.Contains(said.Stderr, "another name of 128T.service") {
		t.Errorf("setup of an alias: %s", said)
	}
	m.MustShell("rm /etc/systemd/system/router.service; systemctl daemon-reload")

	m.MustShell(isolates) // systemd has not read this yet
	said := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	if said.Code != 1 || !strings.Contains(said.Stderr, `systemd has it as "bad-setting"; they are taken back`) {
		t.Errorf("setup of a unit that is refused with our hooks: %s", said)
	}
	m.Must("systemctl", "restart", machine.ApplianceUnit)
	if m.Shell("test -e "+ours).Code == 0 || m.Shell("grep -r pam_shadowsync /etc/pam.d").Code == 0 {
		t.Error("something is wired")
	}

	wired := m.Must("shadowsync", "setup")
	if !strings.Contains(wired, "OnFailureJobMode=isolate") || strings.Contains(m.ReadFile(ours), "OnFailure=") || !strings.Contains(m.ReadFile(ours), "OnSuccess=") {
		t.Errorf("setup of a unit that isolates says:\n%s\nand writes:\n%s", wired, m.ReadFile(ours))
	}
	m.Must("systemctl", "restart", machine.ApplianceUnit)
	m.Must("shadowsync", "doctor")

	// setup replaces what an older version wrote.
	m.MustShell("printf '[Service]\\nExecStopPost=-+/usr/sbin/shadowsync hook post-stop --unit %%n\\n' > " + ours + "; systemctl daemon-reload")
	if said := m.Run("shadowsync", "doctor"); said.Code == 0 || !strings.Contains(said.Stdout, "runs our program as root") {
		t.Errorf("doctor about an old drop-in: %s", said)
	}
	m.Must("shadowsync", "setup")
	if text := m.ReadFile(ours); strings.Contains(text, "Exec") || m.Shell("systemctl show -P ExecStopPost 128T.service | grep shadowsync").Code == 0 {
		t.Errorf("setup left the old drop-in:\n%s", text)
	}
	longName(t, m)
}

// longName: the longest name that setup accepts has working hooks, and a longer one is refused.
func longName(t *testing.T, m *machine.T) {
	t.Helper()
	m.Must("shadowsync", "remove", "--purge")
	stem := `we\x2dird@` + strings.Repeat("x", 228-len(`we\x2dird@`))
	m.MustShell(`printf '[Service]\nExecStart=sleep infinity\n' > '/etc/systemd/system/we\x2dird@.service'; systemctl daemon-reload`)
	if said := m.Run("shadowsync", "setup", "--unit", stem+"x", "--account", "user222", "--store", "sqlite"); said.Code == 0 || !strings.Contains(said.Stderr, "a unit's name may have 236") {
		t.Errorf("setup of a name that is too long: %s", said)
	}
	m.Must("shadowsync", "setup", "--unit", stem, "--account", "user222", "--store", "sqlite")
	m.Must("systemctl", "start", stem+".service")
	m.WaitFor("the watch", machine.Patience, func() bool {
		return m.Run("systemctl", "is-active", "shadowsync-settle@"+stem+".service").Code == 0
	})
	m.Must("shadowsync", "doctor")
	m.Must("shadowsync", "guard", "hold", stem+".service")
	if held := m.Run("systemctl", "stop", stem+".service"); held.Code == 0 {
		t.Errorf("a held unit was stopped: %s", held)
	}
	m.Must("shadowsync", "guard", "release", stem+".service")
	m.Must("systemctl", "stop", stem+".service")
	if failed := m.Must("systemctl", "--failed", "--no-legend", "--plain"); strings.Contains(failed, "shadowsync") {
		t.Errorf("these failed:\n%s", failed)
	}
	m.Must("shadowsync", "remove")
}

// remove leaves and names files that were changed since setup.
func TestRemoveLeavesWhatWasChanged(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.Must("shadowsync", "setup", "--unit", "128T.service", "--account", "admin", "--store", "sqlite")
	m.MustShell("echo '# mine' >> /etc/shadowsync/shadowsync.toml; echo '# mine' >> /etc/systemd/system/128T.service.d/50-shadowsync.conf")
	removed := m.Must("shadowsync", "remove")
	for _, path := range []string{"/etc/shadowsync/shadowsync.toml", "/etc/systemd/system/128T.service.d/50-shadowsync.conf"} {
		if !strings.Contains(removed, path+" was changed since setup wrote it") || m.Shell("grep -q mine "+path).Code != 0 {
			t.Errorf("%s: remove says:\n%s", path, removed)
		}
	}
}

// OS and store differ and nothing shows which is right, so nothing may be wired.
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

// If setup fails before the wiring, it removes a configuration that it has written.
func TestFailedImportTakesTheConfigurationBack(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	m.MustShell("mkdir -p /var/lib/shadowsync/credentials.db && chmod 700 /var/lib/shadowsync")
	if failed := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite"); failed.Code == 0 {
		t.Errorf("setup with no place for the store: %s", failed)
	}
	if after := m.Etc(); after != before {
		t.Errorf("something is left as it is:\n%s", difference(before, after))
	}
}

func TestChecksComeFirst(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	before := m.Etc()
	cases := []struct{ breaking, args, says string }{
		{"true", "--unit nowhere --account admin --store sqlite", "there is no unit nowhere.service"},
		{"true", "--unit 128T --account nobody-here --store sqlite", "the account nobody-here is not in /etc/passwd"},
		{"true", "", "there is no configuration yet"},
		{"true", "--unit 128T --account admin", "--store is missing"},
		{"rm /usr/lib/systemd/system/shadowsync.socket", "--unit 128T --account admin --store sqlite", "the unit shadowsync.socket is missing"},
		{"rm /usr/lib/*/security/pam_shadowsync.so", "--unit 128T --account admin --store sqlite", "PAM module"},
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

// pam-auth-update leaves an edited file alone, says so, and exits with 0. Even a stack that it
// writes may announce failed changes.
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
			said := m.Run("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
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

// Setup prepares a mounted system as far as possible.
func TestSetupOfAMountedSystem(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.MustShell("mkdir /mnt/system && mount -t tmpfs tmpfs /mnt/system && cp -a /etc /var /bin /sbin /lib /lib64 /mnt/system/ && " +
		"mkdir /mnt/system/usr && mount --bind /usr /mnt/system/usr")
	const sums = "cd /mnt/system/etc && find . -type f -exec sha256sum {} + | sort -k 2 && find . -type l -printf '%p %l\\n' | sort"
	before, own := m.MustShell(sums), m.Etc()
	said := m.Must("shadowsync", "setup", "--root", "/mnt/system", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	for _, text := range []string{"done      hooks around 128T.service", "left out  lines in the PAM stacks"} {
		if !strings.Contains(said, text) {
			t.Errorf("setup of a mounted system does not say %q:\n%s", text, said)
		}
	}
	m.Must("test", "-L", "/mnt/system/etc/systemd/system/sockets.target.wants/shadowsync.socket")
	if m.Shell("systemctl is-active shadowsync.service").Code == 0 {
		t.Error("the broker of a mounted system was started")
	}
	m.MustShell("sed -i '/^admin:/s|:[^:]*$|:/usr/bin/pcli|' /mnt/system/etc/passwd")
	if said := m.Must("shadowsync", "remove", "--root", "/mnt/system"); !strings.Contains(said, "admin has the shell /bin/bash now, as before pcli") {
		t.Errorf("remove of a mounted system says:\n%s", said)
	}
	if after := m.MustShell(sums); after != before {
		t.Errorf("its /etc differs after remove:\n%s", difference(before, after))
	}
	if after := m.Etc(); after != own {
		t.Errorf("the running system's /etc differs:\n%s", difference(own, after))
	}
}

// difference returns the lines that are in only one of two listings.
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
