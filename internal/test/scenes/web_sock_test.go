package scenes

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// visited sets a stage with the socket of pages and a visitor on it.
func visited(t *testing.T, release machine.Release, edits ...string) *stage {
	t.Helper()
	s := set(t, release, machine.Appliance{}, append([]string{"[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[[application]]"}, edits...)...)
	s.MustShell("groupadd operators && usermod -aG operators admin")
	program := filepath.Join(t.TempDir(), "visitor")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./visitor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the visitor: %v\n%s", err, out)
	}
	s.CopyIn(program, "/usr/local/bin/visitor", 0o755)
	s.MustShell(`getent passwd shadowsync-web || useradd --system --no-create-home --shell /usr/sbin/nologin shadowsync-web
test -e /etc/pam.d/shadowsync-web || printf '%s\n' '@include common-auth' '@include common-account' > /etc/pam.d/shadowsync-web
systemctl stop shadowsync.service
systemctl start shadowsync-pages.socket
systemctl start shadowsync.service`)
	return s
}

// asks runs the visitor as the page's account.
func (s *stage) asks(input, op string, args ...string) machine.Result {
	return s.asksAs("password", input, op, args...)
}

func (s *stage) asksAs(proof, input, op string, args ...string) machine.Result {
	s.t.Helper()
	command := append([]string{"-u", "shadowsync-web", "--", "env", "PROOF=" + proof, "visitor", op}, args...)
	return s.Input(input).Run(append([]string{"runuser"}, command...)...)
}

// gets is asks for an answer that is no refusal.
func gets[T any](s *stage, input, op string, args ...string) (result T) {
	s.t.Helper()
	r := s.asks(input, op, args...)
	if err := json.Unmarshal([]byte(r.Stdout), &result); r.Code != 0 || err != nil {
		s.t.Fatalf("%s: %s", op, r)
	}
	return result
}

// refusesPage asserts a refusal of that kind.
func (s *stage) refusesPage(kind web.Kind, input, op string, args ...string) {
	s.t.Helper()
	if r := s.asks(input, op, args...); r.Code != 1 || !strings.HasPrefix(r.Stdout, string(kind)+": ") {
		s.t.Errorf("%s is not refused as %s: %s", op, kind, r)
	}
}

