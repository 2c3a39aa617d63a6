package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor"
)

var enrolmentCode = regexp.MustCompile(`\b(?:[a-z]{4}-){4}[a-z]{4}\b`)

// TestResetOfPasswordAndFactor: the one-go recovery, of an account with a second factor and of one
// without.
func TestResetOfPasswordAndFactor(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	secret, _ := s.enrolled("admin")
	before := s.osField("admin", 2)
	r := s.must(0, "user", "reset", "password", "admin", "user222", "--reset-2fa")
	if strings.Count(r.out, "Password for user `") != 2 || !strings.Contains(r.out, "Second factor of user `admin` reset; enrolment code `"+enrolmentCode.FindString(r.out)+"`\n") {
		t.Errorf("it says\n%s", r.out)
	}
	if !strings.Contains(r.err, "User `user222` has no second factor: only the password was reset\n") {
		t.Errorf("it complains\n%s", r.err)
	}
	if s.osField("admin", 2) == before || s.factor("admin").Factor != factor.None {
		t.Error("something is as before")
	}
	if r := s.check("admin", later(secret)); r.status == 0 {
		t.Error("the old factor works")
	}
	trail := s.must(0, "audit", "--user", "admin").out
	for _, want := range []string{"reset password, reset 2fa", factor.ActionReset} {
		if !strings.Contains(trail, want) {
			t.Errorf("the audit has no %q:\n%s", want, trail)
		}
	}
	if code := enrolmentCode.FindString(r.out); code == "" || strings.Contains(trail, code) {
		t.Error("the audit shows the code")
	}
	s.enrolled("admin")
	var object struct {
		Accounts []accountResult `json:"accounts"`
	}
	if err := json.Unmarshal([]byte(s.must(0, "user", "reset", "password", "admin", "--reset-2fa", "--json").out), &object); err != nil {
		t.Fatal(err)
	}
	if a := object.Accounts[0]; len(object.Accounts) != 1 || a.Password == "" || !enrolmentCode.MatchString(a.Enrolment) || a.FactorError != "" {
		t.Errorf("%+v", object)
	}
}

// TestOnlyThePasswordIsReset: the second half fails, is told and audited, and the next command is named.
func TestOnlyThePasswordIsReset(t *testing.T) {
	for _, flags := range [][]string{{}, {"--json"}} {
		s := newSystem(t)
		s.must(0, "sync")
		s.enrolled("admin")
		list := s.path("/var/lib/shadowsync/enrolled") // a folder in its place: the list cannot be written
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(list+"/in the way", 0o700); err != nil {
			t.Fatal(err)
		}
		before := s.osField("admin", 2)
		r := s.run("", append([]string{"user", "reset", "password", "admin", "--reset-2fa"}, flags...)...)
		if r.status != 1 || s.osField("admin", 2) == before || s.factor("admin").Factor != factor.Enrolled || enrolmentCode.MatchString(r.out) {
			t.Errorf("%q: status %d\n%s%s", flags, r.status, r.out, r.err)
		}
		if !strings.Contains(r.err, "hint: "+s.ours("user reset 2fa local admin")) || !strings.Contains(r.out+r.err, "list the accounts") {
			t.Errorf("%q: it says\n%s%s", flags, r.out, r.err)
		}
		if trail := s.must(0, "audit").out; !strings.Contains(trail, "the password is reset, and the second factor is not") {
			t.Errorf("%q: the audit is\n%s", flags, trail)
		}
	}
}
