package scenes

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

var resetLine = regexp.MustCompile("^Password for user `user222` reset to `([A-Za-z0-9_-]{32})`\n$")

// reset runs user reset password and returns only the password that it printed.
func (s *stage) reset(flags ...string) string {
	s.t.Helper()
	out := s.Must(append([]string{"shadowsync", "user", "reset", "password", "user222"}, flags...)...)
	m := resetLine.FindStringSubmatch(out)
	if m == nil {
		s.t.Fatalf("reset said %q", out)
	}
	return m[1]
}

// faillock puts pam_faillock around the module that checks passwords, as its man page says. Its
// configuration is not the default file, and names another folder for the counters.
func (s *stage) faillock(deny int) {
	s.t.Helper()
	s.WriteFile("/etc/security/own.conf", "dir = /var/lib/own-faillock\n", 0o644)
	s.MustShell(fmt.Sprintf(`mkdir -p /var/lib/own-faillock && sed -i -e '/^auth.*pam_unix.so/i auth required pam_faillock.so preauth deny=%d conf=/etc/security/own.conf' \
-e '/^auth.*pam_unix.so/a auth [default=die] pam_faillock.so authfail deny=%d conf=/etc/security/own.conf' /etc/pam.d/common-auth &&
sed -i 's/success=1 default=ignore\(.*pam_unix\)/success=2 default=ignore\1/' /etc/pam.d/common-auth`, deny, deny))
}

// TestAdministration runs the command lines of the original tool's pages under our tool's name,
// with the daemon and without it.
func TestAdministration(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.sub("set password", func(s *stage) {
		s.Must("shadowsync", "user", "set", "password", "admin", "Found-0815-kelp")
		s.inStore("admin")
		s.restart()
		s.opens("admin", "Found-0815-kelp", machine.OldPassword)
	})
	s.sub("expire password", func(s *stage) {
		s.Must("shadowsync", "user", "expire", "password", "admin")
		s.restart()
		s.isExpired("admin")
		d := s.SSH("admin", "Found-0815-kelp")
		d.Expect("urrent", machine.Patience)
		d.Send("Found-0815-kelp\n")
		d.Expect("ew password", machine.Patience)
		d.Send("Chosen-4711-reef\n")
		d.Expect("etype", machine.Patience)
		d.Send("Chosen-4711-reef\n")
		d.Ended(machine.Patience)
		s.restart()
		s.opens("admin", "Chosen-4711-reef", "Found-0815-kelp")
	})
	s.sub("reset password", func(s *stage) {
		first := s.reset()
		s.restart()
		s.opens("user222", first, machine.OldPassword)
		if max := s.field("user222", 5); max != "760" {
			t.Errorf("without --expiry the password is good for %s days", max)
		}
		second := s.reset("--expiry", "2", "--must-change", "true")
		s.restart()
		s.isExpired("user222")
		if max := s.field("user222", 5); max != "2" {
			t.Errorf("with --expiry 2 the password is good for %s days", max)
		}
		if third := s.reset(); third == second || s.field("user222", 3) != "0" {
			t.Errorf("without --must-change: last change %s", s.field("user222", 3))
		}
		s.reset("--must-change", "false")
		if changed := s.field("user222", 3); changed == "0" || changed == "" {
			t.Errorf("with --must-change false: last change %q", changed)
		}
		if r := s.Run("shadowsync", "user", "reset", "password", "ghost"); r.Code != 5 || r.Stdout != "" || s.Run("getent", "passwd", "ghost").Code == 0 {
			t.Errorf("a user that does not exist: %s", r)
		}
		if all := s.Must("shadowsync", "audit", "--json") + s.Journal(); strings.Contains(all, second) {
			t.Error("the generated password is in the audit or the journal")
		}
	})
	s.sub("lock and unlock", (*stage).locksAndUnlocks)
	s.sub("sessions and logout", (*stage).logsOut)
	s.sub("list and show", (*stage).listsAndShows)
	s.sub("the same policy at every door", func(s *stage) {
		// pam_pwquality judges, as for passwd; in our tool it binds root too.
		for _, weak := range []string{"short", "password1", "admin-admin"} {
			r := s.Run("shadowsync", "user", "set", "password", "admin", weak)
			if r.Code != 6 || strings.Contains(r.Stdout+r.Stderr, weak+" ") {
				t.Errorf("%q: %s", weak, r)
			}
			if r := s.Input("admin:"+weak+"\n").Run("shadowsync", "user", "set", "password", "--from", "-"); r.Code != 6 {
				t.Errorf("%q from a list: %s", weak, r)
			}
		}
		s.opens("admin", "Chosen-4711-reef", "")
		s.Must("shadowsync", "user", "set", "password", "admin", "short", "--no-policy")
		s.opens("admin", "short", "")
		before := len(s.audit("admin"))
		s.passwd("admin", "password1")
		s.recorded(before, machines) // root is warned, and not refused
		s.Must("shadowsync", "user", "set", "password", "admin", "short", "--no-policy")
		last := onTime(s.audit("admin"))
		if verbs := fmt.Sprint(last[len(last)-2:]); !strings.Contains(verbs, "without the password policy") {
			t.Errorf("the exemption is not in the audit: %s", verbs)
		}
	})
	s.sub("each line of a list is judged for its own account", func(s *stage) {
		// On one processor a single child judges all passwords, one after the other.
		r := s.Input("admin:Kelp-user222-44\nuser222:Kelp-user222-44\n").Run("taskset", "-c", "0", "shadowsync", "user", "set", "password", "--from", "-")
		if r.Code != 6 || !strings.Contains(r.Stderr, "user name") || !strings.Contains(r.Stderr, "1 in sync, 1 failed") {
			t.Errorf("the user's own name: %s", r)
		}
		s.opens("admin", "Kelp-user222-44", "")
		r = s.Input("user222:short\nadmin:Reef-4711-tide\n").Run("taskset", "-c", "0", "shadowsync", "user", "set", "password", "--from", "-")
		if r.Code != 6 || !strings.Contains(r.Stderr, "1 in sync, 1 failed") {
			t.Errorf("a good one after a weak one: %s", r)
		}
		s.opens("admin", "Reef-4711-tide", "")
		s.MustShell("! ls -d /run/shadowsync-policy-*") // none of the judge's private stacks is left
	})
	s.sub("guard", (*stage).holdsByHand)
	s.sub("hash report", (*stage).reportsHashes)
	s.sub("without the daemon", func(s *stage) {
		s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
		password := s.reset()
		s.inStore("user222")
		s.restart()
		s.opens("user222", password, "")
		s.logsOut()
		s.locksAndUnlocks()
		s.expires("user222")
		s.listsAndShows()
		if s.Run("systemctl", "is-active", "--quiet", "shadowsync.service").Code == 0 {
			s.t.Error("the daemon runs: the scene proves nothing")
		}
		s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
		s.Must("shadowsync", "status", "--check")
	})
	s.verified()
}

