package scenes

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// tooShort is good enough for pam_pwquality, but not for the rules of these scenes.
const tooShort = "Kelp-4711-x"

const (
	ruleText    = "it has 11 characters, 14 are required"
	exemptText  = "shadowsync: admin: the password rules refuse it (" + ruleText + "); accepted because you are root; recorded in the audit"
	historyText = "it was used before"
	// exemption does not say why, because that would describe a password that is in force.
	exemption = "exempted: the configuration's rules refuse it, but do not bind root"
	machines  = "exempted: the machine's rules refuse it, but do not bind root"
	unasked   = "exempted: the configuration's rules refuse it, and they were not asked before it was set"
	tooSoon   = "exempted: it was set within the minimum age, which does not bind root"
	asHash    = "not judged: it was set as a hash, without PAM and without shadowsync's own commands"
	unheard   = "not judged: it was set while shadowsync did not answer"
	tooLate   = "not judged: it took too long or failed; the journal tells why"
)

// weak are passwords that pam_pwquality accepts and the rules of these scenes refuse, with the reason.
var weak = map[string]string{
	tooShort:                 ruleText,
	"marzipan-orbit-reef":    "it has 2 classes of characters, 3 are required",
	"Marzipan-aCMe-orbit-55": "it contains a forbidden text",
}

// ruled sets a stage whose configuration has password rules, with admin as operator.
func ruled(t *testing.T, release machine.Release, edits ...string) *stage {
	t.Helper()
	rules := "[roles]\nadmin = [\"operators\"]\n\n[password]\nmin_length = 14\nmin_classes = 3\nreject = [\"Acme\"]\nhistory = 2\n" +
		"max_days = 90\nwarn_days = 9\n\n[[application]]"
	s := set(t, release, machine.Appliance{}, append(edits, "[[application]]", rules)...)
	s.MustShell("groupadd operators && usermod -aG operators admin")
	s.passwd("admin", oldPassword)
	s.passwd("user222", oldPassword)
	return s
}

// door is a way to change admin's password. tries returns the output, and whether the output
// or the exit status says that the change is done.
type door struct {
	name  string
	tries func(s *stage, old, fresh string) (said string, done bool)
}

// refusing are the doors at which the rules bind everybody.
var refusing = []door{
	{"the user's own passwd", func(s *stage, old, fresh string) (string, bool) {
		r := s.As("admin").Input(old + "\n" + fresh + "\n" + fresh + "\n").Run("passwd")
		return r.Stdout + r.Stderr, r.Code == 0
	}},
	{"pcli", func(s *stage, old, fresh string) (string, bool) {
		d := s.As("admin").Terminal("pcli")
		d.Expect("# ", machine.Patience)
		setPassword(d, old, fresh)
		s.eventually("pcli answers", machine.Patience, func() bool {
			said := d.Transcript()
			return strings.Contains(said, "updated successfully") || strings.Contains(said, "BAD PASSWORD") || strings.Contains(said, "% Error")
		})
		said := d.Transcript()
		_ = d.Close()
		s.eventually("the change is broken off", machine.Patience, func() bool { return s.Run("pgrep", "-f", "worker-pa[m]").Code != 0 })
		return said, strings.Contains(said, "updated successfully")
	}},
	{"the tool", func(s *stage, _, fresh string) (string, bool) {
		r := s.Input(fresh+"\n").Run("shadowsync", "user", "set", "password", "admin", "--stdin")
		if r.Code != 0 && r.Code != 6 {
			s.t.Errorf("%s", r)
		}
		return r.Stdout + r.Stderr, r.Code == 0
	}},
	{"a list", func(s *stage, _, fresh string) (string, bool) {
		r := s.Input("admin:"+fresh+"\n").Run("shadowsync", "user", "set", "password", "--from", "-")
		return r.Stdout + r.Stderr, r.Code == 0
	}},
	{"a forced change at ssh login", func(s *stage, old, fresh string) (string, bool) {
		s.Must("passwd", "-e", "admin")
		d := s.SSH("admin", old)
		d.Answer("urrent", old)
		d.Answer("ew password", fresh)
		d.Answer("etype", fresh)
		d.Ended(machine.Patience)
		s.MustShell("chage -d $(date -d yesterday +%F) admin")
		return d.Transcript(), !strings.Contains(d.Transcript(), "BAD PASSWORD")
	}},
}

