package page

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// everywhere returns an answer of each kind: pages, errors, redirections, files.
func everywhere(t *testing.T) (all []page) {
	t.Helper()
	b := newAdmin(t)
	b.d.set(web.OpActivity, []shadowsync.Event{{Account: "user222", Action: "x"}})
	b.d.set(web.OpSync, []web.SyncState{{Account: "user222", Guard: "off"}})
	b.d.set(web.OpLock, web.Result{})
	b.d.set(web.OpEnrol, setup())
	b.d.set(web.OpConfirm, web.Confirmed{Recovery: []string{"ABCD-EFGH"}})
	for _, path := range []string{
		"/", "/profile", "/profile/password", "/profile/2fa", "/profile/codes", "/profile/mail", "/profile/sessions", "/profile/activity", "/profile/activity?from=soon",
		"/admin/users", "/admin/users/user222", "/admin/users/nobody", "/admin/sync", "/admin/audit", "/style.css", "/icon.svg", "/nothing", "/sign-in/", "/admin/users/..%2f", "//profile",
	} {
		all = append(all, b.get(path))
	}
	all = append(all,
		b.send("/admin/users/user222/lock", "proof", "1"), b.send("/admin/users/user222/lock", "proof", ""), b.send("/admin/directory", "username", "anna", "proof", "1"), b.send("/admin/directory"), b.send("/profile"), b.send("/nothing"),
		b.send("/profile/2fa", "proof", "1"), b.send("/profile/2fa", "code", "1"), b.do(b.request(http.MethodDelete, "/profile", nil)), b.do(b.request(http.MethodPost, "/sign-in", strings.NewReader("x"))))
	for _, step := range []web.Person{
		{Next: web.NextCode, Lost: true},
		{Next: web.NextCode},
		{Next: web.NextMailed, Lost: true},
		{Next: web.NextConfirm},
		{Name: "u", Next: web.NextEnrolment},
		{Name: "u", Next: web.NextEnrol},
		{Name: "u", Next: web.NextPassword},
		plainPerson(),
	} {
		b.d.person(step)
		for _, path := range []string{"/sign-in", "/lost", "/profile/2fa", "/profile/password", "/profile/codes", "/profile/mail"} {
			all = append(all, b.get(path))
		}
	}
	b.d.refuse(web.OpWho, web.Unavailable, "x")
	all = append(all, b.get("/profile"))
	b.d.refuse(web.OpWho, web.SignedOut, "x")
	return append(all, b.get("/sign-in"), b.get("/sign-in"), b.send("/sign-in", "username", "", "password", ""))
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	for _, p := range everywhere(t) {
		for name, want := range map[string]string{
			"Content-Security-Policy":      policy,
			"Cache-Control":                "no-store",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Strict-Transport-Security":    "",
		} {
			if got := p.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q", p.Request.Method, p.Request.URL, name, got)
			}
		}
	}
}

// TestMarkup parses every page: no script, no style but the sheet, a label for each input, a heading,
// landmarks, a title, unique ids, and descriptions that are there.
func TestMarkup(t *testing.T) {
	checked := 0
	for _, p := range everywhere(t) {
		if !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") || p.StatusCode >= 300 && p.StatusCode < 400 {
			continue
		}
		checked++
		where := p.Request.Method + " " + p.Request.URL.String()
		m := markupOf(t, p.text)
		if m.count["main"] != 1 || m.count["h1"] != 1 || m.count["header"] != 1 || m.title == "" || m.lang != "en" {
			t.Errorf("%s: landmarks %v, title %q, language %q", where, m.count, m.title, m.lang)
		}
		if m.count["script"]+m.count["style"]+m.count["iframe"]+m.inline > 0 {
			t.Errorf("%s has inline styles or scripts", where)
		}
		for id, n := range m.ids {
			if n > 1 {
				t.Errorf("%s: %d elements have the id %s", where, n, id)
			}
		}
		for _, id := range m.inputs {
			if m.labels[id] == 0 {
				t.Errorf("%s: no label for %q", where, id)
			}
		}
		for _, id := range m.described {
			if m.ids[id] == 0 {
				t.Errorf("%s: nothing has the id %s", where, id)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d pages were looked at", checked)
	}
}

type markup struct {
	count, ids, labels map[string]int
	inputs, described  []string
	title, lang        string
	inline             int // attributes that a strict policy forbids
}

func markupOf(t *testing.T, text string) markup {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	m := markup{count: map[string]int{}, ids: map[string]int{}, labels: map[string]int{}}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			m.add(n)
		}
	}
	return m
}

