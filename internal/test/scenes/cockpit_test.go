package scenes

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestCockpit: Cockpit's login and its page of accounts work with our module, whatever the broker does.
func TestCockpit(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := withCockpit(t, release)
			f := s.form()
			s.sub("own password", func(s *stage) { s.ownInCockpit(f) })
			s.sub("another's password", func(s *stage) { s.anothersInCockpit(f) })
			s.sub("the broker away", func(s *stage) { s.cockpitAlone(f) })
			s.sub("forced change", func(s *stage) { s.forcedInCockpit() })
			s.sub("pcli", func(s *stage) { s.pcliInCockpit() })
		})
	}
}

const chiefsPassword = "Chief-velvet-41"

// withCockpit is a stage with Cockpit, and chief, who is no account of the appliance's and may use sudo.
func withCockpit(t *testing.T, release machine.Release) *stage {
	t.Helper()
	s := setOn(t, machine.BootWith(t, release, machine.Options{Layer: machine.Cockpit}), machine.Appliance{}, "[[application]]", "[password]\nmin_length = 14\n\n[[application]]")
	s.AddUser("chief", chiefsPassword)
	s.MustShell("usermod -aG sudo chief; systemctl start cockpit.socket")
	return s
}

// inCockpit logs in at Cockpit with a password alone.
func (s *stage) inCockpit(user, password string) *page {
	s.t.Helper()
	b := s.browses(user == "chief")
	if a := b.signIn(user, password); !a.in {
		s.t.Fatalf("Cockpit does not let %s in with %q: %+v\n%s", user, password, a, s.Journal("-n", "30"))
	}
	return b.looks()
}

// outOfCockpit asserts that a password is refused at Cockpit's login.
func (s *stage) outOfCockpit(user, password string) {
	s.t.Helper()
	if a := s.browses(false).signIn(user, password); a.in || a.id != "" || !strings.HasPrefix(a.status, "401") {
		s.t.Errorf("%s at Cockpit with %q: %+v", user, password, a)
	}
}

// passes asserts that a password opens Cockpit and is in the store, and that the one before it is refused.
func (s *stage) passes(user, right, wrong string) {
	s.t.Helper()
	s.inStore(user)
	s.inCockpit(user, right).works()
	s.outOfCockpit(user, wrong)
}

// ownInCockpit: whoever changes their own password on the page stays there. What the old one opened elsewhere ends.
func (s *stage) ownInCockpit(f form) {
	const fresh = "Console-velvet-17"
	p, elsewhere := s.inCockpit("admin", machine.OldPassword), s.inCockpit("admin", machine.OldPassword)
	for what, c := range map[string]struct{ old, fresh, complaint string }{
		"a wrong password":           {"wrong", fresh, "Old password not accepted"},
		"refused by pam_pwquality":   {machine.OldPassword, "short", "New password was not accepted"},
		"refused by our own rules":   {machine.OldPassword, tooShort, "New password was not accepted"},
		"the old one, not a new one": {machine.OldPassword, machine.OldPassword, "New password was not accepted"},
	} {
		if said, printed := p.setsOwn(f, c.old, c.fresh); said != c.complaint {
			s.t.Errorf("%s: Cockpit says %q, want %q: passwd printed %q", what, said, c.complaint, printed)
		}
	}
	elsewhere.works()
	said, printed := p.setsOwn(f, machine.OldPassword, fresh)
	if said != "" {
		s.t.Fatalf("Cockpit says %q: passwd printed %q", said, printed)
	}
	s.says(printed, "shadowsync: admin: persisted in conductor's credential store")
	if !elsewhere.ends() {
		s.t.Error("admin's other session at Cockpit goes on")
	}
	p.works()
	s.passes("admin", fresh, machine.OldPassword)
	s.changedBy("admin", "passwd", "admin")
	s.Must("chage", "-m", "5", "admin")
	if said, printed := p.setsOwn(f, fresh, fresh+"x"); said != "You must wait longer to change your password" {
		s.t.Errorf("within the minimum age, Cockpit says %q: passwd printed %q", said, printed)
	}
	s.Must("chage", "-m", "0", "admin")
}

