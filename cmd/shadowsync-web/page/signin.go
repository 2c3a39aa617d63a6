package page

import (
	"errors"
	"net/http"

	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// maxName bounds a user name, in bytes: useradd(8) takes 32, a directory more.
const maxName = 256

// signInPage shows the step that is next.
func (v *visit) signInPage() error {
	if v.token == "" {
		if _, err := v.site.Client.Settings(v.ctx); err != nil {
			return err // before anybody types a password in vain
		}
		return v.showSignIn("", "", problem{})
	}
	person, err := v.login.Who(v.ctx)
	refusal, ok := errors.AsType[*web.Error](err)
	switch {
	case ok && refusal.Kind == web.SignedOut:
		v.forget()
		return v.showSignIn("", "Your session has ended. Sign in again.", problem{})
	case err != nil:
		return err
	}
	v.person = person
	if person.Next == web.NextMailed { // the authenticator was found
		return v.showCode(problem{})
	}
	if to := place(person.Next); to != "/sign-in" {
		return v.goTo(to)
	}
	return v.showCode(problem{})
}

type signInData struct{ Username string }

func (v *visit) showSignIn(username, note string, p problem) error {
	v.person = web.Person{}
	shown := view{Title: "Sign in", Problem: p, Data: signInData{username}}
	if note != "" {
		shown.Notes = []string{note}
	}
	return v.show("signin", shown)
}

func (v *visit) showCode(p problem) error {
	return v.show("code", view{Title: "Enter your code", Problem: p})
}

// signIn takes a step: the name and the password, then a code.
func (v *visit) signIn() error {
	if v.form.get("code") != nil {
		return v.codeStep()
	}
	name := v.form.text("username")
	again := func(p problem) error { return v.showSignIn(name, "", p) }
	if name == "" {
		return again(problem{http.StatusUnprocessableEntity, "sign-in", "username", "Enter your user name."})
	}
	if len(name) > maxName {
		return v.showSignIn("", "", problem{http.StatusUnprocessableEntity, "sign-in", "username", "This is too long."})
	}
	password, err := v.password("sign-in", "password", "Enter your password.")
	if err != nil {
		return v.again(err, "sign-in", nil, again)
	}
	signed, err := v.site.Client.SignIn(v.ctx, web.SignIn{Name: name, Address: v.site.Address(v.r).String()}, password)
	if err != nil {
		return v.again(unchanged(err), "sign-in", fields{web.NotAuthenticated: "password", web.Usage: "username"}, again)
	}
	if v.token != "" {
		_ = v.login.SignOut(v.ctx) // the session before, of whoever sat here
	}
	return v.goOn(signed)
}

// codeStep shows a code.
func (v *visit) codeStep() error {
	if v.token == "" {
		return v.goTo("/sign-in")
	}
	person, err := v.login.Who(v.ctx)
	if err != nil {
		return err
	}
	v.person = person
	if person.Next != web.NextCode && person.Next != web.NextMailed {
		return v.goTo(place(person.Next))
	}
	if person.Lost && guide.LeadsBack(v.form.get("code")) { // a mail was sent before
		return v.regain("code", v.showCode)
	}
	code, err := v.code("code", "code")
	if err != nil {
		return v.again(err, "code", nil, v.showCode)
	}
	signed, err := v.login.Code(v.ctx, code)
	if err != nil {
		return v.again(unchanged(err), "code", fields{web.CodeRefused: "code"}, v.showCode)
	}
	return v.goOn(signed)
}

// unchanged: a step of signing in without an answer has changed nothing that the person would have to look
// for.
func unchanged(err error) error {
	if errors.Is(err, web.ErrUnknownOutcome) {
		return &web.Error{Kind: web.Unavailable, Text: err.Error()}
	}
	return err
}

// goOn takes the token of a step, and goes to the next. If that was the last one, a note is shown before; the
// pages of the other steps say what they are for.
func (v *visit) goOn(s web.Signed) error {
	v.take(s)
	if s.Note == "" || s.Next != web.NextNone {
		return v.goTo(place(s.Next))
	}
	v.message(http.StatusOK, message{"You are signed in", []string{v.sentence(s.Note)}, place(s.Next), "Go on"})
	return nil
}

func (v *visit) signOut() error {
	if v.token != "" {
		err := v.login.SignOut(v.ctx)
		refusal, ok := errors.AsType[*web.Error](err)
		if err != nil && (!ok || refusal.Kind != web.SignedOut) {
			return err // the session goes on, and the person must know
		}
	}
	v.forget()
	v.person = web.Person{}
	return v.show("signin", view{Title: "Sign in", Done: "You are signed out.", Data: signInData{}})
}
