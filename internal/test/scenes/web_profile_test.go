package scenes

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// TestPage: people use the page in a real browser, without scripts: whoever wants to change the password, whoever lost the
// authenticator, whoever administers others, on whatever screen.
func TestPage(t *testing.T) {
	t.Parallel()
	w := paged(t)
	w.part("profile", changesPassword)
	w.part("keyboard", func(w *site) { w.signsInByKeyboard() })
	w.part("expired", mustChange)
	w.part("sessions", sessionsOfThePage)
	w.MustShell(wireFactor)
	w.MustShell(mailAgent)
	w.part("second factor", losesAtThePage)
	w.part("administrator", administers)
	for _, page := range []string{
		"sign in", "sign in refused", "profile", "change password", "password refused", "password changed", "expired", "sessions", "activity", "no such page",
		"second factor", "set up", "recovery codes", "code", "code refused", "lost", "mailed code", "mail", "enrolment", "enrolled", "new codes",
		"accounts", "account", "account refused", "generated password", "protected account", "synchronisation", "audit",
	} {
		if !w.seen[page] {
			t.Errorf("the page %q was not looked at", page)
		}
	}
}

// changesPassword is the profile change of the appliance's manual: the current password, the new one, and it again.
func changesPassword(w *site) {
	v := w.browser.Visit(w.t, pageOrigin)
	v.Open("/profile")
	v.At(signIn)
	w.looksAt(v, "sign in")
	if got := v.Value("form#sign-in [name=username]", "autocomplete") + " " + v.Value("form#sign-in [name=password]", "autocomplete"); got != "username current-password" {
		w.t.Errorf("a password manager is told %q", got)
	}
	v.Submit("sign-in", "username", "user222", "password", "wrong")
	wrong := v.Text("form#sign-in")
	refused(v, http.StatusForbidden, "sign-in", "password", "")
	w.looksAt(v, "sign in refused")
	v.Submit("sign-in", "username", "nobody-of-that-name", "password", "wrong")
	if unknown := v.Text("form#sign-in"); v.Status() != http.StatusForbidden || unknown != wrong {
		w.t.Errorf("an account that does not exist: status %d, %q, and a wrong password %q", v.Status(), unknown, wrong)
	}
	v.Submit("sign-in", "username", "user222", "password", oldPassword)
	v.At("/profile")
	v.Sees("user222")
	w.looksAt(v, "profile")
	if status := v.Open("/nothing-of-that-name"); status != http.StatusNotFound {
		w.t.Errorf("a page that does not exist: status %d", status)
	}
	w.looksAt(v, "no such page")
	v.Open("/profile/activity")
	w.looksAt(v, "activity")
	v.Sees("user222")
	v.Open("/profile")
	v.Click("a[href='/profile/password']")
	w.looksAt(v, "change password")

	before := w.ShadowHash("user222") + w.StoreHash("user222")
	change := func(current, fresh, confirm string) {
		v.Submit("change-password", "current", current, "new", fresh, "confirm", confirm)
	}
	change("wrong", newPassword, newPassword)
	refused(v, http.StatusForbidden, "change-password", "current", "")
	change(oldPassword, newPassword, newPassword+"x")
	refused(v, http.StatusUnprocessableEntity, "change-password", "confirm", "not the same")
	change(oldPassword, tooShort, tooShort)
	refused(v, http.StatusUnprocessableEntity, "change-password", "new", ruleText)
	w.looksAt(v, "password refused")
	if after := w.ShadowHash("user222") + w.StoreHash("user222"); after != before {
		w.t.Error("what was refused has changed something")
	}

	shell := w.SSH("user222", oldPassword)
	shell.Expect("$ ", machine.Patience)
	was := cookie(v)
	change(oldPassword, newPassword, newPassword)
	if v.Text("#done"); v.Status() != http.StatusOK || len(v.Cookies()) != 0 {
		v.Fatalf("status %d, cookies %v", v.Status(), v.Cookies())
	}
	w.looksAt(v, "password changed")
	shell.Ended(machine.Patience)
	if a := w.request(w.client(""), "/profile", nil, "Cookie", was); a.status != http.StatusSeeOther {
		w.t.Errorf("the former cookie is answered with %d: %s", a.status, a.body)
	}
	w.inStore("user222")
	w.restart()
	w.opens("user222", newPassword, oldPassword)
	if !slices.ContainsFunc(w.audit("user222"), func(e event) bool {
		return e.Origin.SeenBy == "web" && e.Origin.By == "user222" && e.Action == "set password" && e.Reason == "done"
	}) {
		w.t.Errorf("the audit does not say who changed it where: %+v", w.audit("user222"))
	}
	w.enters("user222", newPassword)
	w.passwd("user222", oldPassword)
}

