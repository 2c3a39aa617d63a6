package scenes

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

const (
	pageName   = "node1.example.net"
	pageOrigin = "https://" + pageName + ":8443"
	pageCookie = "__Host-shadowsync"
	// signIn is where whoever is not signed in ends.
	signIn = "/sign-in"
)

// site is a stage with the page, and with a browser on the machine that knows its certificate. Admin is an administrator.
// Boss is managed, too, and protected.
type site struct {
	*stage
	authority *chromium.Authority
	browser   *chromium.Browser
	phones    map[string]*authenticator // by account
	seen      map[string]bool           // the pages that were looked at
}

// paged boots a machine and sets the page up as an administrator would.
func paged(t *testing.T) *site {
	t.Helper()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Browser})
	s := setOn(t, m, machine.Appliance{Accounts: []string{"admin", "user222", "boss"}}, `"user222"`, `"user222", "boss"`,
		"[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[password]\nmin_length = 14\n\n[[application]]")
	w := &site{stage: s, authority: chromium.NewAuthority(t), phones: map[string]*authenticator{}, seen: map[string]bool{}}
	s.MustShell("groupadd operators && usermod -aG operators admin && usermod -aG sudo boss && echo 127.0.0.1 " + pageName + " >>/etc/hosts")
	w.certify()
	s.MustShell(`printf '\n[web]\ncertificate = "/etc/shadowsync/web.crt"\nkey = "/etc/shadowsync/web.key"\n' >>/etc/shadowsync/shadowsync.toml`)
	s.Must("shadowsync", "setup", "--web")
	for _, account := range []string{"admin", "user222", "boss"} {
		s.passwd(account, oldPassword)
	}
	w.browser = chromium.Start(t, m, w.authority)
	return w
}

// certify gives the page a certificate.
func (w *site) certify() {
	w.t.Helper()
	certificate, key := w.authority.Issue(w.t, pageName)
	w.WriteFile("/etc/shadowsync/web.crt", certificate, 0o644)
	w.WriteFile("/etc/shadowsync/web.key", key, 0o600)
}

// part runs a part of a scene on the same machine as a subtest.
func (w *site) part(name string, part func(w *site)) {
	w.t.Helper()
	w.t.Run(name, func(t *testing.T) {
		same := *w
		same.stage = &stage{T: w.T, t: t}
		part(&same)
	})
}

// visit opens a window at the page to sign in.
func (w *site) visit() *chromium.Visitor {
	w.t.Helper()
	v := w.browser.Visit(w.t, pageOrigin)
	if status := v.Open(signIn); status != http.StatusOK {
		v.Fatalf("status %d", status)
	}
	return v
}

// enters signs somebody in, with a code if the account has a second factor.
func (w *site) enters(account, password string, code ...string) *chromium.Visitor {
	w.t.Helper()
	v := w.visit()
	w.sends(v, "sign-in", "username", account, "password", password)
	for _, one := range code {
		v.Submit("code", "code", one)
	}
	v.At("/profile")
	return v
}

// sends submits a form, and again if the page asks for a little patience: a scene proves more passwords than a person does.
func (w *site) sends(v *chromium.Visitor, form string, fields ...string) {
	w.t.Helper()
	w.eventually("the page takes the form "+form, machine.Patience, func() bool {
		return v.Submit(form, fields...) != http.StatusTooManyRequests
	})
}

// refused asserts that a page refuses a form with a status, and says so beside a field; an empty field: above the form.
func refused(v *chromium.Visitor, status int, form, field, says string) {
	if v.Status() != status {
		v.Fatalf("status %d, want %d", v.Status(), status)
	}
	at := "form#" + form + " .error[role=alert]"
	if field != "" {
		at = "#" + strings.Fields(v.Value("form#"+form+" [name="+field+"]", "aria-describedby"))[0]
	}
	if said := v.Text(at); !strings.Contains(said, says) {
		v.Fatalf("%s says %q, not %q", at, said, says)
	}
}

// out asserts that after what has happened, a visitor's next click ends at the page to sign in.
func (w *site) out(what string, v *chromium.Visitor) {
	w.t.Helper()
	if v.Click("a[href='/profile/password']"); v.Path() != signIn {
		v.Fatalf("after %s somebody is still signed in", what)
	}
}

// client makes requests as programs do, by hand: it keeps no cookies and follows no redirects. From is one of the machine's
// addresses.
func (w *site) client(from string) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return w.Machine.DialFrom(ctx, from, network, "127.0.0.1:"+port)
		},
		TLSClientConfig: &tls.Config{RootCAs: w.authority.Pool()},
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: machine.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is what a request by hand brought.
type reply struct {
	status int
	header http.Header
	body   string
}

// request makes a request by hand. A nil form is a GET; headers are names and values by turns.
func (w *site) request(c *http.Client, path string, form url.Values, headers ...string) reply {
	w.t.Helper()
	a, err := w.tries(c, path, form, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// tries is request, which may fail.
func (w *site) tries(c *http.Client, path string, form url.Values, headers ...string) (reply, error) {
	return byHand(w.t.Context(), c, pageOrigin+path, form, headers...)
}

// byHand makes a request as request does.
func byHand(ctx context.Context, c *http.Client, address string, form url.Values, headers ...string) (reply, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return reply{}, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}

// cookie is the header with which a program is taken for a visitor.
func cookie(v *chromium.Visitor) string {
	for _, one := range v.Cookies() {
		if one.Name == pageCookie {
			return pageCookie + "=" + one.Value
		}
	}
	v.Fatalf("the browser keeps no %s", pageCookie)
	return ""
}

// reads has another program read the QR code on the page from a screenshot, and returns the setup key in it.
func (w *site) reads(v *chromium.Visitor) string {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "qr.png")
	if err := os.WriteFile(file, v.Picture("#setup-qr"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	text, err := exec.CommandContext(w.t.Context(), "zbarimg", "--quiet", "--raw", file).Output()
	if err != nil {
		w.t.Fatalf("zbarimg finds no code: %v", err)
	}
	address, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil || address.Scheme != "otpauth" || address.Host != "totp" {
		w.t.Fatalf("zbarimg reads %q, %v", text, err)
	}
	return address.Query().Get("secret")
}

// scans sets up an authenticator from the page, with the QR code, and confirms it.
func (w *site) scans(v *chromium.Visitor) *authenticator {
	w.t.Helper()
	key := w.reads(v)
	if shown := strings.ReplaceAll(v.Text("#setup-key"), " ", ""); shown != key {
		w.t.Errorf("the setup key is %q, the QR code has %q", shown, key)
	}
	a := &authenticator{s: w.stage, key: key, shown: []string{key, v.Text("#setup-key")}}
	if v.Submit("confirm", "code", a.code(0)); v.Status() != http.StatusOK {
		v.Fatalf("status %d", v.Status())
	}
	a.recovery = recoveryCodeShown.FindAllString(v.Text("#recovery-codes"), -1)
	if len(a.recovery) != 10 {
		v.Fatalf("%d recovery codes are shown", len(a.recovery))
	}
	a.shown = append(a.shown, a.recovery...)
	return a
}

// took measures an act.
func took(act func()) time.Duration {
	began := time.Now()
	act()
	return time.Since(began)
}

// phone is the authenticator of an account that was enrolled.
func (w *site) phone(account string) *authenticator {
	w.t.Helper()
	if w.phones[account] == nil {
		w.t.Fatalf("%s has no second factor: a part before this one failed", account)
	}
	w.phones[account].s = w.stage
	return w.phones[account]
}
