package factor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var by = shadowsync.Origin{By: "root"}

// lose asks for a mailed code and returns it.
func (w *world) lose() (code string) {
	w.Helper()
	masked, err := w.Lose(w.Context(), Attempt{Subject: admin}, func(_ context.Context, address, mailed string) error {
		if address != "anna@example.net" {
			w.Errorf("mailed to %s", address)
		}
		code = mailed
		return nil
	})
	if err != nil || masked != "a…a@example.net" {
		w.Fatalf("%s, %v", masked, err)
	}
	return code
}

func (w *world) regain(code string) (enrolment string, err error) {
	return w.Regain(w.Context(), Attempt{Subject: admin, Code: []byte(code)}, &Logout{Application: "conductor"})
}

// lostWorld has an enrolled account with an address.
func lostWorld(t *testing.T) (w *world, secret []byte) {
	w = newWorld(t)
	secret, _ = w.enrol()
	if err := w.SetMail(t.Context(), admin, "anna@example.net", by); err != nil {
		t.Fatal(err)
	}
	return w, secret
}

// TestLost: the mailed code begins a new enrolment, in this conversation or in a later one. Until that is
// confirmed the old factor works, and then it is void with its recovery codes.
func TestLost(t *testing.T) {
	w, secret := lostWorld(t)
	recovery, err := w.Renew(t.Context(), admin, by)
	w.wants("new recovery codes", err, nil)
	code := w.lose()
	w.wants("the old factor", w.check(w.code(secret, 0)), nil)
	enrolment, err := w.regain(code)
	if r := w.record(); err != nil || r.State != Enrolled || r.Ticket == nil || !r.Recoverable() || len(w.memory.logouts) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.wants("the old factor after that", w.check(w.code(secret, 1)), nil)
	_, err = w.regain(code)
	w.wants("the mailed code again", err, ErrNoMailed)
	_, err = w.Begin(t.Context(), Beginning{Subject: admin})
	w.wants("to enrol without a code", err, ErrTicket)

	_, err = w.Begin(t.Context(), Beginning{Subject: admin, ByRoot: true})
	w.wants("by root", err, ErrEnrolled)

	again, err := w.regain(w.lose()) // cut off, and the enrolment code was not noted
	if err != nil || again == enrolment {
		t.Fatalf("cut off: %v", err)
	}
	fresh, err := w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(again)})
	w.wants("begin", err, nil)
	w.now = w.now.Add(2 * totp.Period)
	w.wants("the old factor while the new one waits", w.check(w.code(secret, 0)), nil)
	_, err = w.Confirm(t.Context(), Attempt{Subject: admin, Code: w.code(secret, 1)})
	w.wants("confirmed by the old one", err, ErrWrong)
	for name, tt := range map[string]struct {
		code []byte
		want bool
	}{"old": {w.code(secret, 1), false}, "new": {w.code(fresh, 1), true}, "none": {nil, false}, "recovery": {[]byte(recovery[0]), false}} {
		if awaited, err := w.Awaited(t.Context(), Attempt{Subject: admin, Code: tt.code}); awaited != tt.want || err != nil {
			t.Errorf("the %s code is awaited: %v, %v", name, awaited, err)
		}
	}
	_, err = w.Confirm(t.Context(), Attempt{Subject: admin, Code: w.code(fresh, 1)})
	if r := w.record(); err != nil || r.State != Enrolled || r.Mailed != nil || r.Mail == "" {
		t.Errorf("%+v, %v", r, err)
	}
	w.now = w.now.Add(2 * totp.Period)
	w.wants("the old factor at the end", w.check(w.code(secret, 0)), ErrWrong)
	w.wants("its recovery codes", w.check([]byte(recovery[0])), ErrWrong)
	w.wants("the new factor", w.check(w.code(fresh, 0)), nil)
	for _, e := range w.memory.events {
		if text := e.Action + e.Reason; strings.Contains(text, code) || strings.Contains(text, "anna") || strings.Contains(text, again) {
			t.Errorf("the audit tells %s", text)
		}
	}
}

func TestMailedCodesThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(w *world)
		want  error
	}{
		"ten minutes":          {func(w *world) { w.elapsed += 10 * time.Minute }, ErrMailedOld},
		"a reboot":             {func(w *world) { w.boot = "second" }, ErrMailedOld},
		"another address":      {func(w *world) { _ = w.SetMail(w.Context(), admin, "eve@example.net", by) }, ErrNoMailed},
		"new recovery codes":   {func(w *world) { _, _ = w.Renew(w.Context(), admin, by) }, ErrNoMailed},
		"an administrator":     {func(w *world) { _, _ = w.Reset(w.Context(), admin, nil, by) }, ErrNoMailed},
		"nothing can be taken": {func(w *world) { w.memory.full = true }, shadowsync.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := lostWorld(t)
			code := w.lose()
			tt.spoil(w)
			enrolment, err := w.regain(code)
			if w.wants("the code", err, tt.want); enrolment != "" {
				t.Error("it handed out an enrolment code")
			}
		})
	}
}

// TestAGuessedMailedCode: after five wrong ones the right one is void.
func TestAGuessedMailedCode(t *testing.T) {
	w, secret := lostWorld(t)
	code := w.lose()
	wrong := "00000000"
	if code == wrong {
		wrong = "00000001"
	}
	for range mailedTries {
		_, err := w.regain(wrong)
		w.wants("a guess", err, ErrWrong)
	}
	_, err := w.regain(code)
	w.wants("the right one", err, ErrMailedOld)
	w.wants("the factor", w.check(w.code(secret, 0)), nil)
	_, err = w.regain("123456")
	w.wants("a code of the app", err, ErrForm)
	if kept := w.record().Mailed; strings.Contains(string(kept.Sealed), code) {
		t.Error("it is kept in clear")
	}
}

