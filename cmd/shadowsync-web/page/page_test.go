package page

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// next is a token of a further step.
const next = "next56789012345678901234567890123456789abcd"

func TestSignIn(t *testing.T) {
	b := newBrowser(t)
	b.is(b.get("/sign-in"), 200, `id="sign-in"`, `action="/sign-in"`)
	b.d.set(web.OpSignIn, web.Signed{Token: token})
	b.sentTo(b.send("/sign-in", "username", "user222", "password", "Copper kettle+41&%"), "/profile")
	asked := b.d.last(t, web.OpSignIn)
	if string(asked.Args) != `{"name":"user222","address":"192.0.2.7"}` || len(asked.Secrets) != 1 || asked.Secrets[0] != "Copper kettle+41&%" {
		t.Errorf("the daemon was asked %s with %q", asked.Args, asked.Secrets)
	}
	if b.held() != token || *b.read != 1 {
		t.Errorf("the browser holds %q, %d forms were read", b.held(), *b.read)
	}
}

func TestCookie(t *testing.T) {
	b := newBrowser(t)
	b.d.set(web.OpSignIn, web.Signed{Token: token})
	got := b.send("/sign-in", "username", "user222", "password", "x").Header.Values("Set-Cookie")
	if want := cookieName + "=" + token + "; Path=/; HttpOnly; Secure; SameSite=Strict"; len(got) != 1 || got[0] != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWrongPassword(t *testing.T) {
	b := newBrowser(t)
	b.d.refuse(web.OpSignIn, web.NotAuthenticated, "wrong name or password")
	b.is(b.send("/sign-in", "username", "user222", "password", "no"), 403,
		"Wrong name or password.", `value="user222"`, `aria-invalid="true"`, `aria-describedby="sign-in-password-error"`)
	b.d.refuse(web.OpSignIn, web.TooMany, "too many failures: try again in 30 s")
	p := b.send("/sign-in", "username", "user222", "password", "no")
	if b.is(p, 429, `role="alert"`, "Too many failures"); p.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.is(b.send("/sign-in", "username", "user222", "password", ""), 422, "Enter your password.")
	b.is(b.send("/sign-in", "username", "", "password", "x"), 422, "Enter your user name.")
	b.is(b.send("/sign-in", "username", "u", "password", strings.Repeat("x", web.MaxPassword+1)), 422, "This is too long.")
	if n := b.d.times(web.OpSignIn); n != 2 {
		t.Errorf("the daemon was asked %d times", n)
	}
	if b.held() != "" {
		t.Error("there is a cookie")
	}
}

func TestCodeStep(t *testing.T) {
	b := newBrowser(t)
	b.d.set(web.OpSignIn, web.Signed{Token: token, Next: web.NextCode, Lost: true})
	b.sentTo(b.send("/sign-in", "username", "user222", "password", "x"), "/sign-in")
	b.d.person(web.Person{Next: web.NextCode, Lost: true})
	b.is(b.get("/sign-in"), 200, `id="code"`, `href="/lost"`, `autocomplete="one-time-code"`)
	for _, path := range []string{"/profile", "/profile/2fa", "/profile/password", "/profile/sessions", "/admin/users"} {
		b.sentTo(b.get(path), "/sign-in")
	}
	b.d.refuse(web.OpCode, web.CodeRefused, "the code is wrong")
	b.is(b.send("/sign-in", "code", "000000"), 403, "The code is wrong.", `aria-describedby="code-code-error code-code-hint"`)
	b.is(b.send("/sign-in", "code", ""), 422, "Enter the code.")
	b.d.set(web.OpCode, web.Signed{Token: next, Note: "3 recovery codes left"})
	b.is(b.send("/sign-in", "code", "123456"), 200, "3 recovery codes left.", `href="/profile"`)
	if asked := b.d.last(t, web.OpCode); asked.Token != token || asked.Secrets[0] != "123456" || b.held() != next {
		t.Errorf("asked with token %q and %q; the browser holds %q", asked.Token, asked.Secrets, b.held())
	}
}

func TestLost(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Next: web.NextCode, Lost: true})
	b.is(b.get("/lost"), 200, `id="lost"`, "Mail me a code")
	if b.d.times(web.OpLost) != 0 {
		t.Error("a link has mailed a code")
	}
	b.d.set(web.OpLost, web.Mailed{Signed: web.Signed{Token: next, Next: web.NextMailed}, Address: "u***@example.org"})
	b.is(b.send("/lost"), 200, "on its way to u***@example.org.", `name="code"`)
	b.d.set(web.OpLost, web.Mailed{Signed: web.Signed{Token: next, Next: web.NextMailed, Note: "the mail may have come by now"}})
	b.is(b.send("/lost"), 200, "The mail may have come by now.")
	b.d.person(web.Person{Next: web.NextMailed, Lost: true})
	b.d.refuse(web.OpRegain, web.CodeRefused, "the code is wrong")
	b.is(b.send("/lost", "code", "1"), 403, "The code is wrong.", `id="lost-code-error"`)
	b.d.set(web.OpRegain, setup())
	b.is(b.send("/lost", "code", "12345678"), 200, `id="setup-qr"`, `<code id="setup-key">GEZD GNBV</code>`, `id="confirm"`)
	b.d.person(web.Person{Next: web.NextConfirm})
	b.sentTo(b.get("/profile"), "/profile/2fa")
	b.is(b.get("/profile/2fa"), 200, `id="confirm"`)
	b.d.refuse(web.OpConfirm, web.CodeRefused, "the code is wrong")
	b.is(b.send("/profile/2fa", "code", "000000"), 403, "The code is wrong.")
	b.d.set(web.OpConfirm, web.Confirmed{Signed: web.Signed{Token: token}, Recovery: []string{"ABCD-EFGH", "IJKL-MNOP"}})
	p := b.send("/profile/2fa", "code", "123456")
	b.is(p, 200, `id="recovery-codes"`, "<code>ABCD-EFGH</code>", `href="/profile"`, `value="ABCD-EFGH IJKL-MNOP"`)
	b.d.person(coded(plainPerson()))
	p = b.send("/profile/codes/download", "codes", "ABCD-EFGH IJKL-MNOP")
	b.is(p, 200, "Recovery codes of user222 on node1.conductor", "ABCD-EFGH\r\nIJKL-MNOP\r\n")
	if p.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(p.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v", p.Header)
	}
	b.is(b.send("/profile/codes/download", "codes", "<script>alert(1)</script>"), 400)
}

