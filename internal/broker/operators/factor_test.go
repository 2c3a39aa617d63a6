package operators

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// talk runs a dialogue, in which answer types what a turn asks for, and returns its last turn.
func (f *office) talk(t *testing.T, run func() error, answer func(operator.Turn) string) (last operator.Turn, err error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		err := run()
		if err != nil { // as answer does
			_ = f.call.conn.Send(t.Context(), operator.Turn{Error: f.operators.explain(f.call, err)})
		}
		ended <- err
	}()
	for {
		var turn operator.Turn
		if _, err := f.shell.Receive(t.Context(), &turn); err != nil {
			t.Fatal(err)
		}
		if turn.Done || turn.Error != nil {
			return turn, <-ended
		}
		file, err := socket.SealedMemfd([]byte(answer(turn)))
		if err == nil {
			err = errors.Join(f.shell.Send(t.Context(), operator.Reply{Op: "secret"}, file), file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// app computes the code that the authenticator of a setup shows now.
func app(t *testing.T, setup *operator.Setup) string {
	t.Helper()
	secret, err := totp.ParseSetupKey([]byte(setup.Key))
	if err != nil || !strings.Contains(setup.Address, strings.ReplaceAll(setup.Key, " ", "")) {
		t.Errorf("%v; the address is %s", err, setup.Address)
	}
	return string(totp.Code(secret, totp.StepAt(time.Now())))
}

// TestEnrol: the account is enrolled after a code of the app was shown, and not before. After a reset
// the enrolment code comes first. The shell that enrols has shown a code.
func TestEnrol(t *testing.T) {
	f := openOffice(t, "")
	c := f.from("admin", 10)
	enrol := func(answer func(operator.Turn) string) (operator.Turn, error) {
		t.Helper()
		own := f.kept(t, "admin")
		return f.talk(t, func() error { return f.operators.enrolProven(t.Context(), c, own) }, answer)
	}
	asked := 0
	_, err := enrol(func(turn operator.Turn) string {
		if asked++; turn.Ask != operator.AskCode || turn.Setup == nil || turn.Left != 3-asked || (turn.Weak == "") != (asked == 1) {
			t.Errorf("asked %+v", turn)
		}
		return "12345"
	})
	if kindOf(err) != operator.CodeRefused || asked != 3 || f.kept(t, "admin").State != factor.Pending {
		t.Errorf("%v after %d, %s", err, asked, f.kept(t, "admin").State)
	}
	last, err := enrol(func(turn operator.Turn) string { return app(t, turn.Setup) })
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes || f.kept(t, "admin").State != factor.Enrolled {
		t.Fatalf("%v, %d recovery codes, %s", err, len(last.Recovery), f.kept(t, "admin").State)
	}
	if err := f.operators.admit(t.Context(), c, recently); err != nil {
		t.Errorf("the shell is asked again: %v", err)
	}

	code, err := f.operators.factors().Reset(t.Context(), local("admin"), nil, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = enrol(func(turn operator.Turn) string {
		if turn.Ask != operator.AskEnrolment || turn.Setup != nil {
			t.Errorf("a thief of the password is asked %+v", turn)
		}
		return onetime.NewEnrolment()
	})
	if kindOf(err) != operator.CodeRefused || f.kept(t, "admin").State != factor.None {
		t.Errorf("a thief of the password: %v, %s", err, f.kept(t, "admin").State)
	}
	last, err = enrol(func(turn operator.Turn) string {
		if turn.Ask == operator.AskEnrolment {
			return code
		}
		return app(t, turn.Setup)
	})
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes || f.kept(t, "admin").Ticket != nil {
		t.Errorf("%v, %d recovery codes", err, len(last.Recovery))
	}
}

// TestEnrolAnother: who has a second factor moves to another authenticator with a code of it. The former one works
// until a code of the other one is shown. A shell that has shown the former one is asked again.
func TestEnrolAnother(t *testing.T) {
	f := openOffice(t, "")
	c, elsewhere := f.from("admin", 10), f.from("admin", 11)
	old := f.enrols(t, "admin")
	if _, err := f.operators.takeCode(t.Context(), elsewhere, typed(t, old[0])); err != nil {
		t.Fatal(err)
	}
	before := f.kept(t, "admin")
	move := func(answer func(operator.Turn) string) (operator.Turn, error) {
		t.Helper()
		return f.talk(t, func() error { return f.operators.enrolProven(t.Context(), c, before) }, answer)
	}
	last, err := move(func(turn operator.Turn) string {
		if turn.Ask != operator.AskCode || turn.Setup != nil {
			t.Errorf("a thief of the password is asked %+v", turn)
		}
		return old[0]
	})
	if kept := f.kept(t, "admin"); kindOf(err) != operator.CodeRefused || last.Recovery != nil || kept.Mailed != nil || kept.Generation != before.Generation {
		t.Errorf("with a code that was used: %v, %+v", err, kept)
	}
	last, err = move(func(turn operator.Turn) string {
		if turn.Setup == nil {
			return old[1]
		}
		if !turn.Setup.Another || turn.Setup.Enrolment != "" {
			t.Errorf("asked %+v", turn.Setup)
		}
		if _, err := f.operators.takeCode(t.Context(), elsewhere, typed(t, old[2])); err != nil {
			t.Errorf("the former one, meanwhile: %v", err)
		}
		return app(t, turn.Setup)
	})
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes || f.kept(t, "admin").State != factor.Enrolled {
		t.Fatalf("%v, %d recovery codes", err, len(last.Recovery))
	}
	if !f.Audited(factor.ActionReset, "by a code of the former authenticator") {
		t.Error("the change is not recorded")
	}
	if err := f.operators.admit(t.Context(), c, recently); err != nil {
		t.Errorf("the shell is asked again: %v", err)
	}
	if err := f.operators.admit(t.Context(), elsewhere, inShell); kindOf(err) != operator.CodeNeeded {
		t.Errorf("a shell that has shown the former one: %v", err)
	}
	for code, kind := range map[string]operator.Kind{old[3]: operator.CodeRefused, last.Recovery[0]: ""} {
		if _, err := f.operators.takeCode(t.Context(), c, typed(t, code)); kindOf(err) != kind {
			t.Errorf("%v, want %q", err, kind)
		}
	}
}

// TestRenewCodes: new recovery codes need a code, and void the old ones.
func TestRenewCodes(t *testing.T) {
	f := openOffice(t, "")
	c := f.from("admin", 10)
	if err := f.operators.renewCodes(t.Context(), c); kindOf(err) != operator.Conflict {
		t.Errorf("not enrolled: %v", err)
	}
	old := f.enrols(t, "admin")
	renew := func(code string) (operator.Turn, error) {
		t.Helper()
		return f.talk(t, func() error { return f.operators.renewProven(t.Context(), c) }, func(operator.Turn) string { return code })
	}
	if last, err := renew("bcdfgh-bcdfgh-bcdfgh"); kindOf(err) != operator.CodeRefused || last.Recovery != nil {
		t.Errorf("with a wrong code: %v, %+v", err, last)
	}
	last, err := renew(old[0])
	if err != nil || len(last.Recovery) != onetime.RecoveryCodes {
		t.Fatalf("%v, %d recovery codes", err, len(last.Recovery))
	}
	if err := f.operators.admit(t.Context(), c, inShell); err != nil {
		t.Errorf("the shell is asked again: %v", err)
	}
	for code, kind := range map[string]operator.Kind{old[1]: operator.CodeRefused, last.Recovery[0]: ""} {
		if _, err := f.operators.takeCode(t.Context(), c, typed(t, code)); kindOf(err) != kind {
			t.Errorf("%v, want %q", err, kind)
		}
	}
}

// TestSecond: set password asks an enrolled account for a code, whatever its shell has shown before.
func TestSecond(t *testing.T) {
	f := openOffice(t, "")
	c := f.from("admin", 10)
	second := func() error { return f.operators.second(t.Context(), c) }
	if err := second(); err != nil {
		t.Errorf("not enrolled: %v", err)
	}
	recovery := f.enrols(t, "admin")
	f.operators.shells.remember(c, f.kept(t, "admin").Generation, time.Now())
	answers := []string{"", "123", recovery[0]}
	asked := 0
	_, err := f.talk(t, func() error {
		if err := second(); err != nil {
			return err
		}
		return c.conn.Send(t.Context(), operator.Turn{Done: true})
	}, func(turn operator.Turn) string {
		asked++
		return answers[asked-1]
	})
	if err != nil || asked != 3 {
		t.Errorf("%v after %d", err, asked)
	}
	if _, err := f.operators.factors().Reset(t.Context(), local("admin"), nil, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	if err := second(); kindOf(err) != operator.NotAuthenticated {
		t.Errorf("reset: %v", err)
	}
}

// TestReset2FA: administrators reset the factor of others with a fresh code of their own.
func TestReset2FA(t *testing.T) {
	f := openOffice(t, "")
	var ended atomic.Int32
	f.operators.Dialogues.Again = func(string) { ended.Add(1) }
	c := f.from("admin", 10)
	reset := func(realm string, files ...*os.File) (operator.EnrolmentCode, error) {
		t.Helper()
		c.files = files
		c.request = operator.Request{Op: operator.OpReset2FA, User: "user", Args: json.RawMessage(fmt.Sprintf(`{"realm":%q}`, realm))}
		if err := f.operators.reset2FA(t.Context(), c); err != nil {
			return operator.EnrolmentCode{}, err
		}
		var answer operator.Answer
		var result operator.EnrolmentCode
		_, err := f.shell.Receive(t.Context(), &answer)
		return result, errors.Join(err, json.Unmarshal(answer.Result, &result))
	}
	if result, err := reset("local"); err != nil || result.Code != "" {
		t.Errorf("nothing to reset: %+v, %v", result, err)
	}
	f.enrols(t, "user")
	if _, err := reset("local", typed(t, "123456")); kindOf(err) != operator.NotPermitted {
		t.Errorf("without a factor of their own: %v", err)
	}
	own := f.enrols(t, "admin")
	f.operators.shells.remember(c, f.kept(t, "admin").Generation, time.Now())
	for name, tt := range map[string]struct {
		realm string
		files []*os.File
		want  operator.Kind
	}{
		"without a fresh code":  {"local", nil, operator.CodeNeeded},
		"with a wrong code":     {"local", []*os.File{typed(t, "bcdfgh-bcdfgh-bcdfgh")}, operator.CodeRefused},
		"in an unknown realm":   {"moon", []*os.File{typed(t, own[0])}, operator.Usage},
		"with a code too many":  {"local", []*os.File{typed(t, own[0]), typed(t, own[1])}, operator.CodeNeeded},
		"without anything else": {"", []*os.File{typed(t, own[0])}, operator.Usage},
	} {
		if _, err := reset(tt.realm, tt.files...); kindOf(err) != tt.want {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if f.kept(t, "user").State != factor.Enrolled || ended.Load() != 0 {
		t.Fatalf("%s, sessions ended %d times", f.kept(t, "user").State, ended.Load())
	}
	if result, err := reset("ldap", typed(t, own[0])); err != nil || result.Code != "" {
		t.Errorf("in a realm without the account: %+v, %v", result, err)
	}
	result, err := reset("local", typed(t, own[0]))
	kind, _ := onetime.Read([]byte(result.Code))
	if r := f.kept(t, "user"); err != nil || kind != onetime.Enrolment || r.State != factor.None || r.Ticket == nil || len(r.Recovery) != 0 || ended.Load() != 1 {
		t.Errorf("%v, a code of kind %v, %s, sessions ended %d times", err, kind, r.State, ended.Load())
	}
	if !f.Audited(factor.ActionReset, "dropped the secret and 10 recovery codes") {
		t.Error("the audit does not say what was dropped")
	}
	if _, err := reset("local", typed(t, own[0])); kindOf(err) != operator.CodeRefused {
		t.Errorf("with the same code again: %v", err)
	}
	c.name, c.uid = "root", 0
	if result, err := reset("local"); err != nil || result.Code == "" {
		t.Errorf("root, an enrolment code that was lost: %+v, %v", result, err)
	}
}

// TestReset2FAOfProtected: nobody but root resets the factor of an account that amounts to root.
func TestReset2FAOfProtected(t *testing.T) {
	f := openOffice(t, "[protected]\ngroups = [\"user\"]\n")
	own := f.enrols(t, "admin")
	f.enrols(t, "user")
	c := f.from("admin", 10)
	c.request, c.files = operator.Request{Op: operator.OpReset2FA, User: "user", Args: json.RawMessage(`{"realm":"local"}`)}, []*os.File{typed(t, own[0])}
	if err := f.operators.reset2FA(t.Context(), c); kindOf(err) != operator.NotPermitted || f.kept(t, "user").State != factor.Enrolled {
		t.Errorf("%v, %s", err, f.kept(t, "user").State)
	}
	if f.kept(t, "admin").RecoveryLeft() != onetime.RecoveryCodes {
		t.Error("the code was used up for nothing")
	}
}

// TestFactorsOf: what show user shows of second factors.
func TestFactorsOf(t *testing.T) {
	f := openOffice(t, "")
	f.enrols(t, "user")
	kept, err := f.operators.factorsOf(t.Context(), f.call, []string{"user", "other"})
	if err != nil || stateOf(kept["user"]) != operator.FactorEnrolled || kept["user"].RecoveryLeft() != 10 || stateOf(kept["other"]) != operator.FactorNone {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := f.operators.factors().Reset(t.Context(), local("user"), nil, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	if state := stateOf(f.kept(t, "user")); state != operator.FactorReset {
		t.Errorf("after a reset: %s", state)
	}
}
