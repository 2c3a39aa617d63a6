package web

import (
	"regexp"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

const withMail = "[mail]\nserver = \"mail.example.net:587\"\nfrom = \"appliance@example.net\"\n"

var mailedCode = regexp.MustCompile(`Code: (\d{8})`)

// app is the code that the authenticator of a setup shows so many steps from now.
func app(t *testing.T, setup web.Setup, steps int64) string {
	t.Helper()
	secret, err := totp.ParseSetupKey([]byte(setup.Key))
	if err != nil {
		t.Fatal(err)
	}
	return string(totp.Code(secret, totp.StepAt(time.Now())+steps))
}

// TestLost: password, mailed code, new app. Each step has its own token, and the other sessions end.
func TestLost(t *testing.T) {
	s := open(t, withMail)
	authenticator, _ := s.enrols(t)
	other, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, now(authenticator)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.With(s.signIn(t).Token).Lost(t.Context()); kindOf(err) != web.Conflict {
		t.Errorf("without an address: %v", err)
	}
	if err := s.Factors(noBrake{}).SetMail(t.Context(), local("user"), "anna@example.net", shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	signed := s.signIn(t)
	if !signed.Lost || signed.Next != web.NextCode {
		t.Errorf("%+v", signed)
	}
	mailed, err := s.With(signed.Token).Lost(t.Context())
	if err != nil || mailed.Address != "a…a@example.net" || mailed.Next != web.NextMailed || mailed.Token == signed.Token {
		t.Fatalf("%+v, %v", mailed, err)
	}
	sent := s.Mails.Sent()
	code := mailedCode.FindStringSubmatch(sent[len(sent)-1].Text)
	if code == nil {
		t.Fatalf("no code in %+v", sent)
	}
	l := s.With(mailed.Token)
	if _, err := l.Regain(t.Context(), secret(t, "12345678")); kindOf(err) != web.CodeRefused {
		t.Errorf("a wrong code: %v", err)
	}
	setup, err := l.Regain(t.Context(), secret(t, code[1]))
	if err != nil || setup.Next != web.NextConfirm || setup.Token == mailed.Token || setup.Enrolment == "" {
		t.Fatalf("%+v, %v", setup, err)
	}
	l = s.With(setup.Token)
	if p, err := l.Who(t.Context()); err != nil || p.Next != web.NextConfirm || p.Role != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := l.Sessions(t.Context(), ""); kindOf(err) != web.StepNeeded {
		t.Errorf("before the new app: %v", err)
	}
	again, err := l.Regain(t.Context(), secret(t, setup.Enrolment)) // cut off, and begun again
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.With(again.Token).Confirm(t.Context(), secret(t, app(t, setup, 0))); kindOf(err) != web.CodeRefused {
		t.Errorf("a code of an app that was replaced: %v", err)
	}
	confirmed, err := s.With(again.Token).Confirm(t.Context(), secret(t, app(t, again, 0)))
	if err != nil || confirmed.Next != web.NextNone || len(confirmed.Recovery) != 10 {
		t.Fatalf("%+v, %v", confirmed, err)
	}
	if p, err := s.With(confirmed.Token).Who(t.Context()); err != nil || p.Factor != web.FactorEnrolled || p.Mail != "a…a@example.net" || !p.Mails {
		t.Errorf("%+v, %v", p, err)
	}
	for _, token := range []string{other.Token, mailed.Token, setup.Token, again.Token} {
		if _, err := s.With(token).Who(t.Context()); kindOf(err) != web.SignedOut {
			t.Errorf("a former session: %v", err)
		}
	}
}

// TestEnrol: who is signed in enrols with the current password, goes on under another token, and all other
// sessions, which have shown no code, end.
func TestEnrol(t *testing.T) {
	s := open(t, withMail)
	first, other := s.signIn(t), s.signIn(t)
	l := s.With(first.Token)
	if _, err := l.Enrol(t.Context(), web.Shown{By: web.ByPassword, Secret: secret(t, "wrong")}, nil); kindOf(err) != web.NotAuthenticated {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := l.Confirm(t.Context(), secret(t, "123456")); kindOf(err) != web.Conflict {
		t.Errorf("what was not begun: %v", err)
	}
	setup, err := l.Enrol(t.Context(), web.Shown{By: web.ByPassword, Secret: secret(t, right)}, nil)
	if err != nil || setup.Token != first.Token || setup.Next != web.NextConfirm || setup.Enrolment != "" {
		t.Fatalf("%+v, %v", setup, err)
	}
	if _, err := l.Sessions(t.Context(), ""); kindOf(err) == web.StepNeeded || kindOf(err) == web.SignedOut {
		t.Errorf("whoever does not go on is held up: %v", err)
	}
	if err := l.SetMail(t.Context(), "eve@example.net", secret(t, app(t, setup, 0))); kindOf(err) != web.Conflict {
		t.Errorf("an address before the enrolment: %v", err)
	}
	confirmed, err := l.Confirm(t.Context(), secret(t, app(t, setup, -1)))
	if err != nil || confirmed.Token == first.Token || len(confirmed.Recovery) != 10 {
		t.Fatalf("%+v, %v", confirmed, err)
	}
	for _, token := range []string{first.Token, other.Token} {
		if _, err := s.With(token).Who(t.Context()); kindOf(err) != web.SignedOut {
			t.Errorf("a session without a code: %v", err)
		}
	}
	l = s.With(confirmed.Token)
	if err := l.SetMail(t.Context(), "no address", secret(t, app(t, setup, 0))); kindOf(err) != web.Usage && kindOf(err) != web.CodeRefused {
		t.Errorf("no address: %v", err)
	}
	if err := l.SetMail(t.Context(), "anna@example.net", secret(t, confirmed.Recovery[0])); err != nil {
		t.Error(err)
	}
	if p, err := l.Who(t.Context()); err != nil || p.Mail != "a…a@example.net" || p.CodesLeft != 9 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestEnrolAnother: who has a second factor moves to another authenticator with a code of it, never with the password.
// The former one works until the other one is confirmed.
func TestEnrolAnother(t *testing.T) {
	s := open(t, "")
	authenticator, recovery := s.enrols(t)
	first, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, recovery[0]))
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, recovery[1]))
	if err != nil {
		t.Fatal(err)
	}
	l := s.With(first.Token)
	for what, shown := range map[string]web.Shown{
		"the password":          {By: web.ByPassword, Secret: secret(t, right)},
		"the password as code":  {By: web.ByCode, Secret: secret(t, right)},
		"a code as password":    {By: web.ByPassword, Secret: secret(t, recovery[2])},
		"a code that was taken": {By: web.ByCode, Secret: secret(t, recovery[0])},
	} {
		if setup, err := l.Enrol(t.Context(), shown, nil); err == nil {
			t.Errorf("%s begins an enrolment: %+v", what, setup)
		}
	}
	if _, err := l.Confirm(t.Context(), secret(t, now(authenticator))); kindOf(err) != web.Conflict {
		t.Errorf("what was not begun: %v", err)
	}
	abandoned, err := l.Enrol(t.Context(), web.Shown{By: web.ByCode, Secret: secret(t, recovery[2])}, nil)
	if err != nil {
		t.Fatal(err)
	}
	setup, err := l.Enrol(t.Context(), web.Shown{By: web.ByCode, Secret: secret(t, recovery[3])}, nil)
	if err != nil || setup.Token != first.Token || setup.Next != web.NextConfirm || setup.Enrolment != "" {
		t.Fatalf("%+v, %v", setup, err)
	}
	if again, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, now(authenticator))); err != nil || again.Next != web.NextNone {
		t.Errorf("the former one, meanwhile: %+v, %v", again, err)
	}
	if _, err := l.Confirm(t.Context(), secret(t, app(t, abandoned, 0))); kindOf(err) != web.CodeRefused {
		t.Errorf("a code of an app that was replaced: %v", err)
	}
	confirmed, err := l.Confirm(t.Context(), secret(t, app(t, setup, 0)))
	if err != nil || confirmed.Next != web.NextNone || len(confirmed.Recovery) != 10 {
		t.Fatalf("%+v, %v", confirmed, err)
	}
	if !s.Audited(factor.ActionReset, "by a code of the former authenticator") {
		t.Error("the change is not recorded")
	}
	for _, token := range []string{first.Token, other.Token} {
		if _, err := s.With(token).Who(t.Context()); kindOf(err) != web.SignedOut {
			t.Errorf("a session that has shown the former factor: %v", err)
		}
	}
	for what, code := range map[string]string{"recovery code": recovery[4], "code": now(authenticator)} {
		if _, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, code)); err == nil {
			t.Errorf("a %s of the former factor is taken", what)
		}
	}
	if _, err := s.With(confirmed.Token).Who(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReset: after a reset a session ends, and the next one goes on with the enrolment code alone.
func TestReset(t *testing.T) {
	s := open(t, "")
	authenticator, _ := s.enrols(t)
	before, err := s.With(s.signIn(t).Token).Code(t.Context(), secret(t, now(authenticator)))
	if err != nil {
		t.Fatal(err)
	}
	enrolment, err := s.Factors(noBrake{}).Reset(t.Context(), local("user"), nil, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.With(before.Token).Who(t.Context()); kindOf(err) != web.SignedOut {
		t.Errorf("%v", err)
	}
	signed := s.signIn(t)
	if signed.Next != web.NextEnrolment {
		t.Fatalf("%+v", signed)
	}
	l := s.With(signed.Token)
	proof := func() web.Shown { return web.Shown{By: web.ByPassword, Secret: secret(t, right)} }
	if _, err := l.SetPassword(t.Context(), secret(t, right), secret(t, "Another 2")); kindOf(err) != web.StepNeeded {
		t.Errorf("before the enrolment: %v", err)
	}
	if _, err := l.Enrol(t.Context(), proof(), nil); kindOf(err) != web.CodeRefused {
		t.Errorf("without the enrolment code: %v", err)
	}
	if _, err := l.Enrol(t.Context(), proof(), secret(t, "abcdef-abcdef-abcdef-abcdef")); kindOf(err) == "" {
		t.Error("a wrong enrolment code is taken")
	}
	setup, err := l.Enrol(t.Context(), proof(), secret(t, enrolment))
	if err != nil || setup.Next != web.NextConfirm || setup.Token == signed.Token {
		t.Fatalf("%+v, %v", setup, err)
	}
	confirmed, err := s.With(setup.Token).Confirm(t.Context(), secret(t, app(t, setup, 0)))
	if err != nil || confirmed.Next != web.NextNone {
		t.Fatalf("%+v, %v", confirmed, err)
	}
	if _, err := s.With(confirmed.Token).Who(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMustChange: whose password has expired can set a new one, and nothing else.
func TestMustChange(t *testing.T) {
	s := open(t, "")
	s.Write("shadow", "user:"+enginetest.FormerHash+":0::::::\n")
	signed := s.signIn(t)
	if signed.Next != web.NextPassword {
		t.Fatalf("%+v", signed)
	}
	l := s.With(signed.Token)
	_, list := l.Sessions(t.Context(), "")
	_, users := l.Users(t.Context())
	_, enrol := l.Enrol(t.Context(), web.Shown{By: web.ByPassword, Secret: secret(t, right)}, nil)
	for what, err := range map[string]error{"sessions": list, "users": users, "enrol": enrol} {
		if kindOf(err) != web.StepNeeded {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := l.SetPassword(t.Context(), secret(t, "wrong"), secret(t, "Another password 2")); kindOf(err) != web.NotAuthenticated {
		t.Errorf("%v", err)
	}
	if p, err := l.Who(t.Context()); err != nil || p.Next != web.NextPassword {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestAdministrator: each act carries a proof, a code where one is enrolled; a plain user may do none.
func TestAdministrator(t *testing.T) {
	s := open(t, "[roles]\nadmin = [\"bosses\"]\n")
	l := s.With(s.signIn(t).Token)
	byPassword := func(text string) web.Shown { return web.Shown{By: web.ByPassword, Secret: secret(t, text)} }
	acts := func(l web.Login, shown func() web.Shown) map[string]error {
		_, lock := l.Lock(t.Context(), "user", shown())
		_, unlock := l.Unlock(t.Context(), "user", shown())
		_, expire := l.Expire(t.Context(), "user", shown())
		_, reset := l.ResetPassword(t.Context(), "user", shown(), secret(t, "Another password 2"))
		_, factor := l.Reset2FA(t.Context(), "user", secret(t, "123456"))
		return map[string]error{"lock": lock, "unlock": unlock, "expire": expire, "reset-password": reset, "reset-2fa": factor}
	}
	proofs := len(s.proven())
	for what, err := range acts(l, func() web.Shown { return byPassword(right) }) {
		if kindOf(err) != web.NotPermitted {
			t.Errorf("a plain user's %s: %v", what, err)
		}
	}
	if len(s.proven()) != proofs {
		t.Error("proofs were made for what is not permitted")
	}
	s.Write("group", "user:x:1000:\nbosses:x:1001:user\n")
	if p, err := l.Who(t.Context()); err != nil || p.Role != web.RoleAdmin {
		t.Fatalf("%+v, %v", p, err)
	}
	for what, err := range acts(l, func() web.Shown { return byPassword("wrong") }) {
		if kind := kindOf(err); kind != web.NotAuthenticated && !(what == "reset-2fa" && (kind == "" || kind == web.NotPermitted)) && kind != web.TooMany {
			t.Errorf("%s with a wrong password: %v", what, err)
		}
	}
	if s.Present().Locked || s.Present().MustChange {
		t.Errorf("something was done: %+v", s.Present())
	}
	authenticator, recovery := s.enrols(t)
	signed, err := s.With(signInFrom(t, s, "192.0.2.9").Token).Code(t.Context(), secret(t, now(authenticator)))
	if err != nil {
		t.Fatal(err)
	}
	l = s.With(signed.Token)
	if _, err := l.Expire(t.Context(), "user", byPassword(right)); kindOf(err) != web.Usage || s.Present().MustChange {
		t.Errorf("a password instead of a code: %v", err)
	}
	if _, err := l.Lock(t.Context(), "user", web.Shown{By: web.ByCode, Secret: secret(t, recovery[0])}); kindOf(err) != web.NotPermitted || s.Present().Locked {
		t.Errorf("their own account: %v", err)
	}
	if users, err := l.Users(t.Context()); err == nil && len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
	if _, err := l.Expire(t.Context(), "user", web.Shown{By: web.ByCode, Secret: secret(t, recovery[1])}); err != nil || !s.Present().MustChange {
		t.Errorf("with a code: %v", err)
	}
	if _, err := l.Unlock(t.Context(), "user", web.Shown{By: web.ByCode, Secret: secret(t, recovery[1])}); kindOf(err) != web.StepNeeded {
		t.Errorf("whose own password has expired: %v", err)
	}
}

func signInFrom(t *testing.T, s *site, address string) web.Signed {
	t.Helper()
	signed, err := s.SignIn(t.Context(), web.SignIn{Name: "user", Address: address}, secret(t, right))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestGuessing: too many wrong passwords are answered without a proof, from that address alone; whoever tries
// many names is slowed down, too, and has learnt nothing.
func TestGuessing(t *testing.T) {
	s := open(t, "")
	guess := func(name, address string) web.Kind {
		_, err := s.SignIn(t.Context(), web.SignIn{Name: name, Address: address}, secret(t, "wrong"))
		return kindOf(err)
	}
	for _, name := range []string{"user", "nobody-here"} {
		address, tries := "198.51.100.1", 0
		for ; guess(name, address) != web.TooMany; tries++ {
			if tries > 20 {
				t.Fatalf("%s is never slowed down", name)
			}
		}
		if tries != 5 {
			t.Errorf("%s: %d tries are free", name, tries)
		}
		if kind := guess(name, "::ffff:"+address); kind != web.TooMany {
			t.Errorf("%s by another spelling: %s", name, kind)
		}
	}
	signInFrom(t, s, "198.51.100.2")
	proofs := len(s.proven())
	if _, err := s.SignIn(t.Context(), web.SignIn{Name: "user", Address: "198.51.100.1"}, secret(t, right)); kindOf(err) != web.TooMany || len(s.proven()) != proofs {
		t.Errorf("the right password, too soon: %v", err)
	}
	for i := range 17 {
		if kind := guess("name"+string(rune('a'+i)), "2001:db8::"+string(rune('1'+i%9))); (kind == web.TooMany) != (i == 16) {
			t.Fatalf("name %d from one place: %s", i, kind)
		}
	}
	if len(s.proven()) != proofs+16 {
		t.Errorf("%d proofs", len(s.proven())-proofs)
	}
	for _, address := range []string{"", "here", "192.0.2.1:80", "fe80::1%eth0", "192.0.2.1\n"} {
		if kind := guess("user", address); kind != web.Usage {
			t.Errorf("the address %q: %s", address, kind)
		}
	}
}