func setup() web.Setup {
	return web.Setup{Signed: web.Signed{Token: next, Next: web.NextConfirm}, Key: "GEZDGNBV", Address: "otpauth://totp/c:user222?secret=GEZDGNBV"}
}

// A code of a mail, and the enrolment code that it gave, are also taken where a code is asked, after a later
// sign-in; and who finds the authenticator goes on with it.
func TestMailedCodeLater(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Next: web.NextCode, Lost: true})
	b.d.set(web.OpRegain, setup())
	for _, code := range []string{"1234 5678", "bcdf-bcdf-bcdf-bcdf-bcdf"} {
		b.is(b.send("/sign-in", "code", code), 200, `id="setup-qr"`)
		if asked := b.d.last(t, web.OpRegain); asked.Secrets[0] != code {
			t.Errorf("%q", asked.Secrets)
		}
	}
	b.d.refuse(web.OpRegain, web.CodeRefused, "the code is wrong")
	b.is(b.send("/sign-in", "code", "12345678"), 403, `id="code-code-error"`)
	b.d.person(web.Person{Next: web.NextMailed, Lost: true})
	b.is(b.get("/sign-in"), 200, `id="code"`)
	b.d.set(web.OpCode, web.Signed{Token: next})
	b.sentTo(b.send("/sign-in", "code", "123456"), "/profile")
}

func TestLostWithoutMail(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Next: web.NextCode})
	if p := b.get("/lost"); strings.Contains(p.text, "<form id=\"lost\"") {
		t.Errorf("a form that can do nothing: %s", p.text)
	}
	if p := b.get("/sign-in"); strings.Contains(p.text, `href="/lost"`) {
		t.Errorf("a link that leads nowhere: %s", p.text)
	}
}