// TestOneMailedCodeAtATime: asking again does not void the code that is out, nor give it new tries. After
// its time, or too many wrong ones, another one is mailed.
func TestOneMailedCodeAtATime(t *testing.T) {
	w, _ := lostWorld(t)
	again := func() error {
		_, err := w.Lose(t.Context(), Attempt{Subject: admin}, func(context.Context, string, string) error { return nil })
		return err
	}
	code := w.lose()
	_, err := w.regain("00000000")
	w.wants("a guess", err, ErrWrong)
	w.elapsed += mailedFor - time.Second
	var out *OutError
	if err := again(); !errors.As(err, &out) || !out.Until.Equal(w.now.Add(time.Second)) || w.record().Mailed.Wrong != 1 {
		t.Errorf("%v, %+v", err, w.record().Mailed)
	}
	_, err = w.regain(code)
	w.wants("the code that is out", err, nil)
	w.lose()
	w.elapsed += mailedFor
	w.lose()
	for range mailedTries {
		_, _ = w.regain("00000000")
	}
	w.wants("after too many wrong ones", again(), nil)
	w.boot = "second"
	w.wants("after a reboot", again(), nil)
}

// TestStrayEnrolmentCode: what the mailed code gave is void once the owner shows the present factor to
// change it.
func TestStrayEnrolmentCode(t *testing.T) {
	for name, change := range map[string]func(*world) error{
		"new recovery codes": func(w *world) error { _, err := w.Renew(w.Context(), admin, by); return err },
		"another address":    func(w *world) error { return w.SetMail(w.Context(), admin, "eve@example.net", by) },
	} {
		w, _ := lostWorld(t)
		enrolment, err := w.regain(w.lose())
		w.wants(name, errors.Join(err, change(w)), nil)
		_, err = w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(enrolment)})
		w.wants(name, err, ErrEnrolled)
	}
}

// TestWhoCanBeMailed: an account with an address and a factor, or cut off on this way; never one that an
// administrator has reset. Mail that cannot be sent changes nothing, and requests are slowed down.
func TestWhoCanBeMailed(t *testing.T) {
	w := newWorld(t)
	w.Brake = newBrake()
	down := errors.New("no route")
	var sent int
	ask := func() error {
		from := fmt.Sprintf("192.0.2.%d", sent) // that changes nothing
		_, err := w.Lose(t.Context(), Attempt{Subject: admin, Source: from}, func(context.Context, string, string) error {
			sent++
			return down
		})
		return err
	}
	w.wants("nobody", ask(), ErrNoAddress)
	secret, _ := w.enrol()
	w.wants("no address", ask(), ErrNoAddress)
	if err := w.SetMail(t.Context(), admin, "anna@example.net", by); err != nil {
		t.Fatal(err)
	}
	w.wants("server down", ask(), ErrNotMailed)
	w.wants("server down", ask(), down)
	w.wants("server down", ask(), down)
	if err := ask(); !errors.As(err, new(*SlowError)) || sent != 3 {
		t.Errorf("the fourth: %v, %d mails", err, sent)
	}
	w.wants("the factor", w.check(w.code(secret, 0)), nil)
	if _, err := w.Reset(t.Context(), admin, nil, by); err != nil {
		t.Fatal(err)
	}
	w.Brake = noBrake{}
	if w.wants("after a reset", ask(), ErrNotEnrolled); sent != 3 || w.record().Recoverable() {
		t.Errorf("%d mails", sent)
	}
	if err := w.check([]byte(onetime.NewMailed())); !errors.Is(err, ErrForm) {
		t.Errorf("a mailed code as a code: %v", err)
	}
}

func TestMasked(t *testing.T) {
	for address, want := range map[string]string{
		"admin@example.net": "a…n@example.net", "ab@example.net": "a…@example.net", "a@b": "a…@b", "äöü@b.net": "ä…ü@b.net", "": "…", "@b": "…",
	} {
		if got := Masked(address); got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
}

// TestLostAgain: whoever knows the password, and asks for another code or guesses at one, does not void the
// enrolment that the owner has begun.
func TestLostAgain(t *testing.T) {
	w, secret := lostWorld(t)
	enrolment, err := w.regain(w.lose())
	w.wants("regain", err, nil)
	fresh, err := w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(enrolment)})
	w.wants("begin", err, nil)
	_, err = w.Lose(t.Context(), Attempt{Subject: admin}, func(context.Context, string, string) error { return errors.New("down") })
	w.wants("not mailed", err, ErrNotMailed)
	code := w.lose()
	_, err = w.regain(map[bool]string{true: "00000001", false: "00000000"}[code == "00000000"])
	w.wants("a guess", err, ErrWrong)
	_, err = w.Confirm(t.Context(), Attempt{Subject: admin, Code: w.code(fresh, 1)})
	w.wants("the new app", err, nil)
	w.wants("the old one", w.check(w.code(secret, 1)), ErrWrong)
}

// TestSpoiltEnrolment: what was begun before a restore may be sealed with the key of the other machine. Nothing
// is awaited then, and the present factor works.
func TestSpoiltEnrolment(t *testing.T) {
	w, secret := lostWorld(t)
	enrolment, err := w.regain(w.lose())
	w.wants("regain", err, nil)
	_, err = w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(enrolment)})
	w.wants("begin", err, nil)
	clear(w.memory.records[admin].Mailed.Next)
	awaited, err := w.Awaited(t.Context(), Attempt{Subject: admin, Code: w.code(secret, 1)})
	if w.wants("the present factor", errors.Join(err, w.check(w.code(secret, 1))), nil); awaited {
		t.Error("it is awaited")
	}
}
