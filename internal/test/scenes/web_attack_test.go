package scenes

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// TestPageUnderAttack: other sites, programs and people without a right to it change nothing through the page, learn
// nothing, and hold nobody up.
func TestPageUnderAttack(t *testing.T) {
	t.Parallel()
	w := paged(t)
	w.part("other sites", otherSites)
	w.part("tokens", forgedTokens)
	w.part("forms", hostileForms)
	w.part("connections", hoardsConnections)
	w.part("flood", floodsSignIn)
	w.part("socket", takenOver)
	w.part("names", hostileNames)
}

// evilPage has a form that another site would like a visitor of the page to send.
const evilPage = `<!doctype html><title>Free things</title><form id="evil" method="post" action="%s"><input name="%s" value="%s"><button>Win</button></form>`

// evil serves a page of another site, under a name of its own.
func (w *site) evil(origin string) {
	w.t.Helper()
	at, err := url.Parse(origin)
	if err != nil {
		w.t.Fatal(err)
	}
	w.MustShell("echo 127.0.0.1 " + at.Hostname() + " >>/etc/hosts")
	listener, err := w.Machine.Listen(w.t.Context(), "127.0.0.1:"+at.Port())
	if err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		fmt.Fprintf(out, evilPage, q.Get("to"), q.Get("field"), q.Get("value"))
	})}
	w.t.Cleanup(func() { _ = server.Close() })
	if at.Scheme == "http" {
		go func() { _ = server.Serve(listener) }()
		return
	}
	certificate, key := w.authority.Issue(w.t, at.Hostname())
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		w.t.Fatal(err)
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	go func() { _ = server.ServeTLS(listener, "", "") }()
}

// otherSites: a form of another site is refused, whether the browser counts that site as a part of ours or not.
func otherSites(w *site) {
	v := w.enters("user222", oldPassword)
	before := w.ReadFile("/etc/shadow")
	for _, origin := range []string{"http://evil.example.org:8080", "https://evil.example.net:9443", "https://" + pageName + ":9444"} {
		w.evil(origin)
		for path, field := range map[string]string{
			"/sign-out": "x", signIn: "username", "/profile/password": "current", "/profile/2fa": "proof", "/profile/mail": "address",
			"/profile/sessions": "proof", "/admin/users/user222/lock": "proof", "/lost": "x",
		} {
			there := v.From(origin)
			there.Open("/?" + url.Values{"to": {pageOrigin + path}, "field": {field}, "value": {oldPassword}}.Encode())
			if status := there.Submit("evil"); status != http.StatusForbidden {
				there.Fatalf("a form of %s for %s: status %d", origin, path, status)
			}
		}
	}
	v.Open("/profile")
	v.At("/profile")
	v.Sees("user222")
	if w.ReadFile("/etc/shadow") != before {
		w.t.Error("something was changed")
	}
}

