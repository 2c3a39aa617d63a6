package scenes

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

const pageOfUser222 = "/admin/users/user222"

// administers: an administrator does to another account what pcli lets them do, and each time it is as if root had done it.
func administers(w *site) {
	w.part("nobody else", plainUser)
	w.phones["admin"] = w.enrols("admin")
	v := w.enters("admin", oldPassword, w.phone("admin").next())
	v.Click("nav a[href='/admin/users']")
	w.looksAt(v, "accounts")
	if listed := v.Text("table"); !strings.Contains(listed, "boss") || !strings.Contains(listed, "protected") {
		w.t.Errorf("the accounts are %s", listed)
	}
	v.Click("a[href='" + pageOfUser222 + "']")
	w.looksAt(v, "account")
	v.Submit("lock", "proof", "000000")
	refused(v, http.StatusForbidden, "lock", "proof", "")
	w.looksAt(v, "account refused")
	if w.Run("passwd", "--status", "user222").Stdout[len("user222 "):][0] == 'L' {
		w.t.Error("without a right code an account is locked")
	}
	w.part("lock", func(w *site) { locks(w, v.For(w.t)) })
	w.part("end", func(w *site) { endsSessions(w, v.For(w.t)) })
	w.part("reset", func(w *site) { resetsAtThePage(w, v.For(w.t)) })
	w.part("protected", func(w *site) { sparesProtected(w, v.For(w.t)) })
	w.part("lists", func(w *site) { listsForAdministrators(w, v.For(w.t)) })
}

// acts does something to user222 with a proof.
func acts(v *chromium.Visitor, form, proof string) {
	v.Open(pageOfUser222)
	v.Submit(form, "proof", proof)
	if v.Text("#done"); v.Status() != http.StatusOK {
		v.Fatalf("status %d", v.Status())
	}
}

// refusesSignIn asserts that the page does not let somebody in with a right password.
func (w *site) refusesSignIn(account, password string) {
	w.t.Helper()
	v := w.visit()
	v.Submit("sign-in", "username", account, "password", password)
	if v.Status() != http.StatusForbidden || v.Path() != signIn {
		v.Fatalf("status %d", v.Status())
	}
}

func locks(w *site, v *chromium.Visitor) {
	phone := w.phone("admin")
	person := w.enters("user222", oldPassword, w.phone("user222").next())
	acts(v, "lock", phone.next())
	w.out("lock", person)
	w.refusesSignIn("user222", oldPassword)
	if !strings.HasPrefix(w.ShadowHash("user222"), "!") || !strings.HasPrefix(w.StoreHash("user222"), "!") {
		w.t.Error("it is not locked on both sides")
	}
	acts(v, "unlock", phone.next())
	w.inStore("user222")
	w.enters("user222", oldPassword, w.phone("user222").next())
}

func endsSessions(w *site, v *chromium.Visitor) {
	phone := w.phone("admin")
	person := w.enters("user222", oldPassword, w.phone("user222").next())
	acts(v, "end-sessions", phone.next())
	w.out("sign out", person)
	acts(v, "expire", phone.next())
	if day := w.field("user222", 3); day != "0" {
		w.t.Errorf("the password is of day %s, and should be expired", day)
	}
}

// resetsAtThePage: the generated password opens the account, and so does the enrolment code; both are shown once.
func resetsAtThePage(w *site, v *chromium.Visitor) {
	phone := w.phone("admin")
	acts(v, "reset-password", phone.next())
	w.looksAt(v, "generated password")
	generated := v.Text("#generated-password")
	if v.Open(pageOfUser222); v.Has("#generated-password") {
		w.t.Error("the generated password is shown again")
	}
	w.inStore("user222")
	acts(v, "reset-2fa", phone.next())
	ticket := v.Text("#enrolment-code")
	person := w.visit()
	person.Submit("sign-in", "username", "user222", "password", generated)
	person.At("/profile/2fa")
	person.Submit("enrol", "proof", generated, "enrolment", ticket)
	w.scans(person)
	person.Click("main a.button")
	person.At("/profile/password") // which was expired before the reset
	person.Submit("change-password", "current", generated, "new", newPassword, "confirm", newPassword)
	person.Text("#done")
	w.passwd("user222", oldPassword)
	w.untold(append(phone.shown, generated, ticket))
}