// TestRulesAtEveryDoor: the configuration's rules hold wherever a password is set. root's
// passwd is exempt, and the audit records that.
func TestRulesAtEveryDoor(t *testing.T) {
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := ruled(t, release)
			for _, d := range refusing {
				s.sub(d.name, d.holds)
			}
			s.sub("an administrator gives one", givesNone)
			s.sub("history is no oracle", historyIsNoOracle)
			if release == machine.Bookworm {
				s.sub("a store's costly hashes", costlyHistory)
			}
			s.sub("root is exempt", rootIsExempt)
			s.sub("past PAM", pastPAM)
			s.sub("nobody is asked", nobodyIsAsked)
			s.sub("ageing", ageing)
			s.sub("many at once", manyAtOnce)
			s.sub("nobody judges", nobodyJudges)
			s.sub("others' passwords", othersAreNotJudged)
		})
	}
}

// holds: a weak password is refused with the reason, and neither side changes. A good one is
// accepted, and after that the former one is refused.
func (d door) holds(s *stage) {
	const good = "Marzipan-orbit-55-x"
	former := s.ShadowHash("admin")
	for password, reason := range weak {
		d.refuses(s, oldPassword, password, reason)
	}
	if said, done := d.tries(s, oldPassword, good); !done {
		s.t.Errorf("a good one: %q", said)
	}
	s.eventually("the good one is on both sides", machine.Patience, func() bool {
		return s.ShadowHash("admin") != former && s.StoreHash("admin") == s.ShadowHash("admin")
	})
	d.refuses(s, good, oldPassword, historyText)
	s.Must("usermod", "-p", former, "admin")
	s.settles("admin")
	s.clearRecord()
}

// refuses asserts that a password is refused and nothing changes, and returns how long that took.
func (d door) refuses(s *stage, old, fresh, reason string) (took time.Duration) {
	hash := s.ShadowHash("admin")
	var said string
	var done bool
	s.judged(func() {
		took = s.within(d.name, time.Minute, func() { said, done = d.tries(s, old, fresh) })
	})
	if done || !strings.Contains(said, reason) {
		s.t.Errorf("%q: done %v, said %q", fresh, done, said)
	}
	if s.ShadowHash("admin") != hash || s.StoreHash("admin") != hash {
		s.t.Error("a side was changed")
	}
	return took
}

// judged runs try, which tries a password for admin. If the judgement did not come in time,
// passwd accepted the password, as it must; then judged restores the old one and tries again.
func (s *stage) judged(try func()) {
	s.t.Helper()
	s.WaitFor("a judgement in time", machine.Patience, func() bool {
		hash, before, start := s.ShadowHash("admin"), len(s.audit("admin")), time.Now()
		try()
		judgements := func(is func(e event) bool) bool { return slices.ContainsFunc(s.audit("admin")[before:], is) }
		if s.ShadowHash("admin") != hash {
			s.eventually("the judgement is on record", machine.Patience, func() bool {
				return judgements(func(e event) bool { return e.Action == "judged" })
			})
		}
		if !judgements(func(e event) bool { return e.Reason == tooLate }) {
			return true
		}
		s.askAgain()
		s.Input("admin:"+hash+"\n").Must("chpasswd", "-e") // usermod would also rewrite passwd(5)
		s.settles("admin")
		s.forget(start)
		return false
	})
}

// clearRecord deletes the whole history, so that any password may be used again.
func (s *stage) clearRecord() { s.t.Helper(); s.forget(time.Time{}) }

// forget deletes the entries of the history that were replaced after a time.
func (s *stage) forget(since time.Time) {
	s.t.Helper()
	s.MustShell("sqlite3 -cmd '.timeout 5000' /var/lib/shadowsync/state/state.db \"DELETE FROM entry WHERE replaced > '" +
		since.UTC().Format(time.RFC3339Nano) + "'\"")
}

// givesNone: an administrator sets another's password. The worker runs as root, and the rules hold all the same.
func givesNone(s *stage) {
	d := s.As("admin").Terminal("pcli")
	d.Expect("# ", machine.Patience)
	give := func(token string) {
		d.Send("edit user user222 password\n")
		d.Answer("Password: ", token)
		d.Answer("Confirm: ", token)
	}
	hash := s.ShadowHash("user222")
	give(tooShort)
	d.Expect("BAD PASSWORD: "+ruleText, machine.Patience)
	if s.ShadowHash("user222") != hash {
		s.t.Error("user222's password was changed")
	}
	give("Marzipan-orbit-55-x")
	d.Expect("updated successfully", machine.Patience)
	s.inStore("user222")
	s.opens("user222", "Marzipan-orbit-55-x", oldPassword)
	if got := s.field("user222", 5) + " " + s.field("user222", 6); got != "90 9" {
		s.t.Errorf("ageing %s", got)
	}
	d.Send("create user devel\n") // this store takes no new accounts; pcli says so before it asks for a password
	d.Expect("takes no new accounts: create devel in conductor first", machine.Patience)
}

