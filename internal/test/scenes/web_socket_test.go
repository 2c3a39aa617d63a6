package scenes

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	chromium "github.com/shadowsync/shadowsync/internal/test/machine/browser"
)

const webSocketPath = "/run/shadowsync/web.sock"

// changesOfPages are the requests that change something, as the page sends them.
var changesOfPages = []string{
	"set-password", "enrol", "confirm", "regain", "lost", "renew-codes", "set-mail", "end-sessions", "lock", "unlock", "expire", "reset-password", "reset-2fa",
}

// takenOver: whoever took over the page's process, without a token, learns and changes nothing; with a token, nothing beyond
// what its person sees, and no change without that person's password.
func takenOver(w *site) {
	w.prowler()
	w.passwd("boss", oldPassword)
	user, admin := w.enters("boss", oldPassword), w.enters("admin", oldPassword)
	before := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath) + w.Must("shadowsync", "user", "list", "--json")
	if answer := w.As("user222").Must("prowler", "ask", webSocketPath, `{"op":"settings"}`); !strings.Contains(answer, "permission denied") {
		w.t.Errorf("another user is answered %q", answer)
	}
	w.refusesAll("without a token", "signed-out", "")
	w.refusesAll("with a forged token", "signed-out", strings.Repeat("A", 43))
	w.learnsOnly(tokenOf(user), tokenOf(admin))
	w.changesNothing(tokenOf(user))
	w.changesNothing(tokenOf(admin))
	if answer := w.asks(`{"op":"who","token":"` + tokenOf(user) + `"}`); !strings.Contains(answer, `"name":"boss"`) {
		w.t.Errorf("a right token is answered %q: the scene is blind", answer)
	}
	if after := w.ReadFile("/etc/shadow") + w.ReadFile(machine.StorePath) + w.Must("shadowsync", "user", "list", "--json"); after != before {
		w.t.Errorf("something was changed, from\n%s\nto\n%s", before, after)
	}
	token := tokenOf(user)
	leaves(user)
	w.refusesAll("with a token after sign-out", "signed-out", token)
	garbles(w)
}

func tokenOf(v *chromium.Visitor) string { return strings.TrimPrefix(cookie(v), pageCookie+"=") }

// asks sends packets as the page's process could, and returns the answers, a line each.
func (w *site) asks(packets ...string) string { w.t.Helper(); return w.asksWith(0, packets...) }

// asksWith is asks with so many texts attached, which are nobody's password or code.
func (w *site) asksWith(attached int, packets ...string) string {
	w.t.Helper()
	return w.As("shadowsync-web").Must(append([]string{"prowler", "with", strconv.Itoa(attached), webSocketPath}, packets...)...)
}

// refusesAll asserts that every request about an account is refused with this kind.
func (w *site) refusesAll(what, kind, token string) {
	w.t.Helper()
	for _, op := range append([]string{"who", "code", "sessions", "activity", "users", "sync", "sign-out"}, changesOfPages...) {
		for _, user := range []string{"", "admin"} {
			if answer := w.asks(fmt.Sprintf(`{"op":%q,"token":%q,"user":%q,"proof":"password"}`, op, token, user)); !strings.Contains(answer, `"kind":"`+kind+`"`) {
				w.t.Errorf("%s, %s of %q is answered %q", op, what, user, answer)
			}
		}
	}
}

// learnsOnly: a token shows what its person may see, whoever the request names.
func (w *site) learnsOnly(user, admin string) {
	w.t.Helper()
	for op, want := range map[string]string{"who": `"name":"boss"`, "sessions": "no such account", "activity": "no such account", "users": ""} {
		answer := w.asks(fmt.Sprintf(`{"op":%q,"token":%q,"user":"admin"}`, op, user))
		if !strings.Contains(answer, want) || strings.Contains(answer, `"name":"admin"`) || strings.Contains(answer, `"user":"admin"`) || strings.Contains(answer, `"account":"admin"`) {
			w.t.Errorf("%s of admin, with the token of boss, is answered %q", op, answer)
		}
	}
	if answer := w.asks(fmt.Sprintf(`{"op":"users","token":%q,"user":"user222"}`, admin)); !strings.Contains(answer, `"name":"user222"`) {
		w.t.Errorf("an administrator's token shows %q", answer)
	}
	if answer := w.asks(fmt.Sprintf(`{"op":"sessions","token":%q}`, user)); strings.Contains(answer, user) || !strings.Contains(answer, `"web:`) {
		w.t.Errorf("a list of sessions is %q", answer)
	}
}

// changesNothing: the token alone changes nothing.
func (w *site) changesNothing(token string) {
	w.t.Helper()
	for _, op := range changesOfPages {
		var packets []string
		for _, user := range []string{"", "boss", "user222", "root"} {
			for _, proof := range []string{"", "password", "code"} {
				packets = append(packets, fmt.Sprintf(`{"op":%q,"token":%q,"user":%q,"proof":%q,"args":{"address":"evil@example.org"}}`, op, token, user, proof))
			}
		}
		for attached := range 3 {
			for i, answer := range strings.Split(strings.TrimSpace(w.asksWith(attached, packets...)), "\n") {
				if !strings.Contains(answer, `"error":`) {
					w.t.Errorf("%s with %d texts is answered %q", packets[i], attached, answer)
				}
			}
		}
	}
}

// garbles: what is no request is refused, and the socket goes on.
func garbles(w *site) {
	w.t.Helper()
	packets := []string{
		`{}`, `null`, `[]`, `"x"`, `1e999`, strings.Repeat("[", 10_000), `{"op":"pam-changed","user":"admin"}`, `{"op":"set-password"}`, `{"op":"sign-in"}`,
		`{"op":"sign-in","args":{"name":"root","address":"x"}}`, `{"op":"\u001b[31m\n","user":"\u001b]0;x\u0007\n"}`, `{"op":"settings","token":7}`,
	}
	answers := strings.Split(strings.TrimSpace(w.asks(packets...)), "\n")
	if len(answers) != len(packets) {
		w.t.Fatalf("%d answers: %q", len(answers), answers)
	}
	for i, answer := range answers {
		if !strings.Contains(answer, `"error":`) && !strings.HasPrefix(answer, "no answer") && !strings.HasPrefix(answer, "cannot send") {
			w.t.Errorf("%.60q is answered %q", packets[i], answer)
		}
	}
	if answer := w.asks(`{"op":"settings"}`); !strings.Contains(answer, `"node":"node1"`) {
		w.t.Errorf("after all that it answers %q", answer)
	}
}
