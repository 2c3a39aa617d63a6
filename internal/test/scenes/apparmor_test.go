package scenes

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestAppArmorRules: each file that pcli and the page open is in a rule of their AppArmor profiles. No kernel enforces
// the profiles here.
func TestAppArmorRules(t *testing.T) {
	t.Parallel()
	s := mannedOn(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Tracer}))
	s.sub("pcli", func(s *stage) {
		// Only root may look into pcli, which keeps passwords.
		d := s.Terminal("strace", "-f", "-e", "trace=%file,connect", "-o", "/root/pcli.trace", "-u", "user222", "pcli")
		d.Answer("> ", "show user sessions")
		d.Expect("> ", machine.Patience)
		setPassword(d, oldPassword, newPassword)
		d.Ended(machine.Patience)
		s.ruled("pcli", s.ReadFile("/root/pcli.trace"), "/run/shadowsync/operator.sock")
	})
	s.sub("page", func(s *stage) {
		s.Must("shadowsync", "setup", "--web")
		s.Must("systemctl", "stop", "shadowsync-web.socket", "shadowsync-web.service")
		// Not in the unit, whose sandbox has no strace. With -D, the process that systemd's variables name is the page.
		page := s.Start("systemd-socket-activate", "--listen=127.0.0.1:8443", "--setenv=CREDENTIALS_DIRECTORY=/run/credentials/shadowsync-web.service",
			"strace", "-D", "-f", "-e", "trace=%file,connect", "-o", "/root/page.trace", "-u", "shadowsync-web", "/usr/sbin/shadowsync-web")
		p := &plainPage{stage: s, client: &http.Client{
			Transport:     &http.Transport{DialContext: s.DialContext},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       machine.Patience,
		}}
		s.t.Cleanup(p.client.CloseIdleConnections)
		s.eventually("the page listens", machine.Patience, func() bool { return s.Run("sh", "-c", "ss -Htln 'sport = 8443' | grep -q .").Code == 0 })
		if a := p.sends("/sign-in", "username", "user222", "password", newPassword); a.status != http.StatusSeeOther {
			s.t.Fatalf("signing in: status %d\n%s", a.status, a.body)
		}
		if a := p.gets("/profile/sessions"); !strings.Contains(a.body, "this one") {
			s.t.Errorf("the sessions: status %d\n%s", a.status, a.body)
		}
		p.client.CloseIdleConnections()
		s.eventually("the page ends, because it has read a password", machine.Patience, func() bool {
			select {
			case <-page.Done():
				return true
			default:
				return false
			}
		})
		s.ruled("shadowsync-web", s.ReadFile("/root/page.trace"), "/run/shadowsync/web.sock")
	})
}

// opening is a line of strace's about a file that is opened, or a socket that is connected to; of the flags, the access mode.
var opening = regexp.MustCompile(`(?:open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", (O_RDONLY|O_WRONLY|O_RDWR)|connect\(\d+, \{sa_family=AF_UNIX, sun_path="([^"]+)")`)

// ruled asserts that a profile has a rule for each file of a trace, and that the trace is of the whole program: it
// connects to this socket of the broker's.
func (s *stage) ruled(profile, trace, broker string) {
	s.t.Helper()
	text, err := os.ReadFile("../../admin/packages/apparmor/" + profile)
	if err != nil {
		s.t.Fatal(err)
	}
	rules := rulesIn(string(text))
	var seen []string
	for _, call := range opening.FindAllStringSubmatch(trace, -1) {
		path, permission := call[1]+call[3], map[string]string{"O_RDONLY": "r", "O_WRONLY": "w", "O_RDWR": "rw", "": "rw"}[call[2]]
		// AppArmor judges the file at the end of a link.
		path = strings.Replace(path, "/proc/self/", "/proc/1/", 1)
		path = strings.TrimSuffix(s.Must("realpath", "-m", path), "\n")
		seen = append(seen, path)
		if !slices.ContainsFunc(rules, func(r rule) bool { return r.paths.MatchString(path) && r.allows(permission) }) {
			s.t.Errorf("%s has no rule for %q of %s", profile, permission, path)
		}
	}
	s.t.Logf("%s opens %q", profile, slices.Compact(seen))
	if !slices.Contains(seen, broker) {
		s.t.Errorf("the trace does not reach the broker:\n%s", trace)
	}
}

// rule is a rule about files of an AppArmor profile, as apparmor.d(5) describes them.
type rule struct {
	paths       *regexp.Regexp
	permissions string
}

func (r rule) allows(wanted string) bool {
	return !strings.ContainsFunc(wanted, func(p rune) bool { return !strings.ContainsRune(r.permissions, p) })
}

// rulesIn reads the rules of a profile of ours, which needs only a part of the language.
func rulesIn(profile string) (rules []rule) {
	spell := strings.NewReplacer("@{run}", "/run", "@{PROC}", "/proc", "@{sys}", "/sys", "@{pid}", "[0-9]+",
		"**", ".*", "*", "[^/]*", "{", "(", "}", ")", ",", "|", ".", `\.`)
	for _, line := range regexp.MustCompile(`(?m)^  (?:owner )?([/@]\S+) ([a-z]+),$`).FindAllStringSubmatch(profile, -1) {
		rules = append(rules, rule{regexp.MustCompile(fmt.Sprintf("^%s$", spell.Replace(line[1]))), line[2]})
	}
	return rules
}
