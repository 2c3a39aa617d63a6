package packages

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// answer is what the page on a machine answers. Its cookie is "name=value", or empty.
type answer struct {
	status       int
	body, cookie string
}

// ask sends the page a request as a browser on the machine does; a nil form is a GET.
func ask(t *testing.T, m *machine.T, path, cookie string, form url.Values) (answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), machine.Patience)
	defer cancel()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:8443"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	got, err := (&http.Transport{DisableKeepAlives: true, DialContext: m.DialContext}).RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: got.StatusCode, body: string(text)}
	for _, c := range got.Cookies() {
		a.cookie = c.Name + "=" + c.Value
	}
	return a, nil
}

// signIn returns the cookie of a new session of admin's.
func signIn(t *testing.T, m *machine.T, password string) string {
	t.Helper()
	a, err := ask(t, m, "/sign-in", "", url.Values{"username": {"admin"}, "password": {password}})
	if err != nil || a.status != http.StatusSeeOther || a.cookie == "" {
		t.Fatalf("signing in: %v, status %d\n%s", err, a.status, a.body)
	}
	signedIn(t, m, "after signing in", a.cookie)
	return a.cookie
}

// signedIn asserts that a session opens its person's own page.
func signedIn(t *testing.T, m *machine.T, when, cookie string) {
	t.Helper()
	if a, err := ask(t, m, "/profile", cookie, nil); err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "admin") {
		t.Errorf("%s, the session is gone: %v, status %d\n%s", when, err, a.status, a.body)
	}
}

// fix is the command that doctor names for a fault of the page.
var fix = regexp.MustCompile(`apt install \./shadowsync-web_\S+`)

// The page through an upgrade, with somebody signed in, a removal of its package alone, and its return. The
// former packages know no setup --web, so the upgrade is to the same packages.
func TestPage(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		m.MustShell(install + " /packages/*.deb")
		m.Configure()
		m.MustShell("shadowsync setup --first os --web")
		cookie := signIn(t, m, machine.OldPassword)

		process := func() string {
			return m.Must("systemctl", "show", "--property=MainPID", "--value", "shadowsync.service", "shadowsync-web.service")
		}
		before := process()
		m.MustShell("dpkg --install /packages/*.deb")
		if after := process(); after == before {
			t.Errorf("the upgrade restarted neither the broker nor the page: %s", after)
		}
		signedIn(t, m, "after the upgrade", cookie)
		if said := m.Run("shadowsync", "doctor"); said.Code != 0 {
			t.Errorf("after the upgrade: %s", said)
		}

		said := m.MustShell(remove + " shadowsync-web 2>&1")
		pageGone(t, m, "after the removal, which says\n"+said)
		m.Reboot()
		pageGone(t, m, "after the next boot")
		if said := passwdSays(m, "admin", "Trubador-Gneis-82"); !strings.Contains(said, "persisted in conductor's credential store") {
			t.Errorf("without the page, passwd says %s", said)
		}

		m.MustShell("mkdir /root/again && cp /packages/shadowsync-web.deb /root/again/shadowsync-web_$(shadowsync --version | cut -d' ' -f2)_amd64.deb")
		command := fix.FindString(m.Run("shadowsync", "doctor").Stdout)
		if command == "" {
			t.Fatal("doctor names no command that brings the page back")
		}
		m.MustShell("cd /root/again && " + command + " && shadowsync setup")
		if said := m.Run("shadowsync", "doctor"); said.Code != 0 {
			t.Errorf("installed again: %s", said)
		}
		signIn(t, m, "Trubador-Gneis-82")

		uid := m.Must("id", "-u", "shadowsync-web")
		m.MustShell(purge + " shadowsync-web")
		pageGone(t, m, "after the purge")
		if now := m.Must("id", "-u", "shadowsync-web"); now != uid {
			t.Errorf("the purge changed the uid of the page's account from %s to %s", uid, now)
		}
	})
}

// pageGone asserts that nothing listens, that nothing of the page is left to start, and that doctor says what is
// missing and complains of nothing else.
func pageGone(t *testing.T, m *machine.T, when string) {
	t.Helper()
	if a, err := ask(t, m, "/sign-in", "", nil); err == nil {
		t.Errorf("%s: the page answers with status %d", when, a.status)
	}
	if left := m.MustShell(`find /etc/systemd /etc/pam.d /run/systemd/system /run/shadowsync -path /run/shadowsync/web -prune -o -print | grep -E 'web|pages' || true; systemctl list-units --all --no-legend 'shadowsync-web*' 'shadowsync-pages*'; systemctl list-units --failed --no-legend`); left != "" {
		t.Errorf("%s: left of the page:\n%s", when, left)
	}
	said := m.Run("shadowsync", "doctor")
	for line := range strings.Lines(said.Stdout) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "FAIL" && f[1] != "web" {
			t.Errorf("%s: doctor says: %s", when, line)
		}
	}
	if said.Code == 0 || !strings.Contains(said.Stdout, "the page's program /usr/sbin/shadowsync-web is missing") {
		t.Errorf("%s: %s", when, said)
	}
}

// Installing the page's package changes nothing in /etc, but for the account, which no password opens.
func TestPageInstalled(t *testing.T) {
	onEachRelease(t, func(t *testing.T, m *machine.T) {
		m.MustShell(install + " --no-install-recommends /packages/shadowsync.deb")
		const accounts = "cat /etc/passwd /etc/group /etc/shadow /etc/gshadow"
		before, had := m.Etc(), m.MustShell(accounts)
		if strings.Contains(had, "shadowsync") {
			t.Fatalf("there is an account already:\n%s", had)
		}
		m.MustShell(install + " --no-install-recommends /packages/shadowsync-web.deb")
		files := regexp.MustCompile(`^[+-] (\S+  )?\./(passwd|group|shadow|gshadow)-?[ \n]`)
		for line := range strings.Lines(difference(before, m.Etc())) {
			if !files.MatchString(line) {
				t.Errorf("installing the page changed /etc: %s", line)
			}
		}
		lines := regexp.MustCompile(`^(\+ shadowsync-web:x:\d+:\d+:shadowsync web page:/:/usr/sbin/nologin\n|\+ shadowsync-web:x:\d+:\n|\+ shadowsync-web:!\*?:\d*:.*\n|\+ shadowsync-web:!\*?::\n){4}$`)
		if added := difference(had, m.MustShell(accounts)); !lines.MatchString(added) {
			t.Errorf("installing the page changed the accounts:\n%s", added)
		}
		if said := m.Shell("systemctl is-active shadowsync-web.socket shadowsync-pages.socket shadowsync-web.service; systemctl is-enabled shadowsync-web.socket shadowsync-pages.socket; ls /var/lib/shadowsync"); strings.Contains("\n"+said.Stdout, "\nactive") || strings.Contains(said.Stdout, "enabled") || !strings.Contains(said.Stderr, "No such file") {
			t.Errorf("after the installation: %s", said)
		}
	})
}