// forgedTokens: a token that nobody was given, that was another step's, that somebody else put into the browser, or whose
// session has ended opens nothing.
func forgedTokens(w *site) {
	c := w.client("")
	opens := func(what, cookie string) {
		w.t.Helper()
		if a := w.request(c, "/profile", nil, "Cookie", cookie); a.status != http.StatusSeeOther || a.header.Get("Location") != signIn {
			w.t.Errorf("%s is answered with %d: %s", what, a.status, a.body)
		}
	}
	v := w.enters("user222", oldPassword)
	mine := cookie(v)
	token := strings.TrimPrefix(mine, pageCookie+"=")
	if one := v.Cookies()[0]; !one.HTTPOnly || !one.Secure || one.SameSite != "Strict" || one.Path != "/" || !one.Session || strings.HasPrefix(one.Domain, ".") {
		w.t.Errorf("the cookie is %+v", one)
	}
	for what, forged := range map[string]string{
		"none": "", "an empty token": pageCookie + "=", "a token nobody has": pageCookie + "=" + strings.Repeat("A", len(token)),
		"a changed token": pageCookie + "=" + token[:len(token)-2] + "zz", "a part of one": pageCookie + "=" + token[:20], "a longer one": mine + "A",
		"one of another case": pageCookie + "=" + strings.ToLower(token), "a path": pageCookie + "=../../etc/passwd", "two": mine + "; " + pageCookie + "=" + strings.Repeat("A", len(token)),
		"another name": "shadowsync=" + token,
	} {
		opens(what, forged)
	}
	victim := w.visit()
	victim.SetCookie(pageCookie, token) // by somebody who is signed in with it
	victim.Submit("sign-in", "username", "boss", "password", oldPassword)
	victim.At("/profile")
	victim.Sees("boss")
	if cookie(victim) == mine {
		w.t.Error("a token that was there before the sign-in is used after it")
	}
	opens("a token that was put into a browser where somebody else signed in", mine)

	phone := w.enrols("user222")
	v = w.visit()
	v.Submit("sign-in", "username", "user222", "password", oldPassword)
	step, used := cookie(v), phone.next()
	opens("the token of a step", step)
	v.Submit("code", "code", used)
	v.At("/profile")
	if a := w.request(c, signIn, url.Values{"code": {phone.next()}}, "Cookie", step); a.status == http.StatusOK || a.header.Get("Location") == "/profile" {
		w.t.Errorf("the token of a step that is over is answered with %d", a.status)
	}
	replayed(w, v, used)
	left := w.enters("user222", oldPassword, phone.next())
	mine = cookie(left)
	leaves(left)
	opens("a token after sign-out", mine)
}

// replayed: a form that was recorded does nothing when it is sent again.
func replayed(w *site, v *chromium.Visitor, used string) {
	w.t.Helper()
	c := w.client("")
	other := w.visit()
	other.Submit("sign-in", "username", "user222", "password", oldPassword)
	other.Submit("code", "code", used)
	refused(other, http.StatusForbidden, "code", "code", "")
	form := url.Values{"current": {oldPassword}, "new": {newPassword}, "confirm": {newPassword}}
	mine := cookie(v)
	if a := w.request(c, "/profile/password", form, "Cookie", mine); a.status != http.StatusOK {
		w.t.Fatalf("a change by hand is answered with %d: %s", a.status, a.body)
	}
	w.passwd("user222", oldPassword)
	if a := w.request(c, "/profile/password", form, "Cookie", mine); a.status != http.StatusSeeOther || !w.Login("user222", oldPassword) {
		w.t.Errorf("the same form again is answered with %d", a.status)
	}
}

// hostileForms: without a session no form does anything, and none that is not one of the page's is read.
func hostileForms(w *site) {
	c := w.client("")
	v := w.enters("admin", oldPassword)
	mine := cookie(v)
	before := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath)
	for i, path := range []string{
		"/profile/password", "/profile/2fa", "/profile/codes", "/profile/codes/download", "/profile/mail", "/profile/sessions", "/lost",
		"/admin/users/user222/lock", "/admin/users/user222/password", "/admin/users/user222/2fa", "/admin/users/user222/sign-out",
	} {
		from := fmt.Sprintf("127.0.2.%d", i+1) // the page takes few forms a second from one address
		c := w.client(from)
		form := url.Values{"current": {oldPassword}, "new": {newPassword}, "confirm": {newPassword}, "proof": {oldPassword}, "code": {"000000"}, "address": {"x@example.net"}}
		if a := w.request(c, path, form); a.status != http.StatusSeeOther || a.header.Get("Location") != signIn {
			w.t.Errorf("%s without a token is answered with %d", path, a.status)
		}
		for what, headers := range map[string][]string{
			"as JSON":         {"Content-Type", "application/json"},
			"as text":         {"Content-Type", "text/plain"},
			"with parts":      {"Content-Type", "multipart/form-data; boundary=x"},
			"of another site": {"Origin", "https://evil.example.org"},
			"cross-site":      {"Sec-Fetch-Site", "cross-site"},
			"same-site":       {"Sec-Fetch-Site", "same-site"},
		} {
			if a := w.request(c, path, form, append(headers, "Cookie", mine)...); (a.status < 400 || a.status >= 500) && (path != "/lost" || a.status != http.StatusSeeOther) {
				w.t.Errorf("%s %s is answered with %d", path, what, a.status)
			}
		}
		large := url.Values{"proof": {strings.Repeat("A", 1<<20)}, "current": {oldPassword}}
		if a, err := w.tries(w.client(from), path, large, "Cookie", mine); err == nil && a.status != http.StatusRequestEntityTooLarge && path != "/lost" {
			w.t.Errorf("%s with a megabyte is answered with %d", path, a.status)
		}
	}
	if after := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath); after != before {
		w.t.Error("something was changed")
	}
	a := w.request(c, signIn, nil)
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY",
	} {
		if got := a.header.Get(header); !strings.Contains(got, want) || strings.Contains(got, "unsafe-inline") {
			w.t.Errorf("the header %s is %q", header, got)
		}
	}
}

