package page

import (
	"net/http"

	"github.com/shadowsync/shadowsync/shadowsync/web"
)

func (v *visit) passwordPage() error { return v.showPassword(problem{}) }

func (v *visit) showPassword(p problem) error {
	title := "Change your password"
	if v.person.Next == web.NextPassword {
		title = "Your password has expired"
	}
	return v.show("password", view{Title: title, Problem: p})
}

func (v *visit) setPassword() error {
	const id = "change-password"
	wrong := func(field, text string) error {
		return v.showPassword(problem{http.StatusUnprocessableEntity, id, field, text})
	}
	if len(v.form.get("new")) > 0 && !v.same("new", "confirm") { // nil is the password module's to refuse
		return wrong("confirm", "This is not the same as the new password.")
	}
	current, err := v.password(id, "current", "Enter your current password.")
	if err != nil {
		return v.again(err, id, nil, v.showPassword)
	}
	fresh, err := v.password(id, "new", "Enter a new password.")
	if err != nil {
		return v.again(err, id, nil, v.showPassword)
	}
	result, err := v.login.SetPassword(v.ctx, current, fresh)
	result, half, err := v.pending(result, err)
	if err != nil {
		return v.again(err, id, fields{web.NotAuthenticated: "current", web.Policy: "new"}, v.showPassword)
	}
	done := "Your password is changed. Sign in again with the new password."
	switch {
	case result.Ended:
		done = "Your password is changed. All your sessions have ended, this one too: sign in again with the new password."
	case half:
		done = "Your password is changed on this machine, but not everywhere yet. Sign in again with the new password."
	}
	v.leave()
	return v.show("signin", view{Title: "Password changed", Done: done, Notes: result.Notes, Data: signInData{}})
}

// leave ends this session, if the daemon has not, and forgets it.
func (v *visit) leave() {
	_ = v.login.SignOut(v.ctx)
	v.forget()
}
