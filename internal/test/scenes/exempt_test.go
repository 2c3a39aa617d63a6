package scenes

import (
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// rootIsExempt: the rules do not bind root, so that recovery works. passwd says so, and the audit records it.
func rootIsExempt(s *stage) {
	for name, act := range map[string]func() string{
		"passwd":   func() string { return s.passwd("admin", tooShort) },
		"chpasswd": func() string { s.Input("admin:" + tooShort + "\n").Must("chpasswd"); return exemptText },
	} {
		before := len(s.audit("admin"))
		var said string
		s.judged(func() { said = act() })
		if !strings.Contains(said, exemptText) {
			s.t.Errorf("%s says %q", name, said)
		}
		s.eventually("the audit shows what "+name+" was exempt from", machine.Patience, func() bool {
			return slices.ContainsFunc(s.audit("admin")[before:], func(e event) bool {
				return e.Action == "judged" && e.Reason == exemption && e.Origin.Program == name && e.Origin.By == "root"
			})
		})
		s.inStore("admin")
		s.opens("admin", tooShort, oldPassword)
		s.passwd("admin", oldPassword)
	}
	before := len(s.audit("admin"))
	s.passwd("admin", "short")
	s.recorded(before, machines)
	s.passwd("admin", oldPassword)
	if trail := s.Must("shadowsync", "audit", "--json"); strings.Contains(trail, tooShort) {
		s.t.Error("the audit tells the password")
	}
}

// recorded waits for records of judgements of admin's passwords with this reason, and returns how many there are.
func (s *stage) recorded(after int, reason string) (n int) {
	s.t.Helper()
	s.eventually("on record: "+reason, machine.Patience, func() bool {
		n = 0
		for _, e := range s.audit("admin")[after:] {
			if e.Action == "judged" && e.Reason == reason {
				n++
			}
		}
		return n > 0
	})
	return n
}

// pastPAM: a password that comes as a hash cannot be judged; the audit records that once.
func pastPAM(s *stage) {
	former, before := s.ShadowHash("admin"), len(s.audit("admin"))
	s.Must("usermod", "-p", s.ShadowHash("user222"), "admin")
	if n := s.recorded(before, asHash); n != 1 {
		s.t.Errorf("%d times on record", n)
	}
	s.Must("usermod", "-p", former, "admin")
	s.settles("admin")
	s.clearRecord()
}

// nobodyIsAsked: without our line in the stack, passwd does not ask about the rules; the audit
// records that afterwards. pcli itself still applies the rules.
func nobodyIsAsked(s *stage) {
	const stack = "/etc/pam.d/common-password"
	s.MustShell("cp -p " + stack + " /root/stack && sed -i '/pam_shadowsync.so judge/d' " + stack)
	if r := s.Run("shadowsync", "doctor"); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "shadowsync-judge") {
		s.t.Errorf("doctor misses the line: %s", r)
	}
	for _, d := range refusing[1:2] {
		d.refuses(s, oldPassword, tooShort, ruleText)
	}
	before := len(s.audit("admin"))
	if said, done := refusing[0].tries(s, oldPassword, tooShort); !done {
		s.t.Errorf("passwd: %q", said)
	}
	s.recorded(before, unasked)
	s.Must("cp", "-p", "/root/stack", stack)
	s.passwd("admin", oldPassword)
	s.clearRecord()
}

// ageing: a new password ages as configured wherever our tools set it. The minimum age binds
// everybody except root, and the audit records root's exemption.
func ageing(s *stage) {
	aged := func(account, door string) {
		if got := s.field(account, 5) + " " + s.field(account, 6); got != "90 9" {
			s.t.Errorf("%s: ageing %s", door, got)
		}
		s.Must("chage", "-M", "99999", "-W", "7", account)
		s.settles(account)
	}
	for i, d := range []door{refusing[1], refusing[2], refusing[3]} {
		fresh := []string{"Marzipan-orbit-61-x", "Tangerine-kelp-62-x", "Peppermint-reef-63-x"}[i]
		if said, done := d.tries(s, oldPassword, fresh); !done {
			s.t.Errorf("%s: %q", d.name, said)
		}
		aged("admin", d.name)
		s.passwd("admin", oldPassword)
		s.clearRecord()
	}
	s.reset()
	aged("user222", "reset password")

	s.Must("chage", "-m", "5", "admin")
	s.settles("admin")
	for _, d := range refusing[:2] {
		hash := s.ShadowHash("admin")
		if said, done := d.tries(s, oldPassword, "Marzipan-orbit-64-x"); done || s.ShadowHash("admin") != hash {
			s.t.Errorf("%s within the minimum age: %q", d.name, said)
		}
	}
	before := len(s.audit("admin"))
	s.passwd("admin", "Marzipan-orbit-65-x")
	s.recorded(before, tooSoon)
	s.Must("chage", "-m", "0", "admin")
	s.passwd("admin", oldPassword)
	s.clearRecord()
}