func TestEnrol(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.is(b.get("/profile/2fa"), 200, `id="enrol"`, "current-password")
	b.d.refuse(web.OpEnrol, web.NotAuthenticated, "the password is wrong")
	b.is(b.send("/profile/2fa", "proof", "x"), 403, "The password is wrong.", `id="enrol-proof-error"`)
	b.d.set(web.OpEnrol, setup())
	b.is(b.send("/profile/2fa", "proof", "right"), 200, `id="setup-qr"`)
	if asked := b.d.last(t, web.OpEnrol); asked.Proof != web.ByPassword || len(asked.Secrets) != 1 {
		t.Errorf("%+v", asked)
	}
}

func TestEnrolAnother(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Name: "user222", Proof: web.ByCode, Factor: web.FactorEnrolled, CodesLeft: 8})
	b.is(b.get("/profile/2fa"), 200, `id="enrol"`, "one-time-code", "8 recovery codes left")
	b.d.set(web.OpEnrol, setup())
	b.is(b.send("/profile/2fa", "proof", "right"), 200, `id="setup-qr"`)
	if asked := b.d.last(t, web.OpEnrol); asked.Proof != web.ByCode || len(asked.Secrets) != 1 {
		t.Errorf("%+v", asked)
	}
}

func TestEnrolAfterReset(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Name: "user222", Next: web.NextEnrolment, Proof: web.ByPassword, Factor: web.FactorReset})
	b.is(b.get("/profile/2fa"), 200, `name="enrolment"`, `name="proof"`)
	b.d.refuse(web.OpEnrol, web.CodeRefused, "the code is wrong")
	b.is(b.send("/profile/2fa", "proof", "x", "enrolment", "y"), 403, `id="enrol-enrolment-error"`)
	b.d.set(web.OpEnrol, setup())
	b.is(b.send("/profile/2fa", "proof", "right", "enrolment", "code"), 200, `id="setup-qr"`)
	if asked := b.d.last(t, web.OpEnrol); strings.Join(asked.Secrets, " ") != "right code" {
		t.Errorf("%q", asked.Secrets)
	}
}

func TestSetPassword(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.is(b.get("/profile/password"), 200, `id="change-password"`, `autocomplete="new-password"`, "this one too")
	b.is(b.send("/profile/password", "current", "a", "new", "b", "confirm", "c"), 422, `id="change-password-confirm-error"`)
	b.is(b.send("/profile/password", "current", "", "new", "b", "confirm", "b"), 422, `id="change-password-current-error"`)
	b.is(b.send("/profile/password", "current", "a", "new", "", "confirm", ""), 422, `id="change-password-new-error"`)
	b.d.refuse(web.OpSetPassword, web.Policy, "the password is shorter than 12 characters")
	b.is(b.send("/profile/password", "current", "a", "new", "b", "confirm", "b"), 422, `id="change-password-new-error"`, "The password is shorter than 12 characters.")
	b.d.refuse(web.OpSetPassword, web.NotAuthenticated, "the current password is wrong")
	b.is(b.send("/profile/password", "current", "a", "new", "b", "confirm", "b"), 403, `id="change-password-current-error"`)
	b.d.refuse(web.OpSignOut, web.SignedOut, "the session has ended")
	b.d.set(web.OpSetPassword, web.Result{Notes: []string{"still open: session c1 (sshd)"}})
	p := b.send("/profile/password", "current", "old", "new", "fresh", "confirm", "fresh")
	if b.is(p, 200, "Your password is changed", "still open: session c1"); strings.Contains(p.text, "All your sessions") {
		t.Error("it says that all sessions have ended, and one is open")
	}
	b.hold(token)
	b.d.set(web.OpSetPassword, web.Result{Notes: []string{"authorized_keys stay open"}, Ended: true})
	b.is(b.send("/profile/password", "current", "old", "new", "fresh", "confirm", "fresh"), 200, `id="done"`, "this one too", "authorized_keys stay open", `id="sign-in"`)
	if asked := b.d.last(t, web.OpSetPassword); strings.Join(asked.Secrets, " ") != "old fresh" || b.held() != "" {
		t.Errorf("%q; the browser holds %q", asked.Secrets, b.held())
	}
}

