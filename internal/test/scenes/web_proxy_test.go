package scenes

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	browsers "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

// shown returns the example in docs/web.md in a language.
func shown(t *testing.T, language, with string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/web.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "```"+language+"\n")[1:] {
		if text, _, ended := strings.Cut(block, "```"); ended && strings.Contains(text, with) {
			return text
		}
	}
	t.Fatalf("docs/web.md shows no %s with %q", language, with)
	return ""
}

// The example for nginx lets people sign in, and the audit has their own address.
func TestWebBehindNginx(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	s := setOn(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), machine.Appliance{})
	const host, visitor = "node1.example.org", "192.0.2.7"
	authority := browsers.NewAuthority(t)
	certificate, key := authority.Issue(t, host)
	s.WriteFile("/etc/nginx/node1.crt", certificate, 0o644)
	s.WriteFile("/etc/nginx/node1.key", key, 0o600)
	s.WriteFile("/etc/nginx/conf.d/page.conf", shown(t, "nginx", "proxy_pass"), 0o644)
	s.WriteFile(machine.ConfigurationPath, s.ReadFile(machine.ConfigurationPath)+"\n"+shown(t, "toml", "proxies"), 0o600)
	s.Must("shadowsync", "setup")
	s.Must("systemctl", "start", "nginx")

	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authority.Pool()},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return s.DialContext(ctx, network, "127.0.0.1:443")
		},
	}
	defer transport.CloseIdleConnections()
	ask := func(method, origin, form string) (int, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), machine.Patience)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, method, "https://"+host+"/sign-in", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", origin)
		request.Header.Set("X-Forwarded-For", visitor) // another proxy on this machine, as it were
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	if status, body := ask(http.MethodGet, "", ""); status != http.StatusOK || !strings.Contains(body, `id="sign-in"`) {
		t.Fatalf("status %d\n%s", status, body)
	}
	wrong := url.Values{"username": {"admin"}, "password": {"not-the-password"}}.Encode()
	if status, body := ask(http.MethodPost, "https://"+host, wrong); status < 400 || status >= 500 || !strings.Contains(body, `id="sign-in"`) {
		t.Errorf("with a wrong password: status %d\n%s", status, body)
	}
	if status, body := ask(http.MethodPost, "https://elsewhere.example.org", wrong); status != http.StatusForbidden {
		t.Errorf("from another site: status %d\n%s", status, body)
	}
	right := url.Values{"username": {"admin"}, "password": {machine.OldPassword}}.Encode()
	if status, body := ask(http.MethodPost, "https://"+host, right); status != http.StatusSeeOther {
		t.Errorf("with the right password: status %d\n%s", status, body)
	}
	if sessions := s.Must("shadowsync", "user", "sessions", "admin"); !strings.Contains(sessions, visitor) {
		t.Errorf("the session is not of %s:\n%s", visitor, sessions)
	}
	if audit := s.Must("shadowsync", "audit", "--action", "sign-in-refused"); !strings.Contains(audit, visitor) {
		t.Errorf("the refused sign-in is not of %s:\n%s", visitor, audit)
	}
}
