package operators

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// local is the second factor of a local account.
func local(name string) factor.Subject { return factor.Subject{Realm: factor.Local, Account: name} }

// enrols enrols an account, and returns its recovery codes: unlike those of an app they do not depend
// on the time.
func (f *office) enrols(t *testing.T, name string) (recovery []string) {
	t.Helper()
	factors := f.Engine.Factors(&limit.Guesses{})
	secret, err := factors.Begin(t.Context(), factor.Beginning{Subject: local(name), ByRoot: true})
	if err != nil {
		t.Fatal(err)
	}
	code := totp.Code(secret, totp.StepAt(time.Now()))
	if recovery, err = factors.Confirm(t.Context(), factor.Attempt{Subject: local(name), Code: code}); err != nil {
		t.Fatal(err)
	}
	return recovery
}

// kept is what is kept of an account's second factor.
func (f *office) kept(t *testing.T, name string) factor.Record {
	t.Helper()
	r, err := f.Engine.Factors(&limit.Guesses{}).Of(t.Context(), local(name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// from is a call of the office's, from a shell of that pid.
func (f *office) from(name string, pid int) *call {
	c := *f.call
	c.name, c.uid, c.arrived = name, 1001, time.Now()
	c.process = origin.Process{PID: pid, StartTicks: 77}
	return &c
}

func typed(t *testing.T, code string) *os.File {
	t.Helper()
	file, err := socket.SealedMemfd([]byte(code))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func kindOf(err error) operator.Kind {
	var refusal *operator.Error
	if errors.As(err, &refusal) {
		return refusal.Kind
	}
	return ""
}

// TestAdmitRequired: who must have a second factor by now can do nothing but enrol one.
func TestAdmitRequired(t *testing.T) {
	f := openOffice(t, "[second_factor]\nrequired = \"everybody\"\ndays = 14\n")
	c := f.from("user", 10)
	for since, want := range map[string]operator.Kind{"2026-01-01T00:00:00Z": operator.NotAuthenticated, time.Now().UTC().Format(time.RFC3339): ""} {
		if err := inroot.Replace(f.operators.engine.Root(), engine.RequiredFile, []byte("everybody\t"+since+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.operators.admit(t.Context(), c, inShell); kindOf(err) != want {
			t.Errorf("required since %s: %v, want %q", since, err, want)
		}
		if err := f.operators.admit(t.Context(), c, byItself); err != nil {
			t.Error(err)
		}
	}
}

// TestAdmit: an account without a second factor shows nothing. One with a factor shows a code in each
// shell, and one that was reset enrols first.
func TestAdmit(t *testing.T) {
	f := openOffice(t, "")
	o := f.operators
	all := []codeNeed{inShell, recently, byItself}
	admits := func(c *call, when string, want operator.Kind) {
		t.Helper()
		for _, need := range all {
			want := want
			if need == byItself {
				want = ""
			}
			if err := o.admit(t.Context(), c, need); kindOf(err) != want || (err == nil) != (want == "") {
				t.Errorf("%s, need %d: %v, want %q", when, need, err, want)
			}
		}
	}
	mine := f.from("admin", 10)
	admits(mine, "not enrolled", "")
	if _, err := o.factors().Begin(t.Context(), factor.Beginning{Subject: local("admin"), ByRoot: true}); err != nil {
		t.Fatal(err)
	}
	admits(mine, "pending", "")
	recovery := f.enrols(t, "admin")
	admits(mine, "enrolled", operator.CodeNeeded)
	admits(f.from("user", 10), "somebody else", "")
	if _, err := o.takeCode(t.Context(), mine, typed(t, recovery[0])); err != nil {
		t.Fatal(err)
	}
	admits(mine, "shown", "")
	admits(f.from("admin", 11), "another shell", operator.CodeNeeded)
	reused := f.from("admin", 10)
	reused.process.StartTicks++
	admits(reused, "another shell with the same pid", operator.CodeNeeded)
	other := f.from("admin", 10)
	other.uid++
	admits(other, "another uid", operator.CodeNeeded)
	root := f.from("root", 12)
	root.uid = 0
	admits(root, "root", "")

	if _, err := o.factors().Renew(t.Context(), local("admin"), shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	admits(mine, "renewed elsewhere", operator.CodeNeeded)
	if _, err := o.factors().Reset(t.Context(), local("admin"), nil, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	admits(mine, "reset", operator.NotAuthenticated)
	if err := f.Engine.State.Close(); err != nil {
		t.Fatal(err)
	}
	admits(mine, "without the state", operator.Unavailable)
}

// The way of a request passes the check.
func TestServeAdmits(t *testing.T) {
	f := openOffice(t, "")
	f.enrols(t, "admin")
	c := f.from("admin", 10)
	for _, op := range []operator.Op{operator.OpNames, operator.OpLock} {
		c.request = operator.Request{Op: op, User: "user"}
		if err := f.operators.serve(t.Context(), c); kindOf(err) != operator.CodeNeeded {
			t.Errorf("%s: %v", op, err)
		}
	}
	if f.Present().Locked {
		t.Error("it was done all the same")
	}
}

func TestShells(t *testing.T) {
	var s shells
	now := time.Now()
	self := origin.FromPID(os.Getpid())
	c := &call{asker: asker{uid: 1, process: self}, arrived: now}
	s.remember(c, 3, now)
	for when, want := range map[time.Duration][2]bool{0: {true, true}, lately: {true, true}, lately + 1: {true, false}, 1000 * lately: {true, false}} {
		if in, of := s.hold(c, 3, inShell, now.Add(when)), s.hold(c, 3, recently, now.Add(when)); in != want[0] || of != want[1] {
			t.Errorf("%v later: in this shell %v, recently %v", when, in, of)
		}
	}
	if s.hold(c, 4, inShell, now) {
		t.Error("a code of another generation counts")
	}
	for pid := range 2 * shellsKept { // none of these is there, or began then
		s.remember(&call{asker: asker{process: origin.Process{PID: pid + 1, StartTicks: 1 << 60}}}, 1, now)
	}
	if len(s.shown) > shellsKept || !s.hold(c, 3, inShell, now) {
		t.Errorf("%d shells are remembered, this one: %v", len(s.shown), s.hold(c, 3, inShell, now))
	}
}

// A process that cannot be told from others never counts as one that has shown a code.
func TestUnknownShells(t *testing.T) {
	self := origin.FromPID(os.Getpid())
	unpinned := self
	unpinned.Unpinned = true
	for name, tt := range map[string]struct {
		process origin.Process
		arrived time.Time
		known   bool
	}{
		"known":                         {self, time.Now(), true},
		"gone":                          {origin.Process{PID: 10}, time.Now(), false},
		"without a pid":                 {origin.Process{StartTicks: 10}, time.Now(), false},
		"not pinned, older than asked":  {unpinned, time.Now(), true},
		"not pinned, it began later on": {unpinned, origin.Began(self.StartTicks).Add(-time.Minute), false},
	} {
		var s shells
		c := &call{asker: asker{process: tt.process}, arrived: tt.arrived}
		s.remember(c, 0, time.Now())
		if s.hold(c, 0, inShell, time.Now()) != tt.known {
			t.Errorf("%s: known %v", name, !tt.known)
		}
	}
}

func TestTakeCode(t *testing.T) {
	f := openOffice(t, "")
	recovery := f.enrols(t, "admin")
	c := f.from("admin", 10)
	take := func(file *os.File, want operator.Kind, text string) {
		t.Helper()
		_, err := f.operators.takeCode(t.Context(), c, file)
		if kindOf(err) != want || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q with %q", err, want, text)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "code"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	take(file, operator.CodeRefused, "no code")
	take(typed(t, ""), operator.CodeRefused, "no code")
	take(typed(t, "12345678"), operator.CodeRefused, "no code")
	take(typed(t, strings.Repeat("1", 65)), operator.CodeRefused, "no code")
	take(typed(t, strings.ToUpper(recovery[0])), "", "")
	take(typed(t, recovery[0]), operator.CodeRefused, "used already")
	for range limit.Free {
		take(typed(t, "bcdfgh-bcdfgh-bcdfgh"), operator.CodeRefused, "not right")
	}
	take(typed(t, recovery[1]), operator.NotAuthenticated, "too many wrong codes")
	c.origin.Remote = "192.0.2.7"
	take(typed(t, recovery[1]), "", "")
	c.name = "user"
	take(typed(t, recovery[2]), operator.Conflict, "no second factor")
}

// TestRenamed: usermod -l takes nobody's second factor away in pcli either.
func TestRenamed(t *testing.T) {
	f := openOffice(t, "")
	f.enrols(t, "user")
	if err := inroot.Replace(f.operators.engine.Root(), "/etc/passwd", []byte("anna:x:1000:1000::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]operator.Kind{1000: operator.NotAuthenticated, 1001: "", 0: ""} {
		c := f.from("anna", 10)
		c.uid = uid
		if err := f.operators.admit(t.Context(), c, inShell); kindOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("uid %d: %v, want %q", uid, err, want)
		}
	}
}

// TestLostFactor: who has no second factor in the state may have had one that the list names, or that a damaged
// one named.
func TestLostFactor(t *testing.T) {
	for list, want := range map[string]operator.Kind{"user\tlocal\tenrolled\t-\n": operator.Unavailable, "x\n": operator.Unavailable, "x\tlocal\tenrol\t-\n": ""} {
		f := openOffice(t, "")
		if err := inroot.Replace(f.operators.engine.Root(), engine.EnrolledList, []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.operators.admit(t.Context(), f.from("user", 10), inShell); kindOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("%q: %v, want %q", list, err, want)
		}
	}
}
