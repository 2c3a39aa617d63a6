package operators

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const withMail = "[mail]\nserver = \"mail.example.net:587\"\nfrom = \"appliance@example.net\"\n"

var mailedCode = regexp.MustCompile(`Code: (\d{8})`)

// mailed returns the last code that was mailed.
func (f *office) mailed(t *testing.T) string {
	t.Helper()
	code := ""
	for _, m := range f.Mails.Sent() {
		if found := mailedCode.FindStringSubmatch(m.Text); found != nil {
			code = found[1]
		}
	}
	if code == "" {
		t.Fatalf("no code in %+v", f.Mails.Sent())
	}
	return code
}

func (f *office) hasMail(t *testing.T, name string) {
	t.Helper()
	f.operators.Dialogues.Again = func(string) {}
	f.enrols(t, name)
	if err := f.operators.factors().SetMail(t.Context(), local(name), "anna@example.net", shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
}

// TestLostAuthenticator: password, mailed code, new enrolment, in one conversation.
func TestLostAuthenticator(t *testing.T) {
	f := openOffice(t, withMail)
	f.hasMail(t, "admin")
	c := f.from("admin", 10)
	before := f.kept(t, "admin").Generation
	var asked []string
	last, err := f.talk(t, func() error { return f.operators.lostProven(t.Context(), c, false) }, func(turn operator.Turn) string {
		asked = append(asked, string(turn.Ask)+turn.Address)
		if turn.Ask == operator.AskMailed {
			if f.kept(t, "admin").State != factor.Enrolled {
				t.Error("the factor is dropped before the code was shown")
			}
			return f.mailed(t)
		}
		if kind, _ := onetime.Read([]byte(turn.Setup.Enrolment)); kind != onetime.Enrolment {
			t.Errorf("the enrolment code is %q", turn.Setup.Enrolment)
		}
		return app(t, turn.Setup)
	})
	r := f.kept(t, "admin")
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes || r.State != factor.Enrolled || r.Generation <= before || r.Mailed != nil {
		t.Fatalf("%v, %+v", err, r)
	}
	if got := strings.Join(asked, " "); got != "mailed"+"a…a@example.net code" {
		t.Errorf("asked %s", got)
	}
	if err := f.operators.admit(t.Context(), c, recently); err != nil {
		t.Errorf("the shell is asked again: %v", err)
	}
}

// TestLostAcrossTwoLogins: the code that is mailed in one conversation goes on in the next, and an
// operator who is cut off after it goes on with the enrolment code.
func TestLostAcrossTwoLogins(t *testing.T) {
	f := openOffice(t, withMail)
	f.hasMail(t, "admin")
	first, second := f.from("admin", 10), f.from("admin", 11)
	if masked, err := f.operators.mailCode(t.Context(), first); err != nil || masked != "a…a@example.net" {
		t.Fatalf("%s, %v", masked, err)
	}
	enrolment := ""
	_, err := f.talk(t, func() error { return f.operators.lostProven(t.Context(), second, true) }, func(turn operator.Turn) string {
		if turn.Ask == operator.AskMailed {
			return f.mailed(t)
		}
		enrolment = turn.Setup.Enrolment
		return "cut off"
	})
	r := f.kept(t, "admin")
	if kindOf(err) != operator.CodeRefused || r.State != factor.Enrolled || !f.operators.recoverable(r) || stateOf(r) != operator.FactorEnrolled {
		t.Fatalf("cut off: %v, %+v", err, r)
	}
	last, err := f.talk(t, func() error { return f.operators.lostProven(t.Context(), second, true) }, func(turn operator.Turn) string {
		if turn.Ask == operator.AskMailed {
			return enrolment
		}
		return app(t, turn.Setup)
	})
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes {
		t.Errorf("%v, %+v", err, last)
	}
}

// TestLostIsRefused: with a wrong code, without mail, without an address, after an administrator's reset.
func TestLostIsRefused(t *testing.T) {
	f := openOffice(t, withMail)
	f.hasMail(t, "admin")
	c := f.from("admin", 10)
	_, err := f.talk(t, func() error { return f.operators.lostProven(t.Context(), c, false) }, func(operator.Turn) string { return "1234567" })
	if kindOf(err) != operator.CodeRefused || f.kept(t, "admin").State != factor.Enrolled {
		t.Errorf("no code: %v", err)
	}
	_, err = f.talk(t, func() error { return f.operators.lostProven(t.Context(), c, false) }, func(turn operator.Turn) string {
		if !strings.HasPrefix(turn.Weak, "a code was mailed already; it is valid until ") && turn.Left == 2 {
			t.Errorf("while a code is out: %+v", turn)
		}
		return "1234567"
	})
	if kindOf(err) != operator.CodeRefused {
		t.Errorf("while a code is out: %v", err)
	}
	f.Mails.Refuse(errors.New("the mail server does not take it now (451)"))
	f.hasMail(t, "user")
	_, err = f.operators.mailCode(t.Context(), f.from("user", 11))
	if err = f.operators.codeError(c, err); kindOf(err) != operator.Unavailable || !strings.Contains(err.Error(), "(451)") || !strings.Contains(err.Error(), "an administrator") {
		t.Errorf("greylisted: %v", err)
	}
	if _, err := f.operators.factors().Reset(t.Context(), local("admin"), nil, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	if err := f.operators.lost(t.Context(), c); kindOf(err) != operator.Conflict {
		t.Errorf("after a reset: %v", err)
	}
	c.request.Args = []byte(`{"address":"eve@example.net"}`)
	if err := f.operators.setMail(t.Context(), c); kindOf(err) != operator.Conflict || f.kept(t, "admin").Mail != "anna@example.net" {
		t.Errorf("an address without a factor: %v", err)
	}
	without := openOffice(t, "")
	without.hasMail(t, "admin")
	if err := without.operators.lost(t.Context(), without.from("admin", 10)); kindOf(err) != operator.Conflict {
		t.Errorf("without a mail server: %v", err)
	}
}

// TestOwnMailAddress: it takes a code of the present factor, and both addresses are told.
func TestOwnMailAddress(t *testing.T) {
	f := openOffice(t, withMail)
	f.hasMail(t, "admin")
	c := f.from("admin", 10)
	set := func(code string) error {
		_, err := f.talk(t, func() error { return f.operators.setMailProven(t.Context(), c, "eve@example.net") }, func(turn operator.Turn) string {
			if turn.Ask != operator.AskCode {
				t.Errorf("asked %+v", turn)
			}
			return code
		})
		return err
	}
	if err := set("000000000"); kindOf(err) != operator.CodeRefused || f.kept(t, "admin").Mail != "anna@example.net" {
		t.Errorf("without a code: %v, %s", err, f.kept(t, "admin").Mail)
	}
	recovery, err := f.operators.factors().Renew(t.Context(), local("admin"), shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if err := set(recovery[0]); err != nil || f.kept(t, "admin").Mail != "eve@example.net" {
		t.Errorf("%v, %s", err, f.kept(t, "admin").Mail)
	}
	if err := f.Close(); err != nil { // it waits for the mails
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range f.Mails.Sent() {
		if strings.Contains(m.Text, "another mail address") {
			told[m.To] = true
		}
	}
	if !told["anna@example.net"] || !told["eve@example.net"] {
		t.Errorf("told: %v", told)
	}
}