// anothersInCockpit: an administrator sets another's password on the page, and what the old one opened ends.
func (s *stage) anothersInCockpit(f form) {
	const fresh = "Console-velvet-18"
	chief, p := s.inCockpit("chief", chiefsPassword), s.inCockpit("user222", machine.OldPassword)
	p.works()
	if end, printed := chief.setsAnother(f, "user222", fresh); end.ExitStatus != 0 || end.Problem != "" {
		s.t.Fatalf("Cockpit's chpasswd ends with %+v: %q", end, printed)
	}
	if !p.ends() {
		s.t.Error("a session at Cockpit goes on whose password was replaced")
	}
	s.passes("user222", fresh, machine.OldPassword)
	s.changedBy("user222", "chpasswd", "chief")
}

// changedBy asserts that the audit tells with which program a person changed a password.
func (s *stage) changedBy(account, program, person string) {
	s.t.Helper()
	s.eventually("the audit tells of "+person+" and "+program, machine.Patience, func() bool {
		return slices.ContainsFunc(s.audit(account), func(e event) bool {
			return seen("pam", program)(e) && (e.Origin.By == person || e.Origin.Login == person)
		})
	})
}

// cockpitAlone: while the broker hangs or does not run, the page changes passwords in its ten seconds, and the store has
// them afterwards.
func (s *stage) cockpitAlone(f form) {
	own, others := "Console-velvet-17", "Console-velvet-18"
	for _, away := range []struct{ name, begin, end string }{ // a time-out silences the module for half a minute, so this order
		{"stopped", "systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket", "systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service"},
		{"hangs", "systemctl kill --kill-who=main -s STOP shadowsync.service", "systemctl kill --kill-who=main -s CONT shadowsync.service"},
	} {
		s.sub(away.name, func(s *stage) {
			admin, chief := s.inCockpit("admin", own), s.inCockpit("chief", chiefsPassword)
			s.MustShell(away.begin)
			said, printed := admin.setsOwn(f, own, own+away.name)
			if said != "" {
				s.t.Errorf("Cockpit says %q: passwd printed %q", said, printed)
			}
			s.says(printed, "shadowsync: admin: "+queued)
			if end, printed := chief.setsAnother(f, "user222", others+away.name); end.ExitStatus != 0 || end.Problem != "" {
				s.t.Errorf("Cockpit's chpasswd ends with %+v: %q", end, printed)
			}
			s.outOfCockpit("admin", own)
			s.inCockpit("admin", own+away.name).works()
			s.MustShell(away.end)
			own, others = own+away.name, others+away.name
			s.eventually("both are in sync", machine.Patience, func() bool {
				return s.opensHash(s.StoreHash("admin"), own) && s.opensHash(s.StoreHash("user222"), others)
			})
		})
	}
	s.passwd("admin", "Console-velvet-17")
}

// forcedInCockpit: the page lets a password expire, and Cockpit's login has it changed.
func (s *stage) forcedInCockpit() {
	const fresh = "Console-velvet-19"
	chief := s.inCockpit("chief", chiefsPassword)
	if end, err := chief.spawns(machine.Patience, []string{"passwd", "-e", "admin"}, map[string]any{"superuser": "require", "err": "message"}, "", saysNothing); err != nil || end.ExitStatus != 0 {
		s.t.Fatalf("passwd -e in Cockpit ends with %+v, %v", end, err)
	}
	b := s.browses(false)
	a := b.signIn("admin", "Console-velvet-17")
	for _, step := range []struct{ prompt, shows, typed string }{
		{"Current password: ", "You are required to change your password immediately", "Console-velvet-17"},
		{"New password: ", "", "short"},
		{"New password: ", "BAD PASSWORD", fresh},
		{"Retype new password: ", "", fresh},
	} {
		if a.prompt != step.prompt || a.Echo || !strings.Contains(a.Error, step.shows) {
			s.t.Fatalf("Cockpit asks %+v, want %q below %q", a, step.prompt, step.shows)
		}
		a = b.replies(a, step.typed)
	}
	if !a.in {
		s.t.Fatalf("Cockpit does not let admin in: %+v\n%s", a, s.Journal("-n", "30"))
	}
	b.looks().works()
	s.passes("admin", fresh, "Console-velvet-17")
}