// hostileTexts are typed into every field.
var hostileTexts = map[string]string{
	"HTML": `"><script>alert(1)</script><img src=x onerror=alert(2)>`, "a header": "x\r\nX-Injected: 1\r\n\r\n<b>", "NUL": "a\x00b",
	"control characters": "\x1b[31m\x07\u202e", "no UTF-8": "\xff\xfe\xfd", "long": strings.Repeat("A", 60_000), "empty": "",
}

// hostileNames: whatever is typed into a field, or stands in an account's name, is text.
func hostileNames(w *site) {
	w.Must("systemctl", "restart", "shadowsync.service") // it has forgotten the wrong passwords
	v := w.enters("admin", oldPassword)
	c, mine := w.client(""), cookie(v)
	fields := map[string][]string{
		signIn: {"username", "password", "code"}, "/profile/password": {"current", "new", "confirm"}, "/profile/2fa": {"proof", "enrolment", "code"},
		"/profile/mail": {"address", "code"}, "/profile/codes": {"code"}, "/profile/codes/download": {"codes"}, "/admin/users/user222/2fa": {"proof"},
	}
	for what, text := range hostileTexts {
		for path, names := range fields {
			form := url.Values{}
			for _, name := range names {
				form.Set(name, text)
			}
			if path == signIn {
				form.Del("code")
			}
			w.harmless(what+" in "+path, w.request(c, path, form, "Cookie", mine))
		}
		for _, query := range []string{"/admin/audit?user=", "/admin/audit?from=", "/profile/activity?rows=", "/profile/activity?to=", "/admin/users/", "/nothing/"} {
			short := text[:min(len(text), 2000)]
			w.harmless(what+" in "+query, w.request(c, query+url.QueryEscape(short), nil, "Cookie", mine))
		}
		if len(w.audit("admin")) == 0 { // it is asked with all of that in the audit
			w.t.Error("the audit cannot be read")
		}
	}
	w.Must("usermod", "-c", `<b id="injected">Anna</b> & "Bert"`, "user222")
	v.Open("/admin/users/user222")
	v.Sees(`<b id="injected">Anna</b> & "Bert"`)
	if v.Has("#injected") {
		w.t.Error("the full name is a part of the page")
	}
	if out := w.Journal("-o", "cat", "-u", "shadowsync-web.service"); strings.ContainsAny(out, "\x1b\x07") || strings.Contains(out, "panicked") {
		w.t.Errorf("the journal has %q", out)
	}
}

// harmless asserts that an answer is a refusal or a page, and that what was typed is not a part of its HTML.
func (w *site) harmless(what string, a reply) {
	w.t.Helper()
	if a.status >= 500 {
		w.t.Errorf("%s is answered with %d: %s", what, a.status, a.body)
	}
	if strings.Contains(a.body, "<script") || strings.Contains(a.body, "<img src=x") || a.header.Get("X-Injected") != "" {
		w.t.Errorf("%s is in the answer: %.2000s", what, a.body)
	}
}