// manyAtOnce: many requests at once do not get round a rule by keeping the judge too busy.
func manyAtOnce(s *stage) {
	hash, broker := s.ShadowHash("admin"), s.brokerPID()
	var out machine.Result
	s.judged(func() {
		out = s.As("admin").Run("sh", "-c", `for i in 1 2 3 4 5 6; do printf '%s\n%s\n%s\n' `+oldPassword+" "+tooShort+" "+tooShort+` | passwd 2>&1 & done; wait`)
	})
	if n := strings.Count(out.Stdout, "BAD PASSWORD"); n != 6 || strings.Contains(out.Stdout, "updated") || s.ShadowHash("admin") != hash {
		s.t.Errorf("%d of 6 were refused: %s", n, out)
	}
	if s.brokerPID() != broker {
		s.t.Error("the broker was restarted")
	}
}

// nobodyJudges: without a broker, or while it hangs, people can set a password, and wait two seconds at most.
func nobodyJudges(s *stage) {
	change := func(old, fresh string) machine.Result {
		return s.As("admin").Input(old + "\n" + fresh + "\n" + fresh + "\n").Run("passwd")
	}
	var healthy time.Duration
	for range 3 {
		healthy = max(healthy, refusing[0].refuses(s, oldPassword, tooShort, ruleText))
	}
	s.signalBroker("STOP")
	s.within("passwd", healthy+2*time.Second+slack, func() {
		if r := change(oldPassword, tooShort); r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, queued) {
			s.t.Errorf("a broker that hangs: %s", r)
		}
	})
	s.within("the next passwd", healthy+slack, func() {
		if r := change(tooShort, "Other-4711-x"); r.Code != 0 {
			s.t.Errorf("after a time-out: %s", r)
		}
	})
	s.signalBroker("CONT")
	s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
	if r := change("Other-4711-x", tooShort); r.Code != 0 {
		s.t.Errorf("without a broker: %s", r)
	}
	before := len(s.audit("admin"))
	s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	s.settles("admin")
	s.recorded(before, unheard)
	refusing[0].refuses(s, tooShort, "Other-4711-x", "it has 12 characters") // the broker judges again, at once
	s.MustShell("for f in /usr/lib/*/security/pam_shadowsync.so; do mv $f $f.away; done")
	if r := change(tooShort, "Other-4711-x"); r.Code != 0 {
		s.t.Errorf("without the module: %s", r)
	}
	s.MustShell("for f in /usr/lib/*/security/pam_shadowsync.so.away; do mv $f ${f%.away}; done")
	s.settles("admin")
	s.passwd("admin", oldPassword)
}

func othersAreNotJudged(s *stage) {
	s.AddUser("guest", oldPassword)
	r := s.As("guest").Input(oldPassword + "\n" + tooShort + "\n" + tooShort + "\n").Run("passwd")
	if r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "shadowsync") {
		s.t.Errorf("a user whom nobody manages: %s", r)
	}
}

// TestRulesWithoutPwquality: without pam_pwquality our module asks for the new password. After
// remove, passwd still asks for one.
func TestRulesWithoutPwquality(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, machine.Bookworm)
	m.InstallAppliance(machine.Appliance{})
	m.InstallShadowsync()
	m.MustShell("pam-auth-update --disable pwquality && install -d -m 0755 /etc/shadowsync && umask 077 && cat > /etc/shadowsync/shadowsync.toml <<'END'\n" +
		strings.Replace(machine.Configuration, "[[application]]", "[password]\nmin_length = 14\n\n[[application]]", 1) + "END")
	s := &stage{T: m, t: t}
	s.AddUser("guest", oldPassword)
	before := m.Etc()
	s.Must("shadowsync", "setup", "--first", "os")
	s.passwd("admin", oldPassword)
	refusing[0].refuses(s, oldPassword, tooShort, "BAD PASSWORD: "+ruleText)
	r := s.As("admin").Input(oldPassword + "\n" + newPassword + "\n" + newPassword + "x\n").Run("passwd")
	if r.Code == 0 {
		t.Errorf("two different ones: %s", r)
	}
	r = s.As("admin").Input(oldPassword + "\n" + newPassword + "\n" + newPassword + "\n").Run("passwd")
	if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "persisted in conductor's credential store") {
		t.Errorf("a good one: %s", r)
	}
	if r = s.As("guest").Input(oldPassword + "\nEphemeral-9-y\nEphemeral-9-y\n").Run("passwd"); r.Code != 0 {
		t.Errorf("another's: %s", r)
	}
	s.opens("admin", newPassword, oldPassword)
	s.passwd("admin", oldPassword)
	s.Must("shadowsync", "remove")
	s.Must("pam-auth-update", "--package")
	if after := m.Etc(); after != before {
		t.Errorf("/etc differs after remove:\n%s\nwas:\n%s", after, before)
	}
	s.Input("Ephemeral-7-x\nEphemeral-7-x\n").Must("passwd", "admin")
}