// TestPageOfTheBroker: what a page asks, by its account, on the machine itself.
func TestPageOfTheBroker(t *testing.T) {
	t.Parallel()
	s := visited(t, machine.Bookworm)
	s.passwd("user222", oldPassword)
	s.passwd("admin", oldPassword)
	signIn := func(name string) string {
		t.Helper()
		signed := gets[web.Signed](s, oldPassword+"\n", "sign-in", name, "192.0.2.7")
		if signed.Next != web.NextNone {
			t.Fatalf("%s: next is %s", name, signed.Next)
		}
		return signed.Token
	}
	token := signIn("user222")
	p := gets[web.Person](s, "", "who", token)
	if p.Name != "user222" || p.Role != web.RoleUser || p.Proof != web.ByPassword || p.Address != "192.0.2.7" {
		t.Errorf("%+v", p)
	}

	// The socket alone, and the tokens of others.
	if r := s.As("user222").Run("visitor", "settings"); r.Code == 0 {
		t.Errorf("a user reaches the socket: %s", r)
	}
	gets[web.Settings](s, "", "settings")
	for _, op := range []string{"who", "sessions", "users", "sync", "activity", "sign-out"} {
		s.refusesPage(web.SignedOut, "", op, strings.Repeat("A", 43))
	}
	for _, op := range []string{"lock", "unlock", "expire", "end-sessions"} {
		s.refusesPage(web.NotPermitted, oldPassword+"\n", op, token, "admin")
	}
	s.refusesPage(web.NoAccount, "", "sessions", token, "admin")
	if users := gets[[]web.User](s, "", "users", token); len(users) != 1 || users[0].Name != "user222" {
		t.Errorf("a user sees %+v", users)
	}
	for _, name := range []string{"root", "nobody-here", "daemon", "shadowsync-web"} {
		s.refusesPage(web.NotAuthenticated, oldPassword+"\n", "sign-in", name, "192.0.2.8")
	}

	s.sub("the sessions are listed and ended by root", func(s *stage) {
		listed := s.Must("shadowsync", "user", "sessions", "user222")
		if !strings.Contains(listed, "web:") || !strings.Contains(listed, "192.0.2.7") {
			s.t.Errorf("not listed: %s", listed)
		}
		if own := gets[[]web.Session](s, "", "sessions", token); len(own) != 1 || !own[0].Own || own[0].Kind != "web" {
			s.t.Errorf("%+v", own)
		}
		second := signIn("user222")
		s.Must("systemctl", "restart", "shadowsync.service")
		gets[web.Person](s, "", "who", second) // they outlive the broker
		s.Must("systemctl", "stop", "shadowsync.service")
		if said := s.Must("shadowsync", "user", "logout", "user222"); !strings.Contains(said, "2 sessions of user `user222` ended, 0 survived") {
			s.t.Errorf("logout: %s", said)
		}
		s.refusesPage(web.SignedOut, "", "who", token)
		s.refusesPage(web.SignedOut, "", "who", second)
	})
	s.sub("a change of the password", func(s *stage) {
		token, second := signIn("user222"), signIn("user222")
		s.refusesPage(web.NotAuthenticated, "Wrong-"+oldPassword+"\n"+newPassword+"\n", "set-password", token)
		s.refusesPage(web.Policy, oldPassword+"\nx\n", "set-password", token)
		result := gets[web.Result](s, oldPassword+"\n"+newPassword+"\n", "set-password", token)
		for _, note := range result.Notes {
			if strings.Contains(note, "not known yet") || strings.Contains(note, "still open: session web:") {
				s.t.Errorf("noted: %q", note)
			}
		}
		s.opens("user222", newPassword, oldPassword)
		s.inStore("user222")
		s.refusesPage(web.SignedOut, "", "who", token)
		s.refusesPage(web.SignedOut, "", "who", second)
		if audit := s.Must("shadowsync", "audit", "--user", "user222", "--json"); !strings.Contains(audit, `"action":"set password","reason":"done"`) || !strings.Contains(audit, `"seen_by":"web","by":"user222"`) {
			s.t.Errorf("the audit: %s", audit)
		}
	})
	s.sub("passwd", func(s *stage) {
		s.passwd("user222", oldPassword)
		token := signIn("user222")
		s.passwd("user222", newPassword)
		s.eventually("the end of the session", machine.Patience/4, func() bool { return s.asks("", "who", token).Code == 1 })
		s.passwd("user222", oldPassword)
	})
	s.sub("an administrator", func(s *stage) {
		admin, user := signIn("admin"), signIn("user222")
		s.refusesPage(web.NotAuthenticated, "Wrong-1\n", "lock", admin, "user222")
		gets[web.Result](s, oldPassword+"\n", "lock", admin, "user222")
		s.refusesPage(web.SignedOut, "", "who", user)
		s.refusesPage(web.NotAuthenticated, oldPassword+"\n", "sign-in", "user222", "192.0.2.9")
		gets[web.Result](s, oldPassword+"\n", "unlock", admin, "user222")
		user = signIn("user222")
		gets[web.Result](s, oldPassword+"\n"+newPassword+"\n", "reset-password", admin, "user222")
		s.refusesPage(web.SignedOut, "", "who", user)
		s.opens("user222", newPassword, oldPassword)
		s.inStore("user222")
		gets[web.Result](s, oldPassword+"\n", "expire", admin, "user222")
		signed := gets[web.Signed](s, newPassword+"\n", "sign-in", "user222", "192.0.2.7")
		if signed.Next != web.NextPassword {
			s.t.Errorf("next is %q", signed.Next)
		}
		s.refusesPage(web.StepNeeded, "", "sessions", signed.Token)
		gets[web.Result](s, newPassword+"\n"+oldPassword+"-3\n", "set-password", signed.Token)
		s.opens("user222", oldPassword+"-3", newPassword)
	})
	s.sub("a lock past us, and its end", func(s *stage) {
		admin := signIn("admin")
		s.Must("usermod", "-L", "admin")
		s.eventually("the end of the session, though nobody asks", machine.Patience/4, func() bool {
			return !strings.Contains(s.Must("shadowsync", "user", "sessions", "admin"), "web:")
		})
		s.Must("usermod", "-U", "admin")
		s.refusesPage(web.SignedOut, "", "who", admin)
	})
	s.sub("the broker is killed during a change", func(s *stage) {
		const before, after = oldPassword + "-4", newPassword + "-4"
		for _, pause := range []string{"0", "0.1", "0.2", "0.4"} {
			s.passwd("user222", before)
			token := gets[web.Signed](s, before+"\n", "sign-in", "user222", "192.0.2.7").Token
			said := s.Input(before+"\n"+after+"\n").Run("sh", "-c", `cat > /run/typed
runuser -u shadowsync-web -- visitor set-password `+token+` < /run/typed > /run/said &
visitor=$!
for i in $(seq 500); do pgrep -f 'worker-pa[m]' > /dev/null && break; sleep 0.02; done
sleep `+pause+`
systemctl kill -s KILL shadowsync.service
wait $visitor
cat /run/said`).Stdout
			told := strings.HasPrefix(said, "{") // the broker died after its answer
			// On a busy host passwd's own end of all sessions may come after the sign-in.
			if !told && !strings.HasPrefix(said, "unknown: ") && !strings.HasPrefix(said, string(web.SignedOut)+": ") {
				s.t.Errorf("%s s later: the page is told %q", pause, said)
			}
			s.eventually("one password on both sides", machine.Patience/2, func() bool {
				return s.Run("pgrep", "-f", "worker-pa[m]").Code != 0 && s.state("user222").State == "in-sync" && s.ShadowHash("user222") == s.StoreHash("user222")
			})
			old, fresh := s.Login("user222", before), s.Login("user222", after)
			if old == fresh || told && old {
				s.t.Errorf("%s s later: the old password opens: %v, the new one: %v", pause, old, fresh)
			}
		}
		s.passwd("user222", oldPassword)
	})
	s.sub("guessing holds up nobody else", func(s *stage) {
		answers := gets[map[web.Kind]int](s, "", "guess", "5", "32", "admin", "198.51.100.1")
		if answers[web.NotAuthenticated] > 32 || answers[web.TooMany] == 0 || answers["none"] > 64 {
			s.t.Errorf("%v", answers)
		}
		signIn("admin") // from another address
		r := s.As("admin").Input(oldPassword+"\n"+newPassword+"\n"+newPassword+"\n").Run("pcli", "--stdin", "-c", "set password")
		if r.Code != 0 {
			s.t.Errorf("pcli: %s", r)
		}
	})
}
