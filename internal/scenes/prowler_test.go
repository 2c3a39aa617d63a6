package scenes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/shadowsync/shadowsync/internal/machine"
)

const (
	rootSocket     = "/run/shadowsync/root.sock"
	operatorSocket = "/run/shadowsync/operator.sock"
)

// prowled sets a stage with the prowler on it.
func prowled(t *testing.T) *stage {
	t.Helper()
	s := set(t, machine.Bookworm, machine.Appliance{})
	program := filepath.Join(t.TempDir(), "prowler")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./prowler")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the prowler: %v\n%s", err, out)
	}
	s.CopyIn(program, "/usr/local/bin/prowler", 0o755)
	return s
}

// TestUnprivilegedUser: on the operators' socket nothing is learned and nothing
// done without a right to it, and nobody is held up from there.
func TestUnprivilegedUser(t *testing.T) {
	s := prowled(t)
	before := s.ReadFile("/etc/shadow") + s.ReadFile(machine.StorePath)
	const refused = `{"error":{"kind":"not-permitted","text":"not permitted"}}`
	packets := []string{
		`{}`, `null`, `[]`, `"x"`, `1e999`, `{"op":"pam-changed","user":"admin"}`, `{"op":"pam-changed","user":"user222"}`,
		`{"op":"pam-changed","user":"no-such"}`, `{"op":"status"}`, `{"op":"lock","user":"admin"}`, `{"op":"lock","user":"user222"}`,
		`{"op":"unlock","user":"admin"}`, `{"op":"expire-password","user":"admin"}`, `{"op":"disconnect","user":"admin"}`,
		`{"op":"create-user","user":"new"}`, `{"op":"edit-user","user":"admin"}`, `{"op":"delete-user","user":"admin"}`,
		`{"op":"\u001b[31m\n","user":"\u001b]0;x\u0007\n"}`, strings.Repeat("[", 10_000),
	}
	answers := strings.Split(strings.TrimSpace(s.As("user222").Must(append([]string{"prowler", "ask", operatorSocket}, packets...)...)), "\n")
	for i, answer := range answers {
		if answer != refused && !strings.HasPrefix(answer, "no answer: ") && !strings.HasPrefix(answer, "cannot send: ") {
			t.Errorf("%.60q is answered %q", packets[i], answer)
		}
	}
	if !slices.Contains(answers, refused) || len(answers) != len(packets) {
		t.Errorf("answers: %q", answers)
	}
	s.learns(t)
	if answer := s.As("user222").Must("prowler", "ask", rootSocket, packets[5]); !strings.Contains(answer, "permission denied") {
		t.Errorf("root's socket: %q", answer)
	}
	if after := s.ReadFile("/etc/shadow") + s.ReadFile(machine.StorePath); after != before {
		t.Error("something was changed")
	}
	s.secrets()
	s.takesAsLong()
	s.flooded()
}