// pcliInCockpit: Cockpit refuses accounts whose shell is pcli, which ssh lets in.
func (s *stage) pcliInCockpit() {
	s.MustShell("grep -qx /usr/bin/pcli /etc/shells || echo /usr/bin/pcli >>/etc/shells; usermod -s /usr/bin/pcli user222")
	s.passwd("user222", machine.OldPassword)
	refused := func() {
		s.t.Helper()
		if a := s.browses(false).signIn("user222", machine.OldPassword); a.in || a.id != "" || a.status != "403 Permission denied" {
			s.t.Errorf("Cockpit lets an account in whose shell is pcli: %+v", a)
		}
	}
	refused()
	for _, command := range []string{"exit 71;", "exit 71"} {
		if r := s.As("user222").Run("pcli", "-c", command); r.Code != 2 {
			s.t.Errorf("pcli -c %q: %s", command, r)
		}
	}
	s.doors("user222", map[string]bool{machine.OldPassword: true})
	s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
	refused()
	s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	s.Must("usermod", "-s", "/bin/bash", "user222")
	s.inCockpit("user222", machine.OldPassword).works()
}

// TestCockpitAsksForACode: with the service cockpit among those that ask, whoever has a second factor is asked at
// Cockpit's login, and led through a new enrolment after a reset.
func TestCockpitAsksForACode(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := withCockpit(t, release)
			const file = "/etc/pam.d/cockpit"
			before := s.ReadFile(file)
			s.MustShell(`printf '\n[second_factor]\nservices = ["cockpit"]\n' >>/etc/shadowsync/shadowsync.toml; shadowsync setup`)
			s.says(s.Must("shadowsync", "doctor"), "cockpit: no way in without the second factor")
			a := s.enrols("admin")
			s.sub("code", func(s *stage) { s.codeInCockpit(a) })
			s.sub("broker away", func(s *stage) {
				s.signalBroker("STOP")
				defer s.signalBroker("CONT")
				s.outOfCockpit("admin", machine.OldPassword)
				s.says(s.Journal("-t", "cockpit-session"), "account admin: cannot get an answer about the second factor from shadowsync")
				s.inCockpit("user222", machine.OldPassword).works()
			})
			s.sub("reset", func(s *stage) { s.resetInCockpit(a) })
			s.sub("lost", func(s *stage) {
				s.MustShell(mailServer)
				s.Must("shadowsync", "user", "set", "mail", "admin", "anna@example.net")
				s.lostInCockpit(a)
			})
			s.sub("nowhere", func(s *stage) { s.keepsNone(a.shown) })
			s.Must("shadowsync", "remove")
			if after := s.ReadFile(file); after != before {
				t.Errorf("after remove %s is\n%s", file, after)
			}
		})
	}
}

// codeInCockpit: the code is asked for after the right password, and each other answer is refused.
func (s *stage) codeInCockpit(a *authenticator) {
	for user, password := range map[string]string{"user222": machine.OldPassword, "chief": chiefsPassword} {
		s.inCockpit(user, password).works()
	}
	s.outOfCockpit("admin", "wrong")
	for _, typed := range []string{"000000", "", machine.OldPassword} {
		if got := s.codeAtCockpit(typed); got.in || got.id != "" {
			s.t.Errorf("typed %q: %+v", typed, got)
		}
	}
	code := a.next()
	if got := s.codeAtCockpit(code); !got.in {
		s.t.Errorf("a right code: %+v\n%s", got, s.Journal("-n", "30"))
	}
	if got := s.codeAtCockpit(code); got.in {
		s.t.Errorf("a code again: %+v", got)
	}
}

