package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// yescrypted makes a hash that the store of these scenes does not take.
func (s *stage) yescrypted(password string) string {
	s.t.Helper()
	hash, err := crypt.Generate(format.Yescrypt, []byte(password))
	if err != nil {
		s.t.Fatal(err)
	}
	return hash
}

// beyondPAM sets a password as a hash, so that shadowsync does not learn its clear text.
func (s *stage) beyondPAM(account, password string) {
	s.t.Helper()
	s.Must("usermod", "-p", s.yescrypted(password), account)
	s.awaits(account)
}

// awaits asserts that shadowsync awaits the account's next login, and that the PAM module knows it.
func (s *stage) awaits(account string) {
	s.t.Helper()
	s.eventually("a login of "+account+" is awaited", machine.Patience, func() bool {
		return s.state(account).State == "needs-login" && strings.Contains(s.ReadFile("/run/shadowsync/managed"), account+"\t"+machine.ApplianceUnit+"\tlogin\n")
	})
}

// migrated asserts that the store holds the password in the store's format, and the OS still in its own.
func (s *stage) migrated(account, password string) {
	s.t.Helper()
	s.eventually("the store has "+account+"'s password", machine.Patience, func() bool { return s.state(account).State == "in-sync" })
	os, store := s.ShadowHash(account), s.StoreHash(account)
	if !strings.HasPrefix(os, "$y$") || !strings.HasPrefix(store, "$6$") || !s.opensHash(store, password) {
		s.t.Errorf("the OS holds %.4q, the store %.4q", os, store)
	}
	s.awaitsNobody(account)
}

// awaitsNobody asserts that the PAM module no longer awaits a login of the account.
func (s *stage) awaitsNobody(account string) {
	s.t.Helper()
	s.eventually("no login of "+account+" is awaited", machine.Patience, func() bool {
		return strings.Contains(s.ReadFile("/run/shadowsync/managed"), account+"\t"+machine.ApplianceUnit+"\n")
	})
}

// TestTakenAtTheNextLogin: a store that takes another hash format gets its hash when the
// person logs in, in whatever way; the person does not notice.
func TestTakenAtTheNextLogin(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := set(t, release, machine.Appliance{}, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]")
			s.AddUser("guest", oldPassword)
			s.sub("ssh", takenAtSSH)
			s.sub("su", takenAtSu)
			s.sub("sudo", takenAtSudo)
			s.sub("login", takenAtLogin)
			s.sub("what proves nothing", provesNothing)
			s.sub("a broker that hangs", holdsUpNobody)
			s.sub("what both sides hold", renewedAtLogin)
			s.sub("setup", takenAfterSetup)
		})
	}
}

func takenAtSSH(s *stage) {
	s.beyondPAM("admin", "Beyond-PAM-1-velvet")
	if s.Login("admin", "not-the-one") {
		s.t.Error("a wrong password logs in")
	}
	s.awaits("admin")
	d := s.SSH("admin", "Beyond-PAM-1-velvet")
	d.Expect("$ ", machine.Patience)
	s.migrated("admin", "Beyond-PAM-1-velvet")
	d.Send("echo still-$((40 + 2))\n")
	d.Expect("still-42", machine.Patience) // the login that handed over the password goes on
	d.Send("exit\n")
	d.Ended(machine.Patience)
	proven, adopted := -1, -1
	for i, e := range s.audit("admin") {
		switch {
		case e.Action == "proven" && strings.HasPrefix(e.Origin.Program, "sshd"): // sshd-session, since OpenSSH 9.8
			proven = i
		case e.Action == "adopted" && e.Origin.SeenBy == "watch": // by usermod still, not by the login
			adopted = i
		}
	}
	if proven < 0 || adopted < proven {
		s.t.Errorf("the audit shows %+v", s.audit("admin"))
	}
	s.restart()
	s.opens("admin", "Beyond-PAM-1-velvet", machine.OldPassword)
}