// takesAsLong: how long an answer takes does not tell whether there is such an account.
func (s *stage) takesAsLong() {
	s.t.Helper()
	for _, op := range []string{"show-user", "sessions"} {
		var micros []float64
		for _, median := range strings.Fields(s.As("user222").Must("prowler", "time", operatorSocket,
			`{"op":"`+op+`","user":"admin"}`, `{"op":"`+op+`","user":"ghost"}`)) {
			us, err := strconv.ParseFloat(median, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			micros = append(micros, us)
		}
		if len(micros) != 2 || max(micros[0], micros[1]) > 1.25*min(micros[0], micros[1]) {
			s.t.Errorf("%s of an account and of nobody takes %v µs", op, micros)
		}
		s.t.Logf("%s of an account and of nobody: %v µs", op, micros)
	}
}

// learns: a user sees their own account, of others not even that there are any; and
// who is nobody's operator sees nothing.
func (s *stage) learns(t *testing.T) {
	t.Helper()
	for packet, want := range map[string]string{
		`{"op":"names"}`:                            `["user222"]`,
		`{"op":"show-user","user":"admin"}`:         `no such account: admin`,
		`{"op":"show-user","user":"ghost"}`:         `no such account: ghost`,
		`{"op":"sessions","user":"admin"}`:          `no such account: admin`,
		`{"op":"activity","args":{"user":"admin"}}`: `no such account: admin`,
		`{"op":"set-password","user":"admin"}`:      `{"ask":"current"}`, // the asker's own
		`{"op":"show-user","user":"*"}`:             `"name":"user222"`,
		`{"op":"sync"}`:                             `"account":"user222"`,
		`{"op":"activity"}`:                         `"account":"user222"`,
	} {
		answer := s.As("user222").Must("prowler", "ask", operatorSocket, packet)
		if !strings.Contains(answer, want) || strings.Contains(want, "user222") && strings.Contains(answer, "admin") {
			t.Errorf("%s is answered %q", packet, answer)
		}
		if answer := s.As("nobody").Must("prowler", "ask", operatorSocket, packet); !strings.Contains(answer, "not permitted") {
			t.Errorf("nobody asks %s: %q", packet, answer)
		}
	}
}

// secrets are closed to an unprivileged user, and so are the commands.
func (s *stage) secrets() {
	s.t.Helper()
	for _, command := range []string{
		"cat /etc/shadowsync/shadowsync.toml", "ls /var/lib/shadowsync", "cat /var/lib/shadowsync/state/state.db",
		"shadowsync status", "shadowsync audit", "shadowsync user set password user222 Prowler-velvet-2", "shadowsync guard release " + machine.ApplianceUnit + " --force",
		"shadowsync sync", "shadowsync history admin", "shadowsync hook post-start --unit " + machine.ApplianceUnit,
	} {
		if r := s.As("user222").Shell(command); r.Code == 0 {
			s.t.Errorf("%s: %s", command, r)
		}
	}
}

// flooded: root's passwd takes about as long as on a quiet day, and persists.
func (s *stage) flooded() {
	s.t.Helper()
	quiet := s.passwdTime("Quiet")
	flood := s.As("user222").Start("prowler", "flood", operatorSocket, "30")
	time.Sleep(500 * time.Millisecond) // it has its hundreds of connections by then
	loud := s.passwdTime("Loud")
	if flood.Output() != "" {
		s.t.Errorf("the flood says %q", flood.Output())
	}
	s.t.Logf("passwd takes %v, and %v in the flood", quiet, loud)
	if limit := 2*quiet + 500*time.Millisecond; loud > limit {
		s.t.Errorf("passwd takes %v in the flood, %v without", loud, quiet)
	}
	select {
	case <-flood.Done():
		s.t.Error("the flood had ended before")
	default:
	}
	if err := flood.Stop(); err != nil {
		s.t.Fatal(err)
	}
}

// passwdTime is the median of five.
func (s *stage) passwdTime(word string) time.Duration {
	s.t.Helper()
	var times []time.Duration
	for i := range 5 {
		began := time.Now()
		if said := s.passwd("admin", fmt.Sprintf("%s-%d-velvet", word, i)); !strings.Contains(said, ": persisted") {
			s.t.Errorf("passwd said %q", said)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// evil is a text that would move a cursor, end a line and turn the reading round.
const evil = "ev\nil-line\x1b[31m\x07\u009b1m\u202e"

// TestForeignNames: what others name as they like reaches neither a terminal nor
// a log as it is.
func TestForeignNames(t *testing.T) {
	s := prowled(t)
	name, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("in the PAM module's request", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		request := fmt.Sprintf(`{"op":"pam-changed","user":%s}`, name)
		if answer := s.Must("prowler", "ask", rootSocket, request, fmt.Sprintf(`{"op":%s,"user":%s}`, name, name), string(name)); !strings.HasPrefix(answer, `{"message":""}`) {
			t.Errorf("answered %q", answer)
		}
		s.tidy()
	})
	t.Run("in the name of the program", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.Must("cp", "/usr/sbin/usermod", "/root/"+strings.ReplaceAll(evil, "/", ""))
		hash := sha512crypt(t, "Foreign-1-velvet")
		s.Must("/root/"+evil, "-p", hash, "admin")
		s.eventually("it is adopted", 10*time.Second, func() bool { return s.StoreHash("admin") == hash && s.state("admin").State == "in-sync" })
		if audit := s.Must("shadowsync", "audit"); !strings.Contains(audit, `ev\nil-line\x1b`) {
			t.Errorf("the audit does not name the program:\n%s", audit)
		}
		s.tidy()
	})
	t.Run("in GECOS", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		line := strings.Replace("\nadmin:x:1000:1000:EVIL", "EVIL", strings.ReplaceAll(evil, "\n", ""), 1)
		passwd := strings.Replace(s.ReadFile("/etc/passwd"), "\nadmin:x:1000:1000:", line, 1)
		if !strings.Contains(passwd, line) {
			t.Fatalf("no line of admin in %s", passwd)
		}
		s.WriteFile("/etc/passwd", passwd, 0o644)
		s.passwd("admin", "Foreign-2-velvet")
		s.tidy()
	})
	t.Run("in the store", func(t *testing.T) {
		s := &stage{T: s.T, t: t}
		s.MustShell("systemctl stop " + machine.ApplianceUnit)
		good, held := s.ReadFile(machine.StorePath), s.StoreHash("admin")
		for _, users := range []string{
			fmt.Sprintf(`"user": [ {"name": %s, "password": %s},`, name, name),
			fmt.Sprintf(`"user": [ {"name": %s, "password": 5},`, name),
			fmt.Sprintf(`"user": [ {"name": "admin", "password": %s},`, name),
			"\"user\": [ {\"name\": \"\x1b[31m\", \"x\" \x1b},",
		} {
			s.WriteFile(machine.StorePath, strings.Replace(good, `"user": [`, users, 1), 0o600)
			s.passwd("user222", "Foreign-3-velvet")
			s.tidy()
		}
		s.WriteFile(machine.StorePath, strings.ReplaceAll(good, held, strings.Trim(string(name), `"`)), 0o600)
		s.Run("shadowsync", "sync")
		s.tidy()
	})
}

// asAdmin runs one command of the operators' shell.
const asAdmin = "setpriv --reuid=admin --regid=admin --init-groups pcli -c "

// tidy asserts that nothing which people read shows what is not printable.
func (s *stage) tidy() {
	s.t.Helper()
	for _, command := range []string{
		"shadowsync status", "shadowsync status --json", "shadowsync audit", "shadowsync audit --json", "shadowsync history admin", "shadowsync user list",
		"shadowsync user show admin", "shadowsync sync --dry-run", "shadowsync sync", "shadowsync guard status", "shadowsync doctor",
		asAdmin + "'show user'", asAdmin + "'show user sessions'", asAdmin + "'show user activity'", asAdmin + "'show sync'",
		"systemctl show --property=StatusText shadowsync.service", "systemctl status --no-pager --lines=0 shadowsync.service " + machine.ApplianceUnit,
	} {
		r := s.Shell(command)
		if r.Stdout+r.Stderr == "" {
			s.t.Errorf("%s says nothing", command)
		}
		for line := range strings.Lines(r.Stdout + r.Stderr) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(strings.TrimSpace(line), "il-line") || strings.ContainsFunc(line, unprintable) {
				s.t.Errorf("%s prints %q", command, line)
			}
		}
	}
	s.tidyJournal()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// tidyJournal reads our records; a field that is not printable text is a list of bytes in there.
func (s *stage) tidyJournal() {
	s.t.Helper()
	records := 0
	for line := range strings.Lines(s.Journal("--output=json", "--all", "SYSLOG_IDENTIFIER=shadowsync", "+", "_SYSTEMD_UNIT=shadowsync.service", "+", "_SYSTEMD_UNIT="+storeWorkerUnit)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			continue // journalctl's own word
		}
		records++
		for field, value := range record {
			text, isText := value.(string)
			if strings.HasPrefix(field, "_") || field == "__CURSOR" {
				continue // the kernel's word, not ours
			}
			if !isText || strings.ContainsFunc(text, unprintable) {
				s.t.Errorf("the journal has %s=%q", field, value)
			}
		}
	}
	if records == 0 {
		s.t.Error("no records of ours in the journal")
	}
}