// codeAtCockpit logs in as admin and answers the question for the code.
func (s *stage) codeAtCockpit(code string) answer {
	s.t.Helper()
	b := s.browses(false)
	got := b.signIn("admin", machine.OldPassword)
	if got.prompt != askForCode+" " || got.Echo || got.Message != "" || got.Error != "" {
		s.t.Fatalf("after the password: %+v\n%s", got, s.Journal("-n", "30"))
	}
	return b.replies(got, code)
}

// asksInCockpit asserts what Cockpit's login asks. Its page shows a prompt in one line, and each byte as a character.
func (s *stage) asksInCockpit(got answer, text, prompt string) {
	s.t.Helper()
	shown := strings.Join(strings.Fields(got.prompt), " ")
	if !strings.HasPrefix(shown, text) || !strings.HasSuffix(shown, prompt) || got.Message != "" || got.Error != "" || got.Echo || strings.ContainsFunc(shown, func(r rune) bool { return r > unicode.MaxASCII }) {
		s.t.Fatalf("Cockpit asks %+v, want %q, and then %q", got, text, prompt)
	}
}

// resetInCockpit: after a reset, Cockpit's login leads through the enrolment.
func (s *stage) resetInCockpit(a *authenticator) {
	code := enrolmentCode.FindStringSubmatch(s.Must("shadowsync", "user", "reset", "2fa", "local", "admin"))[1]
	b := s.browses(false)
	got := b.signIn("admin", machine.OldPassword)
	s.asksInCockpit(got, "shadowsync: Your second factor was reset. Enrol a new one with the enrolment code that you were given.", "Enrolment code:")
	a.shown = append(a.shown, code)
	s.enrolsInCockpit(a, b, b.replies(got, code), "shadowsync: Setup key: ")
}

// lostInCockpit: the way back by mail, in two logins.
func (s *stage) lostInCockpit(a *authenticator) {
	b := s.browses(false)
	got := b.signIn("admin", machine.OldPassword)
	s.asksInCockpit(got, askOr, askOr)
	got = b.replies(got, "lost")
	s.asksInCockpit(got, "shadowsync: A code was sent to a...a@example.net.", "Code from the mail:")
	sent := s.mailedCode()
	later := s.browses(false)
	got = later.signIn("admin", machine.OldPassword)
	s.asksInCockpit(got, askOr, askOr)
	a.shown = append(a.shown, sent)
	s.enrolsInCockpit(a, later, later.replies(got, sent), "shadowsync: The old authenticator works until this is done.")
}

// enrolsInCockpit enrols with what a login shows, and is in.
func (s *stage) enrolsInCockpit(a *authenticator, b *browser, got answer, text string) {
	s.t.Helper()
	s.asksInCockpit(got, text, "Add this account to your authenticator app, then enter the code that it shows. Verification code:")
	key := setupKeyShown.FindStringSubmatch(got.prompt)
	if key == nil {
		s.t.Fatalf("no setup key: %+v", got)
	}
	fresh := &authenticator{s: s, key: strings.ReplaceAll(key[1], " ", "")}
	got = b.replies(got, fresh.code(0))
	s.asksInCockpit(got, "shadowsync: Second factor enrolled. Recovery codes: each works once, without the authenticator.", "Press Enter to go on:")
	fresh.recovery = recoveryCodeShown.FindAllString(got.prompt, -1)
	if len(fresh.recovery) != 10 {
		s.t.Fatalf("%d recovery codes: %+v", len(fresh.recovery), got)
	}
	if got = b.replies(got, ""); !got.in {
		s.t.Fatalf("after the enrolment: %+v", got)
	}
	b.looks().works()
	a.shown = slices.Concat(a.shown, fresh.shown, fresh.recovery, []string{fresh.key, strings.TrimSpace(key[1])})
}
