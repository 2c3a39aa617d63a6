package scenes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// trail is the whole audit trail.
func (s *stage) trail() []event {
	s.t.Helper()
	var all struct {
		Events []event `json:"events"`
	}
	if err := json.Unmarshal([]byte(s.Must("shadowsync", "audit", "--json")), &all); err != nil {
		s.t.Fatalf("audit --json: %v", err)
	}
	return all.Events
}

// TestAttempts: the audit records who tried something without permission, by the root tool, on the
// operators' socket or in the operators' shell. It also records what root tried and failed to do.
func TestAttempts(t *testing.T) {
	t.Parallel()
	s := prowled(t)
	const secret = "Prowler-velvet-3"
	attempts := []struct {
		by, account, action, verb, reason string
		try                               func()
	}{
		{"user222", "", "root tool", "user set password", "refused: not permitted", func() {
			if r := s.As("user222").Run("shadowsync", "user", "set", "password", "admin", secret); r.Code != 8 {
				t.Errorf("the root tool: %s", r)
			}
		}},
		{"nobody", "", "root tool", "guard release", "refused: not permitted", func() {
			if r := s.As("nobody").Run("shadowsync", "guard", "release", machine.ApplianceUnit, "--force"); r.Code != 8 {
				t.Errorf("the root tool: %s", r)
			}
		}},
		{"user222", "admin", "lock", "", "refused: not permitted", func() { s.prowl("user222", `{"op":"lock","user":"admin"}`) }},
		{"nobody", "", "names", "", "refused: not permitted", func() { s.prowl("nobody", `{"op":"names"}`) }},
		{"user222", `x\n`, `\x1b[31m`, "", "refused: not permitted", func() { s.prowl("user222", `{"op":"\u001b[31m","user":"x\n"}`) }},
		{"user222", "user222", "set password", "", "refused: wrong current password", func() {
			d := s.As("user222").Terminal("pcli", "-c", "set password")
			d.Answer("Enter your current password:", secret)
			d.Ended(machine.Patience)
		}},
		{"root", "ghost", "refused", "lock", "no application manages", func() {
			if r := s.Run("shadowsync", "user", "lock", "ghost"); r.Code != 5 {
				t.Errorf("an account that nobody manages: %s", r)
			}
		}},
		{"root", "ghost", "refused", "logout", "no application manages", func() {
			if r := s.Run("shadowsync", "user", "logout", "ghost"); r.Code != 5 {
				t.Errorf("sessions of an account that nobody manages: %s", r)
			}
		}},
		{"root", "", "refused", "guard hold", "no application has the unit", func() {
			if r := s.Run("shadowsync", "guard", "hold", "ghost.service"); r.Code != 5 {
				t.Errorf("a unit that nobody manages: %s", r)
			}
		}},
		{"root", "", "failed", "lock", "cannot read the list of accounts", func() {
			if r := s.Run("shadowsync", "user", "lock", "--from", "/nowhere"); r.Code != 1 {
				t.Errorf("a list that is not there: %s", r)
			}
		}},
		{"root", "admin", "refused", "set password", "shorter", func() {
			if r := s.Run("shadowsync", "user", "set", "password", "admin", "abc"); r.Code != 6 {
				t.Errorf("a weak password: %s", r)
			}
		}},
	}
	for _, a := range attempts {
		t.Run(a.by+" "+a.action+" "+a.verb, func(t *testing.T) {
			before := len(s.trail())
			a.try()
			ours := onTime(s.trail()[before:])
			if len(ours) != 1 {
				t.Fatalf("on record is %+v", ours)
			}
			e := ours[0]
			if e.Origin.By != a.by || e.Account != a.account || e.Action != a.action || e.Origin.Verb != a.verb || !strings.Contains(e.Reason, a.reason) {
				t.Errorf("on record is %+v", e)
			}
		})
	}
	s.sub("the journal", (*stage).copiedToJournal)
	s.sub("a flood", (*stage).floodOfAttempts)
	if all := fmt.Sprint(s.trail()) + s.Journal(); strings.Contains(all, secret) {
		t.Error("what was tried as a password is in the audit or the journal")
	}
	s.Must("shadowsync", "audit", "--verify")
}

// prowl sends requests to the operators' socket, and asserts that all are refused.
func (s *stage) prowl(user string, packets ...string) {
	s.t.Helper()
	args := append([]string{"prowler", "ask", operatorSocket}, packets...)
	if answer := s.As(user).Must(args...); strings.Count(answer, "not permitted") != len(packets) {
		s.t.Errorf("%s asks %.200q: %.400q", user, packets, answer)
	}
}

// floodOfAttempts: many attempts do not fill the trail; it records how many it leaves out.
func (s *stage) floodOfAttempts() {
	s.t.Helper()
	before := len(s.trail())
	packets := make([]string, 100)
	for i := range packets {
		packets[i] = `{"op":"unlock","user":"admin"}`
	}
	s.prowl("user222", packets...)
	if n := len(s.trail()) - before; n > 10 {
		s.t.Errorf("100 attempts made %d records", n)
	}
	s.eventually("the trail tells how many it left out", machine.Patience, func() bool {
		s.prowl("user222", packets[0])
		ours := s.trail()[before:]
		return len(ours) > 0 && strings.Contains(ours[len(ours)-1].Reason, "more since the last record")
	})
}
