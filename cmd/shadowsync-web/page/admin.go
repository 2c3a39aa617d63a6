package page

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/shadowsync/shadowsync/internal/password/generate"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func userPath(name string) string { return "/admin/users/" + url.PathEscape(name) }

// usersData are the accounts, and what a reset in a directory has made: accounts of a directory are in no list.
type usersData struct {
	Accounts  []web.User
	Known     bool   // false: the reset was made, but the accounts cannot be shown
	Username  string // that was typed
	Enrolment string // a code to enrol with, shown this once
}

func (v *visit) users() error { return v.showUsers(usersData{}, view{}) }

// showUsers shows the accounts. After a reset, its code is shown in any case.
func (v *visit) showUsers(data usersData, shown view) (err error) {
	if data.Accounts, err = v.login.Users(v.ctx); err != nil && shown.Done == "" {
		return err
	}
	data.Known = err == nil
	shown.Title, shown.Data = "Accounts", data
	return v.show("users", shown)
}

// resetInDirectory drops the second factor of an account of a directory, with a code of the administrator's.
func (v *visit) resetInDirectory() error {
	const id = "directory"
	name := v.form.text("username")
	again := func(p problem) error { return v.showUsers(usersData{Username: name}, view{Problem: p}) }
	if name == "" || len(name) > maxName {
		name = ""
		return again(problem{http.StatusUnprocessableEntity, id, "username", "Enter the name of the account."})
	}
	code, err := v.code(id, "proof")
	if err != nil {
		return v.again(err, id, nil, again)
	}
	reset, err := v.login.ResetDirectory2FA(v.ctx, name, code)
	if err != nil {
		return v.again(err, id, fields{web.NotAuthenticated: "proof", web.CodeRefused: "proof", web.NoAccount: "username"}, again)
	}
	if reset.Code == "" {
		return v.showUsers(usersData{}, view{Done: printable.Quote(name) + " has no second factor: nothing was reset."})
	}
	return v.showUsers(usersData{Username: name, Enrolment: reset.Code}, view{Done: "The second factor of " + printable.Quote(name) + " is reset."})
}

func (v *visit) sync() error {
	all, err := v.login.Sync(v.ctx)
	if err != nil {
		return err
	}
	return v.show("sync", view{Title: "Synchronisation", Data: all})
}

// userData is an account, with what an action has made.
type userData struct {
	web.User
	Known     bool          // false: the change was made, but the account cannot be shown
	Open      []web.Session // its sessions
	Own       bool          // the administrator's own account
	Actions   []action
	NoFactor  bool   // the administrator needs a second factor to reset this one
	Generated string // a new password, shown this once
	Enrolment string // a code to enrol with, shown this once
}

func (v *visit) userPage() error { return v.showUser(userData{}, view{}) }

// showUser shows an account as it is now. After a change, what the change has made is shown in any case.
func (v *visit) showUser(data userData, shown view) (err error) {
	name := v.r.PathValue("name")
	if data.User, err = v.login.User(v.ctx, name); err == nil {
		data.Open, err = v.login.Sessions(v.ctx, name)
	}
	switch {
	case err == nil:
		data.Known = true
	case shown.Done == "":
		return err
	default:
		data.User.Name = name
	}
	data.Own = data.User.Name == v.person.Name
	if data.Known && data.Protected == "" {
		data.Actions, data.NoFactor = v.actions(data.User, shown.Problem)
	}
	if !slices.ContainsFunc(data.Actions, func(a action) bool { return a.ID == shown.Problem.Form }) {
		shown.Problem.Form = "" // the form is gone: the account is another one now
	}
	shown.Title, shown.Data = "Account "+data.User.Name, data
	return v.show("user", shown)
}

// userAgain shows the account with what is wrong with a form of it.
func (v *visit) userAgain(err error, formID string) error {
	return v.again(err, formID, aboutProof, func(p problem) error { return v.showUser(userData{}, view{Problem: p}) })
}

type changer func(web.Login, context.Context, string, web.Shown) (web.Result, error)

