package scenes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	browsers "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

const (
	webCertificate = "/etc/shadowsync/web.crt"
	webKey         = "/etc/shadowsync/web.key"
)

// webAnswer is what a visitor gets.
type webAnswer struct {
	status int
	body   string
	served *x509.Certificate // nil: plain HTTP
	err    error
}

// visit gets a page as a program on the machine would; a certificate must be by the authority.
func (s *stage) visit(url string, trust *x509.CertPool) webAnswer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), machine.Patience)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: s.DialContext, TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: "node1"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := transport.RoundTrip(request)
	if err != nil {
		return webAnswer{err: err}
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := webAnswer{status: got.StatusCode, body: string(text)}
	if got.TLS != nil {
		a.served = got.TLS.PeerCertificates[0]
	}
	return a
}

func (s *stage) wantForm(url string, trust *x509.CertPool) webAnswer {
	s.t.Helper()
	a := s.visit(url+"/sign-in", trust)
	if a.err != nil || a.status != http.StatusOK || !strings.Contains(a.body, `id="sign-in"`) {
		s.t.Fatalf("%s: %v, status %d\n%s", url, a.err, a.status, a.body)
	}
	return a
}

func (s *stage) wantRefused(url string) {
	s.t.Helper()
	if a := s.visit(url+"/sign-in", nil); a.err == nil {
		s.t.Errorf("%s answers with status %d", url, a.status)
	}
}

// certify puts a new certificate of the authority's in place, as a renewal does: by rename.
func (s *stage) certify(a *browsers.Authority) *x509.Certificate {
	s.t.Helper()
	certificate, key := a.Issue(s.t, "node1")
	for path, text := range map[string]string{webKey: key, webCertificate: certificate} {
		s.WriteFile(path+".new", text, 0o600)
		s.Must("mv", path+".new", path)
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		s.t.Fatal(err)
	}
	return pair.Leaf
}

// wantWebHealthy has doctor look at the page. It warns of nothing but some checks, of which it must warn.
func (s *stage) wantWebHealthy(but ...string) {
	s.t.Helper()
	r := s.Run("shadowsync", "doctor")
	for line := range strings.Lines(r.Stdout) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "web") && (f[0] != "ok") != slices.Contains(but, f[1]) {
			s.t.Errorf("doctor says: %s", line)
		}
	}
	if !strings.Contains(r.Stdout, "  web-broker ") {
		s.t.Errorf("doctor does not look at the page:\n%s", r.Stdout)
	}
}

// The page is switched on, moved, given another certificate, switched off and removed; each time it is
// where the configuration says, and nowhere else.
func TestWebIsWired(t *testing.T) {
	machine.Need(t)
	t.Parallel()
	for _, release := range machine.Releases {
		t.Run(string(release), func(t *testing.T) {
			t.Parallel()
			s := set(t, release, machine.Appliance{})
			const plain, secure = "http://127.0.0.1:8443", "https://127.0.0.1:9443"
			s.wantRefused(plain)
			if r := s.Shell("systemctl is-enabled shadowsync-web.socket shadowsync-pages.socket; id shadowsync-web; test -e /run/shadowsync/web.sock"); r.Code == 0 || strings.Contains(r.Stdout, "enabled\n") {
				t.Errorf("before anybody asked for a page: %s", r)
			}
			own := s.ReadFile(machine.ConfigurationPath)
			if plan := s.Must("shadowsync", "setup", "--web", "--dry-run"); !strings.Contains(plan, "to do     page for browsers on 127.0.0.1:8443") || s.ReadFile(machine.ConfigurationPath) != own {
				t.Errorf("the plan:\n%s", plan)
			}

			s.Must("shadowsync", "setup", "--web")
			s.wantForm(plain, nil)
			s.wantWebHealthy("web-proxies")
			s.webStops(plain)
			if got := s.Must("stat", "-c", "%a %U:%G", "/run/shadowsync/web.sock"); got != "660 root:shadowsync-web\n" {
				t.Errorf("web.sock: %s", got)
			}
			if again := s.Must("shadowsync", "setup", "--web"); !strings.Contains(again, "Nothing to do") {
				t.Errorf("the second setup says:\n%s", again)
			}

			s.webMoves(plain, secure)
			s.webGoes(secure, own)
		})
	}
}