func TestForcedChange(t *testing.T) {
	b := newBrowser(t).signedIn(web.Person{Name: "user222", Next: web.NextPassword})
	b.sentTo(b.get("/profile"), "/profile/password")
	b.is(b.get("/profile/password"), 200, "Your password has expired")
}

func TestPendingIsNoFailure(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.refuse(web.OpSetPassword, web.Pending, "conductor does not have it yet")
	b.is(b.send("/profile/password", "current", "a", "new", "b", "confirm", "b"), 200, "not everywhere yet", "Conductor does not have it yet.")
}

func TestUnknownOutcome(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.on(web.OpSetPassword, func(asked) (any, *web.Error) { return nil, vanish })
	b.is(b.send("/profile/password", "current", "a", "new", "b", "confirm", "b"), 503, "It is not known whether this was done", "Sign in again")
	b.d.on(web.OpSignIn, func(asked) (any, *web.Error) { return nil, vanish })
	b.is(b.send("/sign-in", "username", "u", "password", "p"), 503, "does not answer")
}

func TestProfile(t *testing.T) {
	b := newBrowser(t).signedIn(coded(plainPerson()))
	p := b.get("/profile")
	b.is(p, 200, "User Two", "8 recovery codes left", "u***@example.org", `action="/sign-out"`)
	if strings.Contains(p.text, "/admin") {
		t.Error("an administrator's link is shown to a user")
	}
	few := coded(plainPerson())
	few.CodesLeft, few.Required = 2, "A second factor is required of this account."
	b.d.person(few)
	b.is(b.get("/profile"), 200, "Only 2 recovery codes left.", "A second factor is required")
	b.sentTo(b.get("/"), "/profile")
}

func TestCodesAndMail(t *testing.T) {
	b := newBrowser(t).signedIn(coded(plainPerson()))
	b.is(b.get("/profile/codes"), 200, `id="renew-codes"`)
	b.d.refuse(web.OpRenewCodes, web.CodeRefused, "the code is wrong")
	b.is(b.send("/profile/codes", "code", "1"), 403, `id="renew-codes-code-error"`)
	b.d.set(web.OpRenewCodes, web.Confirmed{Recovery: []string{"ABCD-EFGH"}})
	b.is(b.send("/profile/codes", "code", "1"), 200, "ABCD-EFGH")
	b.is(b.get("/profile/mail"), 200, `id="mail"`, "u***@example.org")
	b.d.refuse(web.OpSetMail, web.Usage, "that is no address")
	b.is(b.send("/profile/mail", "address", "x@y", "code", "1"), 400, `id="mail-address-error"`, `value="x@y"`)
	b.is(b.send("/profile/mail", "address", strings.Repeat("x", 300), "code", "1"), 422, `id="mail-address-error"`)
	b.d.set(web.OpSetMail, nil)
	b.is(b.send("/profile/mail", "address", "x@y.example", "code", "1"), 200, "Your mail address is set.")
	b.is(b.send("/profile/mail", "address", "", "code", "1"), 200, "Your mail address is removed.")
	if asked := b.d.last(t, web.OpSetMail); string(asked.Args) != `{"address":""}` || asked.Secrets[0] != "1" {
		t.Errorf("%s, %q", asked.Args, asked.Secrets)
	}
}

// An address that was set is set, also if the daemon dies before it describes the person again.
func TestMailIsSetInAnyCase(t *testing.T) {
	b := newBrowser(t).signedIn(coded(plainPerson()))
	b.d.on(web.OpSetMail, func(asked) (any, *web.Error) {
		b.d.refuse(web.OpWho, web.Unavailable, "shadowsync is not running")
		return nil, nil
	})
	b.is(b.send("/profile/mail", "address", "x@y.example", "code", "1"), 200, "Your mail address is set.")
}

func sessions() []web.Session {
	return []web.Session{
		{User: "user222", Own: true, Session: shadowsync.Session{ID: "web:1", Kind: "web", Remote: "192.0.2.7", Since: time.Unix(1e9, 0)}},
		{User: "user222", Session: shadowsync.Session{ID: "4", Kind: "sshd", Terminal: "pts/1", Remote: "198.51.100.4", Since: time.Unix(1e9, 0)}},
	}
}