// mustChange: an expired password is changed in the middle of signing in, and nothing else is open meanwhile.
func mustChange(w *site) {
	w.Must("shadowsync", "user", "expire", "password", "user222")
	v := w.visit()
	v.Submit("sign-in", "username", "user222", "password", oldPassword)
	v.At("/profile/password")
	w.looksAt(v, "expired")
	for _, path := range []string{"/profile", "/profile/2fa", "/profile/sessions", "/profile/activity", "/admin/users"} {
		v.Open(path)
		v.At("/profile/password")
	}
	v.Submit("change-password", "current", oldPassword, "new", oldPassword, "confirm", oldPassword)
	refused(v, http.StatusUnprocessableEntity, "change-password", "new", "")
	v.Submit("change-password", "current", oldPassword, "new", newPassword, "confirm", newPassword)
	v.Text("#done")
	w.inStore("user222")
	if day := w.field("user222", 3); day == "0" {
		w.t.Error("it is still expired")
	}
	w.enters("user222", newPassword)
	w.passwd("user222", oldPassword)
}

// sessionsOfThePage: whoever is signed in at the page has a session like any other: it is listed, and it ends with the
// password, and when somebody ends it.
func sessionsOfThePage(w *site) {
	w.Must("shadowsync", "user", "logout", "user222")
	one, two := w.enters("user222", oldPassword), w.enters("user222", oldPassword)
	listed := w.Must("shadowsync", "user", "sessions", "user222")
	if strings.Count(listed, "web:") != 2 || strings.Count(listed, "127.0.0.1") < 2 {
		w.t.Errorf("two browsers are listed as %s", listed)
	}
	one.Open("/profile/sessions")
	w.looksAt(one, "sessions")
	if shown := one.Text("main"); strings.Count(shown, "127.0.0.1") < 2 || !one.Has(".tag") {
		w.t.Errorf("the page lists them as %s", shown)
	}
	one.Open("/profile/password")
	one.Submit("change-password", "current", oldPassword, "new", newPassword, "confirm", newPassword)
	one.Sees("All your sessions have ended, this one too")
	one.Text("#done")
	w.out("a change in another browser", two)
	for _, end := range []struct {
		what string
		does func()
	}{
		{"passwd", func() {
			w.passwd("user222", oldPassword)
			w.eventually("passwd's logout, for which it does not wait", machine.Patience, func() bool {
				return !strings.Contains(w.Must("shadowsync", "user", "sessions", "user222"), "web:")
			})
		}},
		{"user logout", func() { w.Must("shadowsync", "user", "logout", "user222") }},
		{"user lock", func() { w.Must("shadowsync", "user", "lock", "user222") }},
		{"disconnect in pcli", func() { w.Must("pcli", "-c", "disconnect user user222 force") }},
		{"user set password", func() { w.Input(oldPassword+"\n").Must("shadowsync", "user", "set", "password", "user222", "--stdin") }},
	} {
		w.passwd("user222", newPassword)
		v := w.enters("user222", newPassword)
		end.does()
		w.out(end.what, v)
		w.Must("shadowsync", "user", "unlock", "user222")
	}
	w.passwd("user222", oldPassword)
	everywhere(w)
}

// everywhere: "sign out everywhere" ends this session and the others, and the shells.
func everywhere(w *site) {
	one, two := w.enters("user222", oldPassword), w.enters("user222", oldPassword)
	shell := w.SSH("user222", oldPassword)
	shell.Expect("$ ", machine.Patience)
	one.Open("/profile/sessions")
	w.sends(one, "end-sessions", "proof", "wrong")
	refused(one, http.StatusForbidden, "end-sessions", "proof", "")
	w.sends(one, "end-sessions", "proof", oldPassword)
	one.Text("#done")
	shell.Ended(machine.Patience)
	w.out("sign out everywhere", two)
	leaves(w.enters("user222", oldPassword))
}

// leaves signs out.
func leaves(v *chromium.Visitor) {
	v.Submit("sign-out")
	v.Text("#done")
	v.Open("/profile")
	v.At(signIn)
}