func takenAtSu(s *stage) {
	s.beyondPAM("user222", "Beyond-PAM-2-velvet")
	s.Must("su", "user222", "-c", "true") // root gives no password, so this proves nothing
	s.awaits("user222")
	d := s.As("guest").Terminal("su", "user222", "-c", "echo i-am-$(id -un)")
	d.Answer("Password: ", "Beyond-PAM-2-velvet")
	d.Expect("i-am-user222", machine.Patience)
	if said := d.Transcript(); strings.Contains(said, "shadowsync") {
		s.t.Errorf("su shows %q", said)
	}
	s.migrated("user222", "Beyond-PAM-2-velvet")
}

// takenAtSudo: sudo asks for the password of the user who runs it, and has that user's real uid.
func takenAtSudo(s *stage) {
	s.WriteFile("/etc/sudoers.d/user222", "user222 ALL=(ALL) ALL\n", 0o440)
	s.beyondPAM("user222", "Beyond-PAM-6-velvet")
	r := s.As("user222").Input("Beyond-PAM-6-velvet\n").Run("sudo", "-S", "-k", "id", "-un")
	if r.Code != 0 || r.Stdout != "root\n" || strings.Contains(r.Stderr, "shadowsync") {
		s.t.Errorf("sudo: %s", r)
	}
	s.migrated("user222", "Beyond-PAM-6-velvet")
}

func takenAtLogin(s *stage) {
	s.beyondPAM("user222", "Beyond-PAM-7-velvet")
	d := s.Terminal("login", "user222")
	d.Answer("Password: ", "Beyond-PAM-7-velvet")
	d.Expect("$ ", machine.Patience)
	s.migrated("user222", "Beyond-PAM-7-velvet")
	if said := d.Transcript(); strings.Contains(said, "shadowsync") {
		s.t.Errorf("login shows %q", said)
	}
	d.Send("exit\n")
}

// provesNothing: a login with a wrong password changes nothing.
func provesNothing(s *stage) {
	s.beyondPAM("admin", "Beyond-PAM-3-velvet")
	before := s.StoreHash("admin")
	for _, password := range []string{"guessed", ""} {
		s.As("guest").Input(password+"\n").Run("su", "admin", "-c", "true")
	}
	time.Sleep(time.Second) // time for a change that must not come
	s.awaits("admin")
	if s.StoreHash("admin") != before {
		s.t.Error("the store was changed")
	}
	s.opens("admin", "Beyond-PAM-3-velvet", "")
	s.migrated("admin", "Beyond-PAM-3-velvet")
}

// holdsUpNobody: while the broker hangs, one login waits two seconds at most, and a later one hands over the password.
func holdsUpNobody(s *stage) {
	var healthy time.Duration
	for range 3 {
		healthy = max(healthy, s.within("a login", time.Minute, func() { s.opens("admin", "Beyond-PAM-3-velvet", "") }))
	}
	s.beyondPAM("admin", "Beyond-PAM-4-velvet")
	s.signalBroker("STOP")
	s.within("a login", healthy+2*time.Second+slack, func() { s.opens("admin", "Beyond-PAM-4-velvet", "") })
	s.within("the next login", healthy+slack, func() { s.opens("admin", "Beyond-PAM-4-velvet", "") })
	s.signalBroker("CONT")
	s.MustShell("systemctl restart shadowsync.service")
	if s.Shell("test -e /run/shadowsync/pam-timeout").Code == 0 {
		s.t.Error("a broker that is ready again leaves the module silent")
	}
	s.eventually("a login gives it", machine.Patience, func() bool {
		return s.Login("admin", "Beyond-PAM-4-velvet") && s.state("admin").State == "in-sync"
	})
	s.migrated("admin", "Beyond-PAM-4-velvet")
}