func TestSessions(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.set(web.OpSessions, sessions())
	b.is(b.get("/profile/sessions"), 200, "this one", "198.51.100.4", `id="end-sessions"`)
	b.is(b.send("/profile/sessions", "proof", ""), 422, `id="end-sessions-proof-error"`)
	b.d.set(web.OpEndSessions, web.Ended{Ended: sessions()[:1], Survivors: sessions()[1:], Doors: []string{"a crontab"}})
	b.d.set(web.OpSignOut, nil)
	b.is(b.send("/profile/sessions", "proof", "x"), 200, "1 session of yours ended, this one too", "This session did not end: sshd pts/1 198.51.100.4.", "a crontab", `id="sign-in"`)
	if b.held() != "" || b.d.last(t, web.OpEndSessions).User != "" {
		t.Errorf("the browser holds %q", b.held())
	}
}

func TestActivity(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.set(web.OpActivity, []shadowsync.Event{{At: time.Unix(1e9, 0), Account: "user222", Action: "signed in", Origin: shadowsync.Origin{By: "user222", Program: "web", Remote: "192.0.2.7"}}})
	b.is(b.get("/profile/activity"), 200, "signed in", "user222 (web) from 192.0.2.7")
	if asked := b.d.last(t, web.OpActivity); asked.User != "user222" {
		t.Errorf("asked about %q", asked.User)
	}
	b.is(b.get("/profile/activity?user=admin&from=2026-11-21&rows=7"), 200, `value="2026-11-21"`)
	if asked := b.d.last(t, web.OpActivity); asked.User != "user222" || !strings.Contains(string(asked.Args), `"rows":7`) {
		t.Errorf("asked about %q: %s", asked.User, asked.Args)
	}
	b.is(b.get("/profile/activity?from=soon"), 422, `id="filter-from-error"`)
	b.is(b.get("/profile/activity?rows=0"), 422, `id="filter-rows-error"`)
}

func users() []web.User {
	return []web.User{
		{Name: "user222", FullName: "User Two", Role: web.RoleUser, Application: "conductor", Enabled: true, State: shadowsync.InSync, Factor: web.FactorEnrolled, CodesLeft: 8, Sessions: 1},
		{Name: "DOM\\a b/c", Enabled: false, Locked: true, State: shadowsync.Pending, Factor: web.FactorNone, Protected: "member of sudo"},
	}
}

func newAdmin(t *testing.T) *browser {
	t.Helper()
	b := newBrowser(t).signedIn(adminPerson())
	b.d.on(web.OpUsers, func(a asked) (any, *web.Error) {
		for _, u := range users() {
			if u.Name == a.User {
				return []web.User{u}, nil
			}
		}
		if a.User != "" {
			return nil, &web.Error{Kind: web.NoAccount, Text: "no such account: " + a.User}
		}
		return users(), nil
	})
	b.d.set(web.OpSessions, sessions())
	return b
}

func TestAdministrators(t *testing.T) {
	b := newAdmin(t)
	b.sentTo(b.get("/admin"), "/admin/users")
	b.is(b.get("/admin/users"), 200, `href="/admin/users/user222"`, `href="/admin/users/DOM%5Ca%20b%2Fc"`, "locked")
	b.is(b.get("/admin/users/user222"), 200, `id="lock"`, `id="expire"`, `id="end-sessions"`, `id="reset-password"`, `id="reset-2fa"`, `action="/admin/users/user222/lock"`)
	p := b.get("/admin/users/DOM%5Ca%20b%2Fc")
	if b.is(p, 200, "member of sudo"); strings.Contains(p.text, `id="unlock"`) {
		t.Error("actions on a protected account")
	}
	b.is(b.get("/admin/users/nobody"), 404, "No such account: nobody.")
	b.sentTo(b.get("/admin/users/user222/lock"), "/admin/users/user222")
	b.d.set(web.OpSync, []web.SyncState{{Application: "conductor", Unit: "128T.service", Guard: "on", Account: "admin", State: shadowsync.Conflict, Reason: "both moved", PendingSince: time.Unix(1e9, 0)}})
	b.is(b.get("/admin/sync"), 200, "128T.service", "both moved", "conflict")
	b.d.set(web.OpActivity, []shadowsync.Event{})
	b.is(b.get("/admin/audit?user=user222"), 200, "No activity.")
	if asked := b.d.last(t, web.OpActivity); asked.User != "user222" {
		t.Errorf("asked about %q", asked.User)
	}
}