// change makes a change to an account that has no other result than notes.
func (v *visit) change(formID string, do changer, done string) error {
	shown, err := v.proof(formID)
	if err != nil {
		return v.userAgain(err, formID)
	}
	result, err := do(v.login, v.ctx, v.r.PathValue("name"), shown)
	result, half, err := v.pending(result, err)
	if err != nil {
		return v.userAgain(err, formID)
	}
	if half {
		done = "Done on this machine, but not everywhere yet."
	}
	return v.showUser(userData{}, view{Done: done, Notes: result.Notes})
}

func (v *visit) lock() error {
	return v.change("lock", web.Login.Lock, "The account is locked.")
}

func (v *visit) unlock() error {
	return v.change("unlock", web.Login.Unlock, "The account is unlocked.")
}

func (v *visit) expire() error {
	return v.change("expire", web.Login.Expire, "The password is expired: the next login must set a new one.")
}

func (v *visit) endSessions() error {
	const id = "end-sessions"
	shown, err := v.proof(id)
	if err != nil {
		return v.userAgain(err, id)
	}
	name := v.r.PathValue("name")
	ended, err := v.login.EndSessions(v.ctx, name, shown)
	if err != nil {
		return v.userAgain(err, id)
	}
	return v.showUser(userData{}, view{Done: sessionsEnded(ended, name), Notes: remains(ended)})
}

// resetPassword sets a generated password, and shows it this once.
func (v *visit) resetPassword() error {
	const id = "reset-password"
	shown, err := v.proof(id)
	if err != nil {
		return v.userAgain(err, id)
	}
	generated := generate.Password()
	text := string(generated) // it must become part of the page
	fresh, err := web.NewSecret(generated)
	if err != nil {
		return err
	}
	defer fresh.Close()
	result, err := v.login.ResetPassword(v.ctx, v.r.PathValue("name"), shown, fresh)
	result, half, err := v.pending(result, err)
	if err != nil {
		return v.userAgain(err, id)
	}
	done := "The password is reset."
	if half {
		done = "The password is reset on this machine, but not everywhere yet."
	}
	return v.showUser(userData{Generated: text}, view{Done: done, Notes: result.Notes})
}

// resetFactor drops the second factor. It takes a code of the administrator's, never a password.
func (v *visit) resetFactor() error {
	const id = "reset-2fa"
	code, err := v.code(id, "proof")
	if err != nil {
		return v.userAgain(err, id)
	}
	reset, err := v.login.Reset2FA(v.ctx, v.r.PathValue("name"), code)
	if err != nil {
		return v.userAgain(err, id)
	}
	done := "The second factor is reset."
	if reset.Code == "" {
		done = "The account has no second factor: nothing was reset."
	}
	return v.showUser(userData{Enrolment: reset.Code}, view{Done: done})
}

// An action is a form of an account's page.
type action struct {
	ID, Path, Title, Text, Class string
	Problem                      problem
	Proof                        field
}

// actions are the forms that fit an account. To reset a second factor, the administrator must have one, too.
func (v *visit) actions(u web.User, p problem) (all []action, noFactor bool) {
	add := func(id, path, title, text, class string) {
		all = append(all, action{id, userPath(u.Name) + "/" + path, title, text, class, p, proofField(p, id, v.person)})
	}
	if u.Name == v.person.Name { // the rest is in the profile
		if u.Factor == web.FactorEnrolled {
			add("reset-2fa", "2fa", "Reset second factor", "You enrol anew, with a code that is shown once. Your sessions end, this one too.", "danger")
		}
		return all, false
	}
	if !u.Locked {
		add("lock", "lock", "Lock", "Nothing lets the account log in, keys neither. Its sessions end.", "danger")
	}
	add("unlock", "unlock", "Unlock", "The account may log in again, and its failure counter is cleared.", "")
	add("expire", "expire", "Expire password", "The next login must set a new password.", "")
	add("end-sessions", "sign-out", "Sign out", "All sessions of the account end. It may log in again.", "")
	add("reset-password", "password", "Reset password", "Sets a generated password, which is shown once. The account's sessions end.", "danger")
	switch {
	case u.Factor == web.FactorNone:
	case proofOf(v.person) == web.ByCode:
		add("reset-2fa", "2fa", "Reset second factor", "The account enrols anew, with a code that is shown once. Its sessions end.", "danger")
	default:
		noFactor = true
	}
	return all, noFactor
}