// webStops: status says that nothing listens for browsers, and its next command mends that.
func (s *stage) webStops(plain string) {
	s.t.Helper()
	const command = "shadowsync doctor --fix"
	if said := s.Must("shadowsync", "status"); strings.Contains(said, "page:") || strings.Contains(said, command) {
		s.t.Errorf("status of a page that listens:\n%s", said)
	}
	s.Must("systemctl", "stop", "shadowsync-web.socket", "shadowsync-web.service")
	s.wantRefused(plain)
	said := s.Must("shadowsync", "status")
	if !strings.Contains(unbroken(said), "page: stopped: nothing listens on 127.0.0.1:8443 for browsers (shadowsync-web.socket is inactive) "+command) {
		s.t.Fatalf("status of a page that does not listen:\n%s", said)
	}
	s.MustShell(command)
	s.wantForm(plain, nil)
	if shown := s.Must("shadowsync", "status", "--json"); !strings.Contains(unbroken(shown), `"page": { "state": "listening", "listen": "127.0.0.1:8443" }`) {
		s.t.Errorf("status --json:\n%s", shown)
	}
}

// webMoves gives the page TLS and another address, and then another certificate, which the page uses without
// a command.
func (s *stage) webMoves(plain, secure string) {
	s.t.Helper()
	authority := browsers.NewAuthority(s.t)
	first := s.certify(authority)
	s.MustShell("printf 'listen = \"0.0.0.0:9443\"\\ncertificate = \"" + webCertificate + "\"\\nkey = \"" + webKey + "\"\\n' >> " + machine.ConfigurationPath)
	s.Must("chmod", "644", webKey)
	if r := s.Run("shadowsync", "setup"); r.Code == 0 || !strings.Contains(r.Stderr, "others may read or change it") {
		s.t.Errorf("with a key that everybody may read: %s", r)
	}
	s.Must("chmod", "600", webKey)
	s.Must("shadowsync", "setup")
	s.wantRefused(plain)
	if a := s.wantForm(secure, authority.Pool()); !bytes.Equal(a.served.Raw, first.Raw) {
		s.t.Error("it serves another certificate")
	}
	if a := s.visit(strings.Replace(secure, "https", "http", 1)+"/sign-in", nil); a.err == nil && a.status == http.StatusOK {
		s.t.Errorf("in clear text it answers:\n%s", a.body)
	}
	s.wantWebHealthy()
	s.Reboot()
	s.wantForm(secure, authority.Pool())

	second := s.certify(authority)
	s.WaitFor("the page's idle end", time.Minute, func() bool { return s.Run("systemctl", "is-active", "--quiet", "shadowsync-web.service").Code != 0 })
	if a := s.wantForm(secure, authority.Pool()); !bytes.Equal(a.served.Raw, second.Raw) {
		s.t.Error("it serves the former certificate")
	}
	if again := s.Must("shadowsync", "setup"); !strings.Contains(again, "Nothing to do") {
		s.t.Errorf("setup after all that says:\n%s", again)
	}
}

// webGoes switches the page off, on again, and removes all.
func (s *stage) webGoes(secure, own string) {
	s.t.Helper()
	if r := s.Run("shadowsync", "setup", "--web=false"); r.Code == 0 || !strings.Contains(r.Stderr, "it has [web]: delete that table") {
		s.t.Errorf("--web=false with an administrator's [web]: %s", r)
	}
	s.WriteFile(machine.ConfigurationPath, own, 0o600)
	if said := s.Must("shadowsync", "setup"); !strings.Contains(said, "no page for browsers") || !strings.Contains(said, "the system account shadowsync-web is kept") {
		s.t.Errorf("without [web], setup says:\n%s", said)
	}
	gone := func() {
		s.t.Helper()
		s.wantRefused(secure)
		if left := s.MustShell(`find /etc/systemd /etc/pam.d /run/systemd/system /run/shadowsync 2>/dev/null | grep -E 'web|pages' || true; systemctl list-units --all --no-legend 'shadowsync-web*' 'shadowsync-pages*'`); left != "" {
			s.t.Errorf("left of the page:\n%s", left)
		}
	}
	gone()
	s.Must("shadowsync", "setup", "--web")
	s.Must("shadowsync", "setup", "--web=false")
	gone()
	if got := s.ReadFile(machine.ConfigurationPath); got != own {
		s.t.Errorf("the configuration became\n%s", got)
	}
	s.Must("shadowsync", "setup", "--web")
	s.wantForm("http://127.0.0.1:8443", nil)
	s.Must("shadowsync", "remove")
	gone()
	if got := s.ReadFile(machine.ConfigurationPath); got != own {
		s.t.Errorf("after remove the configuration is\n%s", got)
	}
	if again := s.Must("shadowsync", "remove"); !strings.Contains(again, "Nothing to do") {
		s.t.Errorf("the second remove says:\n%s", again)
	}
}