// Of their own account, administrators can drop the second factor there, and nothing else.
func TestAdministratorsOwnAccount(t *testing.T) {
	b := newAdmin(t)
	me := adminPerson()
	me.Name = "user222"
	b.d.person(me)
	p := b.get("/admin/users/user222")
	if b.is(p, 200, `id="reset-2fa"`, "This is your own account"); strings.Contains(p.text, `id="lock"`) {
		t.Error("an administrator may lock themselves")
	}
	b.d.set(web.OpReset2FA, web.EnrolmentCode{Code: "abcd-efgh"})
	b.d.refuse(web.OpUsers, web.SignedOut, "you are not signed in any more")
	b.is(b.send("/admin/users/user222/2fa", "proof", "1"), 200, "abcd-efgh", "cannot be shown")
}

// TestResetInDirectory: who administers all applications resets the factor of an account that no list has, by its name
// and a code.
func TestResetInDirectory(t *testing.T) {
	b := newAdmin(t)
	b.is(b.get("/admin/users"), 200, `action="/admin/directory"`, "Your code")
	b.sentTo(b.get("/admin/directory"), "/admin/users")
	b.is(b.send("/admin/directory", "username", "", "proof", "1"), 422, "Enter the name of the account.", "user222")
	b.is(b.send("/admin/directory", "username", "anna", "proof", ""), 422, "Enter the code.", `value="anna"`)
	b.d.refuse(web.OpReset2FA, web.NoAccount, "no such account of a directory: anna")
	b.is(b.send("/admin/directory", "username", "anna", "proof", "1"), 404, "No such account of a directory: anna.", `id="directory-username-error"`)
	b.d.refuse(web.OpReset2FA, web.NotPermitted, "not permitted: anna is protected")
	b.is(b.send("/admin/directory", "username", "anna", "proof", "1"), 403, "Not permitted: anna is protected.", `role="alert"`)
	b.d.set(web.OpReset2FA, web.EnrolmentCode{Code: "abcd-efgh"})
	b.is(b.send("/admin/directory", "username", "anna", "proof", "123456"), 200, "The second factor of anna is reset.", `<code id="enrolment-code">abcd-efgh</code>`, "user222")
	asked := b.d.last(t, web.OpReset2FA)
	if string(asked.Args) != `{"realm":"ldap"}` || asked.User != "anna" || asked.Proof != web.ByCode || asked.Secrets[0] != "123456" {
		t.Errorf("%+v", asked)
	}
	b.d.set(web.OpReset2FA, web.EnrolmentCode{})
	b.is(b.send("/admin/directory", "username", "anna", "proof", "1"), 200, "anna has no second factor: nothing was reset.")
	b.d.set(web.OpReset2FA, web.EnrolmentCode{Code: "abcd-efgh"})
	b.d.refuse(web.OpUsers, web.SignedOut, "you are not signed in any more")
	b.is(b.send("/admin/directory", "username", "anna", "proof", "1"), 200, "abcd-efgh", "cannot be shown")

	b = newAdmin(t)
	me := adminPerson()
	me.Directory = false
	b.d.person(me)
	if p := b.get("/admin/users"); strings.Contains(p.text, "directory") {
		t.Error("an administrator of one application gets the form")
	}
	me.Directory, me.Proof = true, web.ByPassword
	b.d.person(me)
	if p := b.get("/admin/users"); strings.Contains(p.text, `id="directory"`) || !strings.Contains(p.text, "you need one of your own") {
		t.Error("an administrator without a second factor gets the form")
	}
}