// verified returns the number of records of the trail, and asserts that all verify.
func (s *stage) verified() int {
	s.t.Helper()
	var r struct {
		Good   int     `json:"good"`
		Bad    *int    `json:"bad"`
		Reason *string `json:"reason"`
	}
	s.object(&r, "audit", "--verify")
	if r.Good == 0 || r.Bad != nil || r.Reason != nil {
		s.t.Errorf("audit --verify: %+v", r)
	}
	return r.Good
}

// object runs a command of the tool, which must succeed, and reads the JSON that it prints.
func (s *stage) object(into any, words ...string) {
	s.t.Helper()
	out := s.Must(append([]string{"shadowsync", "--json"}, words...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		s.t.Fatalf("%q: %v\n%s", words, err, out)
	}
}

// TestRecoveryInOneGo: an account is locked and expired, and its failure counter is full. One
// command makes it usable again, and the audit shows one transaction.
func TestRecoveryInOneGo(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.faillock(2)
	for range 3 {
		s.Login("user222", "wrong")
	}
	if s.Login("user222", machine.OldPassword) {
		t.Fatal("the failure counter keeps nobody out: the scene proves nothing")
	}
	s.Must("shadowsync", "user", "unlock", "user222")
	s.opens("user222", machine.OldPassword, "") // unlock has cleared the counter; time alone does not
	for range 2 {
		s.Login("user222", "wrong")
	}
	s.Must("shadowsync", "user", "lock", "user222")
	if s.field("user222", 8) != "1" || !strings.HasPrefix(s.StoreHash("user222"), "!") {
		t.Errorf("locked: expiry %q, store %.4q", s.field("user222", 8), s.StoreHash("user222"))
	}
	before := len(s.audit("user222"))
	password := s.reset("--unlock")
	ours := onTime(s.audit("user222")[before:])
	s.opens("user222", password, "")
	s.restart()
	s.opens("user222", password, "")
	if len(ours) != 1 || ours[0].Action != "adopted" || !strings.HasPrefix(ours[0].Origin.Verb, "reset password, unlock (") {
		t.Errorf("the audit shows %+v", ours)
	}
}