func (m *markup) add(n *html.Node) {
	m.count[n.Data]++
	attributes := map[string]string{}
	for _, a := range n.Attr {
		attributes[a.Key] = a.Val
		if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
			m.inline++
		}
	}
	if id := attributes["id"]; id != "" {
		m.ids[id]++
	}
	m.described = append(m.described, strings.Fields(attributes["aria-describedby"])...)
	_, hidden := attributes["hidden"]
	switch {
	case n.Data == "title" && n.FirstChild != nil && n.Parent.Data == "head":
		m.title = n.FirstChild.Data
	case n.Data == "html":
		m.lang = attributes["lang"]
	case n.Data == "label":
		m.labels[attributes["for"]]++
	case n.Data == "input" && attributes["type"] != "hidden" && !hidden:
		m.inputs = append(m.inputs, attributes["id"])
	}
}

func TestCrossSite(t *testing.T) {
	for _, set := range []func(http.Header){
		func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		func(h http.Header) { h.Set("Origin", "https://evil.example") },
		func(h http.Header) { h.Set("Origin", "null") },
	} {
		b := newBrowser(t).signedIn(plainPerson())
		for _, path := range []string{"/profile/password", "/sign-in", "/sign-out", "/nothing"} {
			r := b.request(http.MethodPost, path, strings.NewReader("current=a&new=b&confirm=b&username=u&password=p"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			set(r.Header)
			b.is(b.do(r), 403, "another site")
		}
		if len(b.d.asked) != 0 || *b.read != 0 {
			t.Errorf("the daemon was asked %v", b.d.asked)
		}
	}
}

func TestForgedCookies(t *testing.T) {
	for _, value := range []string{"", "x", strings.Repeat("a", 42), strings.Repeat("a", 44), strings.Repeat("a", 42) + "=", "../../../../../../etc/shadow/aaaaaaaaaaaaaaa"} {
		b := newBrowser(t)
		b.hold(value)
		b.sentTo(b.get("/profile"), "/sign-in")
		b.sentTo(b.send("/profile/password", "current", "a", "new", "b", "confirm", "b"), "/sign-in")
		if len(b.d.asked) != 0 || *b.read != 0 {
			t.Errorf("%q: the daemon was asked", value)
		}
	}
	// Two of the same name: one of them somebody else has set.
	b := newBrowser(t)
	r := b.request(http.MethodGet, "/profile", nil)
	r.Header.Set("Cookie", cookieName+"="+token+"; "+cookieName+"="+next)
	b.sentTo(b.do(r), "/sign-in")
}

// Names and texts that a page shows are no markup, and no control or bidi characters.
func TestHostileTexts(t *testing.T) {
	const hostile = "<script>alert(1)</script>\"'\n\r\u202egnp.exe\x1b[2J</title>"
	b := newAdmin(t)
	evil := web.Person{Name: hostile, FullName: hostile, Role: web.RoleAdmin, Mail: hostile, Changed: hostile, Expires: hostile, Required: hostile, Address: hostile, Realm: hostile, LastChange: &web.LastChange{Outcome: hostile}, Proof: web.ByPassword, Factor: web.FactorEnrolled}
	b.d.person(evil)
	b.d.set(web.OpUsers, []web.User{{Name: hostile, FullName: hostile, Role: hostile, Application: hostile, Reason: hostile, Protected: hostile, State: hostile, Factor: hostile, LastChange: hostile, Expires: hostile}})
	b.d.set(web.OpSessions, []web.Session{{User: hostile, Session: shadowsync.Session{Kind: hostile, Terminal: hostile, Remote: hostile}}})
	b.d.set(web.OpActivity, []shadowsync.Event{{Account: hostile, Action: hostile, Reason: hostile, Result: hostile, Origin: shadowsync.Origin{By: hostile, Login: "x" + hostile, Program: hostile, Remote: hostile}}})
	b.d.set(web.OpSync, []web.SyncState{{Application: hostile, Unit: hostile, Guard: hostile, Account: hostile, State: hostile, Reason: hostile}})
	b.d.set(web.OpLock, web.Result{Notes: []string{hostile}})
	b.d.refuse(web.OpExpire, web.Failed, hostile)
	b.d.refuse(web.OpSignIn, web.NotAuthenticated, hostile)
	at := "/admin/users/" + url.PathEscape(hostile)
	answers := []page{
		b.get("/profile"), b.get("/profile/mail"), b.get("/profile/2fa"), b.get("/profile/sessions"), b.get("/profile/activity?from=" + url.QueryEscape(hostile)), b.get("/admin/users"), b.get(at), b.get("/admin/sync"), b.get("/admin/audit?user=" + url.QueryEscape(hostile)),
		b.send(at+"/lock", "proof", hostile), b.send(at+"/expire", "proof", hostile),
		b.send("/sign-in", "username", hostile, "password", hostile), b.send("/profile/mail", "address", hostile, "code", ""),
	}
	for _, p := range answers {
		if m := markupOf(t, p.text); m.count["script"] > 0 || m.count["main"] != 1 {
			t.Errorf("%s: %s", p.Request.URL, p.text)
		}
		if strings.ContainsAny(p.text, "\u202e\x1b") && !strings.Contains(p.text, "value=") {
			t.Errorf("%s shows control characters: %q", p.Request.URL, p.text)
		}
	}
	if text := b.log.String(); strings.Contains(text, "alert") {
		t.Errorf("the log has it: %s", text)
	}
}

func TestLargeAndMalformedForms(t *testing.T) {
	b := newBrowser(t).signedIn(plainPerson())
	for _, tt := range []struct {
		body, kind string
		status     int
	}{
		{"current=" + strings.Repeat("x", 1<<20), "application/x-www-form-urlencoded", 413},
		{"current=%zz", "application/x-www-form-urlencoded", 400},
		{"current=a&current=b", "application/x-www-form-urlencoded", 400},
		{strings.Repeat("a=b&", 100), "application/x-www-form-urlencoded", 400},
		{`{"current":"a"}`, "application/json", 415},
		{"current=a", "text/plain", 415},
		{"current=a", "", 415},
		{"--x\r\nContent-Disposition: form-data; name=\"current\"\r\n\r\na\r\n--x--", "multipart/form-data; boundary=x", 415},
	} {
		r := b.request(http.MethodPost, "/profile/password", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.kind)
		if p := b.do(r); p.StatusCode != tt.status {
			t.Errorf("%.40q as %q: status %d, want %d", tt.body, tt.kind, p.StatusCode, tt.status)
		}
	}
	r := b.request(http.MethodPost, "/profile/password", strings.NewReader("current="+strings.Repeat("x", 1<<20)))
	r.ContentLength = -1 // in chunks
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p := b.do(r); p.StatusCode != 413 {
		t.Errorf("in chunks: status %d", p.StatusCode)
	}
	if b.d.times(web.OpSetPassword) != 0 {
		t.Error("the daemon was asked")
	}
}

func TestDaemonIsDown(t *testing.T) {
	b := newBrowser(t)
	b.d.refuse(web.OpSettings, web.Unavailable, "shadowsync is not running")
	b.is(b.get("/sign-in"), 503, "shadowsync does not answer", "Nothing was changed")
	b.hold(token)
	b.d.refuse(web.OpWho, web.Unavailable, "shadowsync is not running")
	b.is(b.get("/profile"), 503, "shadowsync does not answer")
	b.is(b.send("/profile/password", "current", "a"), 503, "shadowsync does not answer")
	b.d.refuse(web.OpSignIn, web.Unavailable, "shadowsync is not running")
	b.is(b.send("/sign-in", "username", "u", "password", "p"), 503)
	if b.held() != token {
		t.Error("a daemon that is down has signed somebody out")
	}
	if *b.blind != 4 {
		t.Errorf("told %d times", *b.blind)
	}
}

// Every kind of refusal has an answer below 500, except those that are no fault of the person's.
func TestKinds(t *testing.T) {
	for kind, status := range statuses {
		b := newBrowser(t).signedIn(plainPerson())
		b.d.refuse(web.OpEnrol, kind, "because of that")
		p := b.send("/profile/2fa", "proof", "x")
		if b.is(p, status); kind != web.Unavailable && (!strings.Contains(p.text, "Because of that.") || !strings.Contains(p.text, `id="enrol"`)) {
			t.Errorf("%s: %s", kind, p.text)
		}
	}
	for _, kind := range []web.Kind{web.SignedOut, web.StepNeeded} {
		b := newBrowser(t).signedIn(plainPerson())
		b.d.refuse(web.OpEnrol, kind, "because of that")
		b.sentTo(b.send("/profile/2fa", "proof", "x"), "/sign-in")
	}
	b := newBrowser(t).signedIn(plainPerson())
	b.d.refuse(web.OpEnrol, "novel", "because of that")
	b.is(b.send("/profile/2fa", "proof", "x"), 500, "Something went wrong")
}

func TestPanic(t *testing.T) {
	b := newBrowser(t)
	broken := true
	s := &Site{Log: slog.New(slog.NewTextHandler(b.log, nil))}
	s.Settings = func() web.Settings {
		if broken {
			broken = false
			panic("a secret")
		}
		return web.Settings{}
	}
	b.server.Config.Handler = s.Handler()
	p := b.get("/nothing")
	if b.is(p, 500, "Something went wrong"); p.Header.Get("Content-Security-Policy") != policy {
		t.Error("the answer is not guarded")
	}
	if text := b.log.String(); !strings.Contains(text, "panicked") || strings.Contains(text, "a secret") {
		t.Errorf("the log says %s", text)
	}
}

func TestTooMany(t *testing.T) {
	b := newBrowser(t)
	b.server.Config.Handler = (&Site{}).TooMany()
	p := b.send("/sign-in", "username", "u", "password", "p")
	if b.is(p, 429, "Too many requests"); p.Header.Get("Content-Security-Policy") != policy || p.Header.Get("Retry-After") == "" {
		t.Errorf("%v", p.Header)
	}
}