func TestAdministratorsActions(t *testing.T) {
	b := newAdmin(t)
	for _, tt := range []struct {
		action, form, done string
		op                 web.Op
	}{
		{"lock", "lock", "The account is locked", web.OpLock},
		{"unlock", "unlock", "The account is unlocked", web.OpUnlock},
		{"expire", "expire", "The password is expired", web.OpExpire},
	} {
		b.d.refuse(tt.op, web.NotPermitted, "not permitted: user222 is protected")
		b.is(b.send("/admin/users/user222/"+tt.action, "proof", "1"), 403, "Not permitted: user222 is protected.", `role="alert"`)
		b.d.set(tt.op, web.Result{Notes: []string{"a note"}})
		b.is(b.send("/admin/users/user222/"+tt.action, "proof", "123456"), 200, tt.done, "a note", `id="done"`)
		if asked := b.d.last(t, tt.op); asked.User != "user222" || asked.Proof != web.ByCode || asked.Secrets[0] != "123456" || asked.Token != token {
			t.Errorf("%+v", asked)
		}
	}
	b.d.set(web.OpEndSessions, web.Ended{Ended: sessions()})
	b.is(b.send("/admin/users/user222/sign-out", "proof", "1"), 200, "2 sessions of user222 ended.")
	b.d.set(web.OpResetPassword, web.Result{})
	p := b.send("/admin/users/user222/password", "proof", "1")
	made := b.d.last(t, web.OpResetPassword).Secrets[1]
	if b.is(p, 200, `<code id="generated-password">`+made+`</code>`); len(made) != 32 {
		t.Errorf("the generated password is %q", made)
	}
	b.d.set(web.OpReset2FA, web.EnrolmentCode{Code: "abcd-efgh"})
	b.is(b.send("/admin/users/user222/2fa", "proof", "1"), 200, `<code id="enrolment-code">abcd-efgh</code>`)
	b.d.set(web.OpReset2FA, web.EnrolmentCode{})
	b.is(b.send("/admin/users/user222/2fa", "proof", "1"), 200, "nothing was reset")
}

// What was made once is shown, also when the account cannot be read any more.
func TestGeneratedPasswordIsShownInAnyCase(t *testing.T) {
	b := newAdmin(t)
	b.d.set(web.OpResetPassword, web.Result{})
	b.d.refuse(web.OpUsers, web.Failed, "no")
	b.is(b.send("/admin/users/user222/password", "proof", "1"), 200, `id="generated-password"`)
}

func TestUsersSeeNoAdministratorsPage(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	for _, one := range routes {
		method, path, _ := strings.Cut(one.pattern, " ")
		if !strings.HasPrefix(path, "/admin") {
			continue
		}
		path = strings.NewReplacer("{name}", "user222", "{action}", "lock").Replace(path)
		if method == http.MethodGet {
			b.is(b.get(path), 404)
		} else {
			b.is(b.send(path, "proof", "x"), 404)
		}
	}
	if *b.read != 0 {
		t.Error("a form was read in vain")
	}
}

func TestSignOut(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.set(web.OpSignOut, nil)
	b.is(b.send("/sign-out"), 200, "You are signed out.", `id="sign-in"`)
	if b.held() != "" || b.d.last(t, web.OpSignOut).Token != token {
		t.Errorf("the browser holds %q", b.held())
	}
	b.sentTo(b.get("/sign-out"), "/sign-in")
}

// A session that was ended elsewhere leads to the sign-in page, which says so.
func TestEndedSession(t *testing.T) {
	b := newBrowser(t)
	b.hold(token)
	b.sentTo(b.get("/profile"), "/sign-in")
	b.is(b.get("/sign-in"), 200, "Your session has ended.")
	if b.held() != "" {
		t.Error("the cookie stays")
	}
}

// Whoever signs in where somebody is signed in takes the other one's session away.
func TestSignInEndsTheSessionBefore(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	b.d.set(web.OpSignIn, web.Signed{Token: next})
	b.d.set(web.OpSignOut, nil)
	b.sentTo(b.send("/sign-in", "username", "admin", "password", "x"), "/profile")
	if asked := b.d.last(t, web.OpSignOut); asked.Token != token || b.held() != next {
		t.Errorf("signed out %q; the browser holds %q", asked.Token, b.held())
	}
}
