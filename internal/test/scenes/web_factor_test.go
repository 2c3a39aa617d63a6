package scenes

import (
	"net/http"
	"strings"

	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// losesAtThePage: somebody enrols at the page, loses the phone, and gets back in with a mailed code and a new QR code.
// Then ssh takes the new password and the new phone's code, and nothing of before.
func losesAtThePage(w *site) {
	v := w.enters("user222", oldPassword)
	lost := w.enrolsAtThePage(v, oldPassword)
	v.Open("/profile/2fa")
	w.looksAt(v, "enrolled")
	v.Open("/profile/mail")
	w.looksAt(v, "mail")
	v.Submit("mail", "address", "anna@example.net", "code", lost.next())
	v.Text("#done")
	v.Submit("sign-out")

	v = w.visit()
	v.Submit("sign-in", "username", "user222", "password", oldPassword)
	for _, path := range []string{"/profile", "/profile/2fa", "/profile/mail", "/admin/users"} {
		v.Open(path)
		v.At(signIn)
	}
	w.looksAt(v, "code")
	v.Submit("code", "code", "000000")
	refused(v, http.StatusForbidden, "code", "code", "")
	w.looksAt(v, "code refused")
	v.Click("a[href='/lost']")
	w.looksAt(v, "lost")
	v.Submit("lost")
	v.Sees("a…a@example.net")
	w.looksAt(v, "mailed code")
	w.mailed("Code: ", 1)
	sent := mailedCodeSent.FindStringSubmatch(w.ReadFile("/var/sink/mail"))
	if sent == nil {
		w.t.Fatalf("no code was mailed: %s", w.ReadFile("/var/sink/mail"))
	}
	v.Submit("lost", "code", "00000000")
	refused(v, http.StatusForbidden, "lost", "code", "")
	v.Submit("lost", "code", sent[1])
	w.looksAt(v, "set up")
	fresh := w.scans(v)
	w.looksAt(v, "recovery codes")
	w.keepsCodes(v, fresh)
	v.At("/profile")
	w.mailed("was enrolled", 1)

	v.Open("/profile/password")
	v.Submit("change-password", "current", oldPassword, "new", newPassword, "confirm", newPassword)
	v.Text("#done")
	w.inStore("user222")
	w.admits("the new password and the new phone", byDialogue, "user222", newPassword, fresh.code(30))
	w.keepsOut("the new password and the old phone's recovery code", byDialogue, "user222", newPassword, lost.next(), "Permission denied")
	w.keepsOut("the old password", byDialogue, "user222", oldPassword, fresh.next(), "Permission denied")
	w.renewsCodes(fresh)
	w.keepsNone(append(append(lost.shown, fresh.shown...), sent[1], oldPassword, newPassword))
	w.enrolsAfterReset()
	w.passwd("user222", oldPassword)
}

// enrolsAtThePage enrols whoever has no second factor.
func (w *site) enrolsAtThePage(v *chromium.Visitor, password string) *authenticator {
	w.t.Helper()
	v.Open("/profile/2fa")
	w.looksAt(v, "second factor")
	v.Submit("enrol", "proof", "wrong")
	refused(v, http.StatusForbidden, "enrol", "proof", "")
	v.Submit("enrol", "proof", password)
	a := w.scans(v)
	v.Click("main a.button")
	v.At("/profile")
	v.Sees("10 recovery codes left")
	return a
}

// keepsCodes downloads the recovery codes, looks at them as they would be printed, and goes on.
func (w *site) keepsCodes(v *chromium.Visitor, a *authenticator) {
	w.t.Helper()
	name, text := v.Download("form#download button")
	for _, code := range a.recovery {
		if !strings.Contains(text, code) {
			w.t.Errorf("%s lacks the code %s: %q", name, code, text)
		}
	}
	if !strings.HasSuffix(name, ".txt") || strings.Contains(name, a.recovery[0]) {
		w.t.Errorf("the file is called %s", name)
	}
	v.Print(true)
	if on := v.Text("body"); !strings.Contains(on, a.recovery[9]) || !strings.Contains(on, "user222") || strings.Contains(on, "Sign out") {
		w.t.Errorf("on paper is %s", on)
	}
	v.Print(false)
	v.Click("main a.button")
}

// renewsCodes: new recovery codes replace the old ones.
func (w *site) renewsCodes(a *authenticator) {
	w.t.Helper()
	v := w.enters("user222", newPassword, a.next())
	old := a.next()
	v.Open("/profile/codes")
	w.looksAt(v, "new codes")
	v.Submit("renew-codes", "code", a.next())
	renewed := recoveryCodeShown.FindAllString(v.Text("#recovery-codes"), -1)
	if len(renewed) != 10 {
		v.Fatalf("%d codes are shown", len(renewed))
	}
	v.Open("/profile/codes")
	v.Submit("renew-codes", "code", old)
	refused(v, http.StatusForbidden, "renew-codes", "code", "")
	a.recovery, a.shown = renewed, append(a.shown, renewed...)
	leaves(v)
	w.enters("user222", newPassword, a.next())
}

// enrolsAfterReset: after a reset only the enrolment code leads on.
func (w *site) enrolsAfterReset() {
	w.t.Helper()
	ticket := enrolmentCode.FindStringSubmatch(w.Must("shadowsync", "user", "reset", "2fa", "local", "user222"))
	if ticket == nil {
		w.t.Fatal("no enrolment code is printed")
	}
	v := w.visit()
	v.Submit("sign-in", "username", "user222", "password", newPassword)
	v.At("/profile/2fa")
	w.looksAt(v, "enrolment")
	v.Submit("enrol", "proof", newPassword, "enrolment", "bcdf-bcdf-bcdf-bcdf-bcdf")
	refused(v, http.StatusForbidden, "enrol", "enrolment", "")
	v.Submit("enrol", "proof", newPassword, "enrolment", ticket[1])
	w.phones["user222"] = w.scans(v)
	v.Click("main a.button")
	v.At("/profile")
}
