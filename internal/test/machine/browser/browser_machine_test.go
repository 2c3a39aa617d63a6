package browser

import (
	"crypto/tls"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const pages = `<!doctype html><html lang="en"><title>A page</title><style>
body { background: white; color: black } @media (prefers-color-scheme: dark) { body { background: black; color: white } }
</style><main><h1>A page</h1>%s</main>`

// serve serves pages on the machine's network with a certificate of an authority.
func serve(t *testing.T, m *machine.T, authority *Authority, address string) {
	t.Helper()
	certificate, err := tls.X509KeyPair(issue(t, authority))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := m.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-seen", Value: "yes", Path: "/", Secure: true, HttpOnly: true})
		seen, _ := r.Cookie("__Host-seen")
		fmt.Fprintf(w, pages, fmt.Sprintf(`<p id="seen">%t</p><p id="script">off</p><script>document.getElementById("script").textContent="on"</script>
			<form id="ask" method="post"><label>Name <input name="name" value="old"></label><button>Send</button></form>`, seen != nil))
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		if name := r.FormValue("name"); name == "go on" {
			http.Redirect(w, r, "/after?from=post", http.StatusSeeOther)
		} else {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, pages, `<p id="name">`+html.EscapeString(name)+`</p>`)
		}
	})
	mux.HandleFunc("GET /bad", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, pages, `<img src="data:,"><div style="width: 500px">wide</div>`)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, pages, `<a href="/after">After</a><input type="hidden" name="x"><form id="ask" action="/file"><label>Name <input name="name"></label>
			<button style="outline: none">Send</button></form><button hidden>No</button><div tabindex="0">Scroll</div>`)
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="of.txt"`)
		fmt.Fprint(w, r.FormValue("name"))
	})
	server := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
}

func issue(t *testing.T, authority *Authority) (crt, key []byte) {
	t.Helper()
	c, k := authority.Issue(t, "page.example.net")
	return []byte(c), []byte(k)
}

// TestVisitors: the browser trusts the test's authority and no other, runs no script, keeps its visitors apart, and
// tells what a page looks like.
func TestVisitors(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Browser})
	m.MustShell("echo 127.0.0.1 page.example.net >>/etc/hosts")
	authority := NewAuthority(t)
	serve(t, m, authority, "127.0.0.1:8443")
	serve(t, m, NewAuthority(t), "127.0.0.1:8444")
	b := Start(t, m, authority)

	anna, bert := b.Visit(t, "https://page.example.net:8443"), b.Visit(t, "https://page.example.net:8443")
	if reason := b.Visit(t, "https://page.example.net:8444").Refused("/"); !strings.Contains(reason, "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a certificate of somebody else's: %s", reason)
	}
	if status := anna.Open("/"); status != 200 || anna.Text("#script") != "off" || anna.Text("#seen") != "false" {
		t.Errorf("status %d, script %s, cookie seen: %s", status, anna.Text("#script"), anna.Text("#seen"))
	}
	if anna.Open("/"); anna.Text("#seen") != "true" || len(anna.Cookies()) != 1 {
		t.Errorf("a visitor's cookie is not kept: %v", anna.Cookies())
	}
	if bert.Open("/"); bert.Text("#seen") != "false" {
		t.Error("one visitor has the other's cookie")
	}
	if status := anna.Submit("ask", "name", `"<b>é`); status != 422 || anna.Text("#name") != `"<b>é` {
		t.Errorf("status %d, shows %q", status, anna.Text("#name"))
	}
	anna.Open("/")
	if status := anna.Submit("ask", "name", "go on"); status != 200 || anna.Path() != "/after?from=post" {
		t.Errorf("status %d at %s", status, anna.Path())
	}
	if found := anna.Violations(); len(found) != 0 {
		t.Errorf("axe-core finds %q", found)
	}
	if anna.Open("/"); anna.Text("#script") != "off" {
		t.Error("scripts run after axe-core")
	}
	for _, width := range Widths {
		for _, dark := range []bool{false, true} {
			anna.Look(width, dark)
			colour := eval[string](anna, "getComputedStyle(document.body).backgroundColor")
			if black := colour == "rgb(0, 0, 0)"; black != dark || anna.Overflow() != 0 {
				t.Errorf("%d px, dark %t: %s, too wide by %d", width, dark, colour, anna.Overflow())
			}
		}
	}
	if anna.Open("/keys"); len(anna.Controls()) != 4 {
		t.Errorf("the controls are %q", anna.Controls())
	}
	if reached, unseen := anna.Stops(); !slices.Equal(reached, anna.Controls()) || len(unseen) != 1 || !strings.HasPrefix(unseen[0], "button of ask") {
		t.Errorf("Tab reaches %q, and does not show it on %q", reached, unseen)
	}
	anna.Type("ask", "name", "kept")
	if name, text := anna.Download("form#ask button"); name != "of.txt" || text != "kept" {
		t.Errorf("the file %q has %q", name, text)
	}
	if anna.Type("ask", "name", "go"); anna.Path() != "/keys" {
		t.Errorf("a file leads to %s", anna.Path())
	}
	anna.Look(320, false)
	anna.Open("/bad")
	if found := anna.Violations(); !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "image-alt") }) || anna.Overflow() < 180 {
		t.Errorf("axe-core finds %q; too wide by %d", found, anna.Overflow())
	}
	if picture := anna.Screenshot(); !strings.HasPrefix(string(picture), "\x89PNG") {
		t.Errorf("a screenshot of %d bytes", len(picture))
	}
}
