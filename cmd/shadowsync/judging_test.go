package main

import (
	"strings"
	"testing"
)

// TestPolicy: a password that the configuration refuses gives exit 6 with the reason. Refusals and
// exemptions are audited.
func TestPolicy(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600,
		"[password]\nmin_length = 8\nmin_classes = 3\nreject = [\"Acme\"]\nhistory = 2\nmin_days = 1\nmax_days = 90\nwarn_days = 14\n"+testConfig)
	s.must(0, "user", "set", "password", "admin", "First-One-1")
	if got := strings.Join([]string{s.osField("admin", 4), s.osField("admin", 5), s.osField("admin", 6)}, " "); got != "1 90 14" {
		t.Errorf("ageing %s", got)
	}
	s.must(0, "user", "set", "password", "admin", "Second-One-2")
	for password, reason := range map[string]string{
		"Sh0rt-x": "7 characters, 8 are required", "alllowercase1": "2 classes", "xx-aCmE-1234": "forbidden text",
		"First-One-1": "used before",
	} {
		r := s.must(6, "user", "set", "password", "admin", password)
		if !strings.Contains(r.err, reason) || strings.Contains(r.err, password) || !strings.Contains(r.err, "hint: ") {
			t.Errorf("%s: it says\n%s", password, r.err)
		}
	}
	if !opens(t, s.osField("admin", 2), "Second-One-2") {
		t.Error("a refused password was set")
	}
	s.must(0, "user", "set", "password", "admin", "Second-One-2") // the current password may be set again
	s.must(0, "user", "set", "password", "admin", "First-One-1", "--no-policy")
	r := s.run("admin:weak\nuser222:Good-Enough-7\n", "user", "set", "password", "--from", "-")
	if r.status != 6 || !opens(t, s.osField("user222", 2), "Good-Enough-7") || !opens(t, s.osField("admin", 2), "First-One-1") {
		t.Errorf("a list: status %d\n%s", r.status, r.err)
	}
	trail := s.must(0, "audit").out
	for _, want := range []string{"it has 7 characters", "set password, without the password policy"} {
		if !strings.Contains(trail, want) {
			t.Errorf("%q is not in the trail:\n%s", want, trail)
		}
	}
}

// TestAgeing: a new password ages by the rules, whichever command sets it. Root's exemptions are
// audited.
func TestAgeing(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, "[password]\nmin_days = 3\nmax_days = 90\nwarn_days = 14\n"+testConfig)
	for i, tc := range []struct {
		command []string
		ageing  string
		verb    string
	}{
		{[]string{"reset", "password"}, "3 90 14", "reset password"},
		{[]string{"set", "password", "--stdin"}, "3 90 14", "set password, within the minimum age"},
		{[]string{"reset", "password", "--expiry", "400"}, "3 400 14", "reset password, beyond the maximum age, within the minimum age"},
		{[]string{"reset", "password"}, "3 90 14", "reset password, within the minimum age"},
		{[]string{"reset", "password", "--expiry", "2"}, "2 2 14", "reset password, within the minimum age"},
		{[]string{"reset", "password"}, "2 2 14", "reset password, within the minimum age"},
	} {
		before := len(s.trail("admin"))
		r := s.run("Good-Enough-7\n", append(append([]string{"user"}, tc.command...), "admin")...)
		if got := strings.Join([]string{s.osField("admin", 4), s.osField("admin", 5), s.osField("admin", 6)}, " "); r.status != 0 || got != tc.ageing {
			t.Errorf("%d: status %d, ageing %s, want %s\n%s", i, r.status, got, tc.ageing, r.err)
		}
		verbs := ""
		for _, e := range s.trail("admin")[before:] {
			verbs += e.Origin.Verb + "\n"
		}
		if !strings.Contains(verbs, tc.verb+"\n") {
			t.Errorf("%d: on record is %q, want %q", i, verbs, tc.verb)
		}
	}
}

// TestRestoreIsAnExemption: a hash cannot be checked against the rules.
func TestRestoreIsAnExemption(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "First-One-1")
	s.must(0, "history", "restore", "admin", "1")
	if trail := s.must(0, "audit").out; !strings.Contains(trail, "restore credential, without the password policy") {
		t.Errorf("the trail:\n%s", trail)
	}
}

// TestListRunAgain: a list can be run again, interrupted or not, even if passwords must not be
// reused.
func TestListRunAgain(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, "[password]\nhistory = 3\n"+testConfig)
	list := "admin:First-One-1\nuser222:Other-One-1\n"
	for range 3 {
		if r := s.run(list, "user", "set", "password", "--from", "-"); r.status != 0 {
			t.Errorf("status %d\n%s", r.status, r.err)
		}
	}
	if !opens(t, s.osField("admin", 2), "First-One-1") || !opens(t, s.osField("user222", 2), "Other-One-1") {
		t.Error("the list is not what holds")
	}
}

// TestHistoryOutlastsLocks: the latest passwords stay refused, even after many locks of the
// account.
func TestHistoryOutlastsLocks(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, "[password]\nhistory = 6\n"+testConfig)
	for _, password := range []string{"One-1111", "Two-2222", "Three-33", "Four-444", "Five-555", "Six-6666"} {
		s.must(0, "user", "set", "password", "admin", password)
		s.must(0, "user", "lock", "admin")
		s.must(0, "user", "unlock", "admin")
	}
	for _, password := range []string{"One-1111", "Two-2222", "Five-555"} {
		if r := s.must(6, "user", "set", "password", "admin", password); !strings.Contains(r.err, "used before") {
			t.Errorf("%s: %s", password, r.err)
		}
	}
	s.must(0, "user", "set", "password", "admin", "Seven-77")
	s.must(0, "user", "set", "password", "admin", "One-1111")
}

// TestPolicyOfAMountedSystem: rules that cannot be asked are an audited exemption.
func TestPolicyOfAMountedSystem(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/pam.d/common-password", 0o644, "password requisite pam_pwquality.so retry=3\npassword [success=1 default=ignore] pam_unix.so sha256 rounds=1000\n")
	s.must(0, "user", "set", "password", "admin", "weak")
	if events := s.trail("admin"); !strings.Contains(events[len(events)-2].Origin.Verb+events[len(events)-1].Origin.Verb, "without the machine's own password rules") {
		t.Errorf("the trail: %+v", events)
	}
}
