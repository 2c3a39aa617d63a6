package setup_test

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// askingServices configures services that ask for a second factor.
func askingServices(m *machine.T, list string) {
	m.MustShell(`sed -i '/^\[second_factor\]/,$d' /etc/shadowsync/shadowsync.toml; printf '[second_factor]\nservices = [` + list + `]\n' >> /etc/shadowsync/shadowsync.toml`)
}

const (
	bothServices = `"sshd", "login"`
	serviceSums  = "sha256sum /etc/pam.d/sshd /etc/pam.d/login /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*; stat -c '%n %a %u:%g' /etc/pam.d/sshd /etc/pam.d/login"
	sshdAsks     = "sshd -T | grep -qx 'kbdinteractiveauthentication yes'"
)

// TestServicesAsk: setup has services ask, and remove leaves their files byte for byte as they were.
func TestServicesAsk(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		before := map[string]string{"sshd": m.ReadFile("/etc/pam.d/sshd"), "login": m.ReadFile("/etc/pam.d/login")}
		sums := m.MustShell(serviceSums)
		others := m.MustShell("cd /etc/pam.d && sha256sum $(ls | grep -v -e '^sshd$' -e '^login$' -e '^common-')")
		m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--account", "user222", "--store", "sqlite")
		askingServices(m, bothServices)

		if dry := m.Must("shadowsync", "setup", "--dry-run"); !strings.Contains(dry, "services that ask for a second factor: sshd, login") || m.MustShell(serviceSums) != sums {
			t.Errorf("a dry run says or does:\n%s", dry)
		}
		if said := m.Must("shadowsync", "setup"); !strings.Contains(said, "AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam") {
			t.Errorf("setup does not tell how key and code are asked for:\n%s", said)
		}
		if again := m.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") {
			t.Errorf("the second setup says:\n%s", again)
		}
		for service, text := range before {
			want, _, err := pamstack.Ask(service, text)
			if got := m.ReadFile("/etc/pam.d/" + service); err != nil || got != want {
				t.Errorf("%s: %v\n%s", service, err, got)
			}
		}
		m.MustShell(sshdAsks)
		wired := m.MustShell(serviceSums)
		m.Must("pam-auth-update", "--force", "--enable", "shadowsync")
		if now := m.MustShell(serviceSums); now != wired {
			t.Errorf("pam-auth-update --force changes the services:\n%s", difference(wired, now))
		}
		unaffected(t, m, others)

		askingServices(m, `"sshd"`)
		m.Must("shadowsync", "setup")
		if m.ReadFile("/etc/pam.d/login") != before["login"] {
			t.Error("login, which is not configured any more, is not as it was")
		}
		m.MustShell("echo '# mine' >> /etc/pam.d/sshd")
		m.Must("shadowsync", "remove")
		if got := m.ReadFile("/etc/pam.d/sshd"); got != before["sshd"]+"# mine\n" {
			t.Errorf("an edited file after remove:\n%s", got)
		}
		m.MustShell("sed -i '$d' /etc/pam.d/sshd")
		if now := m.MustShell(serviceSums); now != sums {
			t.Errorf("after remove:\n%s", difference(sums, now))
		}
		if m.Shell(sshdAsks).Code == 0 {
			t.Error("sshd still asks")
		}
	})
}

// unaffected: whoever has no second factor logs in as ever, and what never asks is not touched.
func unaffected(t *testing.T, m *machine.T, others string) {
	t.Helper()
	if now := m.MustShell("cd /etc/pam.d && sha256sum $(ls | grep -v -e '^sshd$' -e '^login$' -e '^common-')"); now != others {
		t.Errorf("other services changed:\n%s", difference(others, now))
	}
	m.AddUser("plain", "Plain-Trubador-4")
	if !m.Login("plain", "Plain-Trubador-4") || m.Login("plain", "Plain-Trubador-5") {
		t.Error("an account without a second factor does not log in as before")
	}
	m.MustShell("adduser --quiet plain sudo 2>/dev/null || usermod -aG sudo plain")
	if r := m.As("plain").Input("Plain-Trubador-4\n").Run("sudo", "-S", "id", "-u"); r.Stdout != "0\n" {
		t.Errorf("sudo -S: %s", r)
	}
	if r := m.As("plain").Input("Plain-Trubador-4\n").Run("su", "plain", "-c", "id -un"); r.Stdout != "plain\n" {
		t.Errorf("su: %s", r)
	}
	if r := m.Input("Trubador-Gneis-81\nTrubador-Gneis-81\n").Run("passwd", "admin"); !strings.Contains(r.Stdout+r.Stderr, "shadowsync: admin: persisted") {
		t.Errorf("passwd: %s", r)
	}
}

// TestAnInterruptedServiceSetupIsUndone: killed at any point, setup leaves services that remove restores.
func TestAnInterruptedServiceSetupIsUndone(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	sums := m.MustShell(serviceSums)
	m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	for _, after := range []string{"0.1", "0.2", "0.3", "0.4", "0.5", "0.7", "1"} {
		askingServices(m, bothServices)
		m.MustShell("shadowsync setup >/dev/null 2>&1 & pid=$!; sleep " + after + "; kill -9 $pid; wait; while pgrep -f '[p]am-auth-update'; do sleep 0.05; done")
		if after == "1" { // the record of the files is lost too
			m.MustShell("systemctl stop shadowsync.socket shadowsync-operator.socket shadowsync.service; rm -rf /var/lib/shadowsync")
		}
		m.Must("shadowsync", "remove")
		if now := m.MustShell(serviceSums); now != sums {
			t.Fatalf("killed after %s s and removed:\n%s", after, difference(sums, now))
		}
	}
}

// TestServicesThatCannotAsk are refused before anything is changed.
func TestServicesThatCannotAsk(t *testing.T) {
	t.Parallel()
	m := appliance(t, machine.Bookworm)
	m.Must("shadowsync", "setup", "--unit", "128T", "--account", "admin", "--store", "sqlite")
	m.MustShell("cp /etc/pam.d/sshd /root; ln -s sshd /etc/pam.d/linked")
	sums := m.MustShell(serviceSums)
	for _, c := range []struct{ services, breaking, says, mending string }{
		{`"ftp"`, "true", "the PAM service ftp has no file /etc/pam.d/ftp", "true"},
		{`"linked"`, "true", "/etc/pam.d/linked is no regular file", "true"},
		{`"sshd", "cron"`, "true", "cron never asks for a second factor: nobody is there to answer", "true"},
		{`"sshd"`, "sed -i 's/^@include common-auth/auth include common-auth/' /etc/pam.d/sshd", "must include Debian's two files", "cp /root/sshd /etc/pam.d/sshd"},
		{`"sshd"`, "echo nonsense > /etc/ssh/sshd_config.d/99-mine.conf", "its configuration is refused", "rm /etc/ssh/sshd_config.d/99-mine.conf"},
		{`"sshd"`, "cd /usr/lib/*/security && cp pam_shadowsync.so /root/ && cp pam_faildelay.so pam_shadowsync.so", "of a version that cannot ask", "cp /root/pam_shadowsync.so /usr/lib/*/security/"},
	} {
		askingServices(m, c.services)
		m.MustShell(c.breaking)
		if said := m.Run("shadowsync", "setup"); said.Code == 0 || !strings.Contains(said.Stderr+said.Stdout, c.says) {
			t.Errorf("%s: %s", c.says, said)
		}
		m.MustShell(c.mending)
		if now := m.MustShell(serviceSums); now != sums {
			t.Errorf("%s: changed:\n%s", c.says, difference(sums, now))
		}
	}
}
