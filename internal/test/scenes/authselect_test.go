package scenes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// fedoraServices let passwd, login, su and sshd read the stacks that authselect writes, as Fedora's files do.
const fedoraServices = `mkdir -p /etc/authselect/custom /etc/dconf/db/distro.d/locks # Debian's package has none of them
all() { for kind in auth account password session; do echo "$kind substack $1"; done; }
for service in passwd login; do all system-auth >/etc/pam.d/$service; done
all password-auth >/etc/pam.d/sshd
{ echo "auth sufficient pam_rootok.so"; all system-auth; } >/etc/pam.d/su
mv /usr/sbin/pam-auth-update /root
authselect select local with-faillock with-pwhistory --force`

// makeProfile is the script that the RPM has.
const makeProfile = "/usr/share/shadowsync/authselect/make-profile"

// TestAuthselect: the profile that make-profile makes of Fedora's keeps what that one does, and brings a change into the
// store. Authselect and its profiles are real; the rest of the system is Debian, not Fedora.
func TestAuthselect(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Trixie, machine.Options{Layer: machine.Authselect})
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	m.Configure("[[application]]", "[password]\nmin_length = 15\n\n[[application]]")
	m.Must("mkdir", "-p", filepath.Dir(makeProfile))
	m.CopyIn("../../admin/packages/rpm/authselect/make-profile", makeProfile, 0o755)
	m.MustShell(fedoraServices)
	s := &stage{T: m, t: t}
	s.sub("profiles", func(s *stage) { s.everyProfile() })

	if r := m.Run("shadowsync", "setup", "--first", "os"); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, makeProfile) {
		t.Errorf("setup with a profile of Fedora's: %s", r)
	}
	said := m.Must(makeProfile)
	_, selects, _ := strings.Cut(said, "\n")
	if selects = strings.TrimSpace(selects); selects != "authselect select custom/shadowsync with-faillock with-pwhistory" {
		t.Fatalf("make-profile says:\n%s", said)
	}
	m.MustShell(selects)
	if r := m.Run(makeProfile); r.Code != 1 || !strings.Contains(r.Stderr, "exists") {
		t.Errorf("make-profile again: %s", r)
	}
	m.Must("shadowsync", "setup", "--first", "os")
	s.sub("change", func(s *stage) { s.changesByProfile() })
	s.sub("login", func(s *stage) { s.loginsByProfile() })
}

// everyProfile makes the profile of each that authselect has, and with features that add and remove lines around ours.
func (s *stage) everyProfile() {
	for _, one := range []struct{ profile, features string }{
		{"local", ""},
		{"local", "with-systemd-homed with-fingerprint with-pam-u2f without-nullok"},
		{"sssd", ""},
		{"sssd", "with-faillock with-pwhistory with-gssapi"},
		{"sssd", "with-smartcard"},
		{"winbind", "with-krb5"},
		{"nis", "with-faillock"},
	} {
		s.Must(makeProfile, one.profile)
		s.MustShell("authselect select custom/shadowsync --force --nobackup " + one.features)
		for _, name := range []string{"system-auth", "password-auth"} {
			s.stackIsRight(one.profile+" "+one.features+": "+name, s.ReadFile("/etc/pam.d/"+name))
		}
		s.MustShell("authselect select local with-faillock with-pwhistory --nobackup && rm -r /etc/authselect/custom/shadowsync")
	}
	s.MustShell("mkdir /etc/authselect/custom/strange && cp -L /usr/share/authselect/default/local/* /etc/authselect/custom/strange && " +
		"sed -i 's/^auth *sufficient *pam_unix/auth [success=2 default=ignore] pam_unix/' /etc/authselect/custom/strange/password-auth")
	if r := s.Run(makeProfile, "custom/strange"); r.Code != 1 || !strings.Contains(r.Stderr, "edit a copy by hand") {
		s.t.Errorf("of a profile whose lines it does not know: %s", r)
	}
	if r := s.Run("ls", "/etc/authselect/custom"); r.Stdout != "strange\n" {
		s.t.Errorf("half a profile was left: %s", r)
	}
}

// stackIsRight checks a file of authselect's as setup does.
func (s *stage) stackIsRight(what, text string) {
	s.t.Helper()
	root := s.t.TempDir()
	path := filepath.Join(root, "etc/pam.d/stack")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	for _, duty := range []pamstack.Duty{pamstack.Judge, pamstack.Announce, pamstack.Login} {
		lines, err := pamstack.Read(root, "stack", duty.Kind)
		if err == nil {
			err = duty.Check(lines)
		}
		if err != nil {
			s.t.Errorf("%s: the line that %s: %v\n%s", what, duty.Name, err, text)
		}
	}
}

func (s *stage) changesByProfile() {
	s.persists("user222", oldPassword, "conductor's")
	s.inStore("user222")
	// A rule of ours, judged before pam_unix.so stores anything.
	before := s.ShadowHash("user222")
	if r := s.As("user222").Input(oldPassword + "\nVelvet-62-hrb\nVelvet-62-hrb\n").Run("passwd"); r.Code == 0 || s.ShadowHash("user222") != before {
		s.t.Errorf("a password that is too short: %s", r)
	}
	// What pam_unix.so cannot store is no success, although a line behind it succeeds.
	s.Must("chattr", "+i", "/etc/shadow")
	r := s.Input(newPassword+"\n"+newPassword+"\n").Run("passwd", "user222")
	s.Must("chattr", "-i", "/etc/shadow")
	if r.Code == 0 || strings.Contains(r.Stdout+r.Stderr, "persisted") || s.ShadowHash("user222") != before {
		s.t.Errorf("a shadow file that cannot be written: %s", r)
	}
	s.inStore("user222")
}

func (s *stage) loginsByProfile() {
	s.opens("user222", oldPassword, newPassword)
	if counted := s.Must("faillock", "--user", "user222"); !strings.Contains(counted, " V") {
		s.t.Errorf("pam_faillock has not counted the wrong password:\n%s", counted)
	}
	s.MustShell("faillock --user user222 --reset")
	for password, want := range map[string]int{oldPassword: 0, newPassword: 1} {
		if r := s.As("nobody").Input(password+"\n").Run("su", "user222", "-c", "true"); r.Code != want {
			s.t.Errorf("su with %q: %s", password, r)
		}
	}
}
