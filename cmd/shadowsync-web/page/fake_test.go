package page

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// daemon answers on a real socket as the test says, and keeps what it was asked.
type daemon struct {
	client web.Client

	mu      sync.Mutex
	answers map[web.Op]answer
	asked   []asked
}

// answer makes the result of a request, or a refusal.
type answer func(asked) (any, *web.Error)

type asked struct {
	web.Request
	Secrets []string
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.sock")
	l, err := socket.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{client: web.Client{Path: path}, answers: map[web.Op]answer{}}
	d.set(web.OpSettings, web.Settings{Node: "node1.conductor"})
	d.refuse(web.OpWho, web.SignedOut, "the session has ended")
	server := &socket.Server{Handler: d.serve, Place: func(socket.Peer) int { return 1 }, PerPlace: 64}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = l.Close()
	})
	return d
}

// set has an operation answered with a result.
func (d *daemon) set(op web.Op, result any) {
	d.on(op, func(asked) (any, *web.Error) { return result, nil })
}

func (d *daemon) refuse(op web.Op, kind web.Kind, text string) {
	d.on(op, func(asked) (any, *web.Error) { return nil, &web.Error{Kind: kind, Text: text} })
}

func (d *daemon) on(op web.Op, a answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers[op] = a
}

// person has a token signed in.
func (d *daemon) person(p web.Person) { d.set(web.OpWho, p) }

// last is the last request of an operation.
func (d *daemon) last(t *testing.T, op web.Op) asked {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.asked) - 1; i >= 0; i-- {
		if d.asked[i].Op == op {
			return d.asked[i]
		}
	}
	t.Fatalf("the daemon was not asked %s", op)
	return asked{}
}

// times counts the requests of an operation.
func (d *daemon) times(op web.Op) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.asked {
		if one.Op == op {
			n++
		}
	}
	return n
}

func (d *daemon) serve(ctx context.Context, r *socket.Request) {
	if r.Conn.SetLimits(socket.MaxPacket, 2) != nil {
		return
	}
	var one asked
	files, err := r.Conn.Receive(ctx, &one.Request)
	if err != nil {
		return
	}
	defer socket.CloseAll(files)
	for _, f := range files {
		secret, err := socket.ReadSecret(f, web.MaxPassword)
		if err != nil {
			return
		}
		one.Secrets = append(one.Secrets, string(secret))
	}
	d.mu.Lock()
	d.asked = append(d.asked, one)
	answer := d.answers[one.Op]
	d.mu.Unlock()
	if answer == nil {
		_ = r.Conn.Send(ctx, web.Answer{Error: &web.Error{Kind: web.Failed, Text: "the test has no answer to " + string(one.Op)}})
		return
	}
	result, refusal := answer(one)
	if refusal == vanish {
		return
	}
	packed, _ := json.Marshal(result)
	_ = r.Conn.Send(ctx, web.Answer{Error: refusal, Result: packed})
}

// vanish ends the connection without an answer, as a daemon that is killed.
var vanish = &web.Error{}

// browser asks a server with the pages, and keeps cookies as a browser does.
type browser struct {
	t      *testing.T
	d      *daemon
	server *httptest.Server
	client *http.Client
	log    *strings.Builder
	read   *int // forms
	blind  *int // answers that the daemon was not reached for
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	d := newDaemon(t)
	b := &browser{t: t, d: d, log: &strings.Builder{}, read: new(int), blind: new(int)}
	site := &Site{
		Client:      d.client,
		Settings:    func() web.Settings { return web.Settings{Node: "node1.conductor"} },
		Address:     func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Secret:      func() { *b.read++ },
		Unreachable: func() { *b.blind++ },
		Log:         slog.New(slog.NewTextHandler(b.log, nil)),
	}
	b.server = httptest.NewTLSServer(site.Handler())
	t.Cleanup(b.server.Close)
	b.client = b.server.Client()
	b.client.Jar, _ = cookiejar.New(nil)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// signedIn gives the browser the cookie of a person.
func (b *browser) signedIn(p web.Person) *browser {
	b.d.person(p)
	b.hold(token)
	return b
}

// token is one as the daemon makes them.
const token = "0123456789012345678901234567890123456789abc"

func (b *browser) hold(value string) {
	at, _ := url.Parse(b.server.URL)
	b.client.Jar.SetCookies(at, []*http.Cookie{cookie(value, 0)})
}

// held is the cookie that the browser has now.
func (b *browser) held() string {
	at, _ := url.Parse(b.server.URL)
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == cookieName {
			return c.Value
		}
	}
	return ""
}

// page is an answer with its body.
type page struct {
	*http.Response
	text string
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{answer, string(text)}
}

func (b *browser) request(method, path string, body io.Reader) *http.Request {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *browser) get(path string) page { return b.do(b.request(http.MethodGet, path, nil)) }

// send posts a form: names and values in turn.
func (b *browser) send(path string, pairs ...string) page {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	r := b.request(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

// is checks an answer's status, and that its page has these words.
func (b *browser) is(p page, status int, words ...string) {
	b.t.Helper()
	if p.StatusCode != status {
		b.t.Errorf("%s %s: status %d, want %d: %s", p.Request.Method, p.Request.URL.Path, p.StatusCode, status, p.text)
	}
	for _, word := range words {
		if !strings.Contains(p.text, word) {
			b.t.Errorf("%s %s lacks %q: %s", p.Request.Method, p.Request.URL.Path, word, p.text)
		}
	}
}

// sentTo checks a redirection.
func (b *browser) sentTo(p page, path string) {
	b.t.Helper()
	if at := p.Header.Get("Location"); p.StatusCode != http.StatusSeeOther || at != path {
		b.t.Errorf("%s %s: status %d to %q, want %q: %s", p.Request.Method, p.Request.URL.Path, p.StatusCode, at, path, p.text)
	}
}

// The persons of the tests.
func plainPerson() web.Person {
	return web.Person{Name: "user222", FullName: "User Two", Role: web.RoleUser, Proof: web.ByPassword, Factor: web.FactorNone, Changed: "2026-11-01"}
}

func coded(p web.Person) web.Person {
	p.Proof, p.Factor, p.CodesLeft, p.Mails, p.Mail = web.ByCode, web.FactorEnrolled, 8, true, "u***@example.org"
	return p
}

func adminPerson() web.Person {
	p := coded(plainPerson())
	p.Name, p.FullName, p.Role = "admin", "Ada Admin", web.RoleAdmin
	p.Directory = true
	return p
}