// TestALoginsClearTextNeverRests: the clear text of a login passes through the broker as a
// descriptor, and a second later it is nowhere.
func TestALoginsClearTextNeverRests(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]")
	m := s.insides()
	s.seesWhatIsPlanted(m)
	s.Must("usermod", "-p", s.yescrypted(canary), "admin")
	s.awaits("admin")
	s.opens("admin", canary, "")
	s.migrated("admin", canary)
	m.isNowhere()
}

// renewedAtLogin: both sides hold a hash that the application cannot verify, from a time before
// the configuration named the formats that it can.
func renewedAtLogin(s *stage) {
	const formats, file = `formats  = ["sha512crypt"]`, "/etc/shadowsync/shadowsync.toml"
	limited := s.ReadFile(file)
	configure := func(text string) {
		s.WriteFile(file, text, 0o600)
		s.Must("systemctl", "restart", "shadowsync.service")
	}
	configure(strings.Replace(limited, formats, "", 1))
	s.Must("usermod", "-p", s.yescrypted("Beyond-PAM-9-velvet"), "user222")
	s.eventually("both sides hold it", machine.Patience, func() bool { return s.StoreHash("user222") == s.ShadowHash("user222") })
	configure(limited)
	s.awaits("user222")
	if said := s.Must("shadowsync", "user", "list", "--hashes"); !strings.Contains(said, "until the next login or password change: user222\n") {
		s.t.Errorf("the report says %q", said)
	}
	s.opens("user222", "Beyond-PAM-9-velvet", "")
	s.migrated("user222", "Beyond-PAM-9-velvet")
	trail := s.audit("user222")
	if last := trail[len(trail)-1]; last.Action != "renewed" {
		s.t.Errorf("the audit ends with %+v", last)
	}
	s.restart()
	s.opens("user222", "Beyond-PAM-9-velvet", "")
}

// takenAfterSetup: setup is told to prefer the OS, whose format the store does not take. The
// accounts wait for logins; until then there is nothing for a person to decide.
func takenAfterSetup(s *stage) {
	s.Must("shadowsync", "remove", "--purge")
	s.Must("usermod", "-p", s.yescrypted("Beyond-PAM-5-velvet"), "admin")
	s.MustShell("install -d -m 0755 /etc/shadowsync && umask 077 && cat > /etc/shadowsync/shadowsync.toml <<'END'\n" +
		strings.Replace(machine.Configuration, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]", 1) + "END")
	s.Must("shadowsync", "setup", "--first", "os")
	s.awaits("admin")
	s.Must("systemctl", "restart", "shadowsync.service")
	s.awaits("admin")
	s.opens("admin", "Beyond-PAM-5-velvet", "")
	s.migrated("admin", "Beyond-PAM-5-velvet")
}

// TestAStoreIsFilledByLogins: an application with an embedded store verifies another format
// than the system's. The store is empty at first, and each login adds its account.
func TestAStoreIsFilledByLogins(t *testing.T) {
	t.Parallel()
	edits := embedded()
	s := set(t, machine.Bookworm, machine.Appliance{Embedded: embeddedPath}, edits...)
	s.Must("shadowsync", "remove", "--purge")
	s.Must("usermod", "-p", s.yescrypted("Beyond-PAM-8-velvet"), "admin")
	s.MustShell("install -d -m 0755 /etc/shadowsync && umask 077 && cat > /etc/shadowsync/shadowsync.toml <<'END'\n" +
		strings.NewReplacer(edits[0], edits[1]+"formats = [\"sha512crypt\"]\n").Replace(machine.Configuration) + "END")
	s.Must("shadowsync", "setup", "--first", "os")
	s.awaits("admin")
	s.Must("systemctl", "restart", "shadowsync.service")
	s.awaits("admin")
	s.opens("admin", "Beyond-PAM-8-velvet", "")
	s.eventually("the store has admin", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	if hash := s.known("admin"); !strings.HasPrefix(hash, "$6$") || !s.opensHash(hash, "Beyond-PAM-8-velvet") {
		t.Errorf("the application holds %.4q", hash)
	}
	s.restart()
	s.opens("admin", "Beyond-PAM-8-velvet", "")
}