// sparesProtected: no form is offered for an account that amounts to root, and none is taken for it, nor for root, nor for
// an account that nobody manages.
func sparesProtected(w *site, v *chromium.Visitor) {
	phone := w.phone("admin")
	w.MustShell("id stranger >/dev/null 2>&1 || useradd -m stranger && echo stranger:" + oldPassword + " | chpasswd")
	before := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath)
	v.Open("/admin/users/boss")
	w.looksAt(v, "protected account")
	if v.Has("main form") {
		w.t.Error("there is a form for a protected account")
	}
	c, mine := w.client(""), cookie(v)
	for _, name := range []string{"boss", "root", "stranger", "nobody-of-that-name", "..", "%2e%2e", "user222%00"} {
		for _, act := range []string{"lock", "unlock", "expire", "sign-out", "password", "2fa"} {
			code := "000000"
			if name != "stranger" && act == "lock" && len(phone.recovery) > 0 {
				code = phone.next() // with a right one it is refused, too
			}
			a := w.request(c, "/admin/users/"+name+"/"+act, url.Values{"proof": {code}}, "Cookie", mine, "Sec-Fetch-Site", "same-origin")
			if a.status < 300 || a.status >= 500 {
				w.t.Errorf("%s of %s is answered with %d: %s", act, name, a.status, a.body)
			}
		}
	}
	if after := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath); after != before {
		w.t.Error("something was changed")
	}
}

// listsForAdministrators: the state of synchronisation, and the audit with its filters.
func listsForAdministrators(w *site, v *chromium.Visitor) {
	v.Open("/admin/sync")
	w.looksAt(v, "synchronisation")
	for _, text := range []string{"user222", "conductor", "in-sync", machine.ApplianceUnit} {
		v.Sees(text)
	}
	v.Open("/admin/audit")
	w.looksAt(v, "audit")
	v.Sees("admin")
	v.Submit("filter", "user", "user222", "from", "1 hour ago", "rows", "3")
	if rows := strings.Count(v.Text("tbody"), "user222"); rows < 3 {
		v.Fatalf("of three records of user222, %d name it", rows)
	}
	if strings.Contains(v.Text("tbody"), "boss") {
		w.t.Error("records of others are among those of user222")
	}
	v.Submit("filter", "from", "not a time")
	if v.Status() != http.StatusUnprocessableEntity || !v.Has("form#filter [name=from][aria-invalid=true]") {
		v.Fatalf("status %d", v.Status())
	}
}

// plainUser: for others than administrators, their pages do not exist.
func plainUser(w *site) {
	v := w.enters("user222", oldPassword, w.phone("user222").next())
	if v.Has("a[href^='/admin']") {
		w.t.Error("there is a link to an administrator's page")
	}
	before := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath)
	nothing := v.Open("/nothing-of-that-name")
	c, mine := w.client(""), cookie(v)
	for _, path := range []string{"/admin/users", "/admin/users/admin", pageOfUser222, "/admin/users/nobody-of-that-name", "/admin/sync", "/admin/audit", "/admin/audit?user=admin"} {
		if status := v.Open(path); status != nothing {
			w.t.Errorf("%s is answered with %d", path, status)
		}
	}
	for _, name := range []string{"admin", "user222", "boss"} {
		for _, act := range []string{"lock", "unlock", "expire", "sign-out", "password", "2fa"} {
			a := w.request(c, "/admin/users/"+name+"/"+act, url.Values{"proof": {w.phone("user222").code(30)}}, "Cookie", mine, "Sec-Fetch-Site", "same-origin")
			if a.status != nothing {
				w.t.Errorf("%s of %s is answered with %d", act, name, a.status)
			}
		}
	}
	if after := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath); after != before {
		w.t.Error("something was changed")
	}
	v.Open("/profile") // the session is as it was
	v.At("/profile")
}
