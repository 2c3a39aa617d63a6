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

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	rootSocket     = "/run/shadowsync/root.sock"
	operatorSocket = "/run/shadowsync/operator.sock"
)

// prowled sets a stage with the prowler on it.
func prowled(t *testing.T) *stage {
	t.Helper()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.prowler()
	return s
}

// prowler puts the prowler on the machine.
func (s *stage) prowler() {
	s.t.Helper()
	program := filepath.Join(s.t.TempDir(), "prowler")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "./prowler")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		s.t.Fatalf("cannot build the prowler: %v\n%s", err, out)
	}
	s.CopyIn(program, "/usr/local/bin/prowler", 0o755)
}

// TestUnprivilegedUser: on the operators' socket a user learns nothing and does nothing
// without the right to it, and cannot hold up anybody else.
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
	s.sub("uids that are nobody's account", crowds)
	s.sub("dialogues that break off", breaksOff)
}

// crowds: subordinate uids give a user neither more places on the operators' socket nor more
// records in the audit. (These uids have no entry in passwd(5); it does not matter whose they are.)
func crowds(s *stage) {
	since := strings.TrimSpace(s.Must("date", "-Iseconds"))
	crowd := s.Start("sh", "-c", `for u in $(seq 300000 300009); do setpriv --reuid $u --regid 65534 --clear-groups prowler flood `+operatorSocket+` 20 & done; wait`)
	s.WaitFor("the crowd", machine.Patience, func() bool { return s.Run("pgrep", "-U", "300009").Code == 0 })
	for range 10 {
		if answer := s.As("user222").Must("prowler", "ask", operatorSocket, `{"op":"hello"}`); !strings.Contains(answer, `"user":"user222"`) {
			s.t.Errorf("beside a crowd an operator is answered %q", answer)
		}
	}
	if err := crowd.Stop(); err != nil {
		s.t.Fatal(err)
	}
	s.Shell("pkill -U $(seq -s , 300000 300009)")
	records := strings.Count(s.Must("shadowsync", "audit", "--since", since), "refused")
	if records > 10 {
		s.t.Errorf("%d records for a crowd", records)
	}
}

// breaksOff: a dialogue that breaks off starts no unit before the current password has come, and
// dialogues that break off later start few. An account without a usable password is told so at once.
func breaksOff(s *stage) {
	s.passwd("user222", oldPassword)
	units := func(password ...string) int {
		s.t.Helper()
		since := strings.TrimSpace(s.Must("date", "+%s.%N"))
		s.As("user222").Must(append([]string{"prowler", "break", operatorSocket, "5"}, password...)...)
		return strings.Count(s.Journal("--since", "@"+since, "-o", "cat", "_PID=1"), "Started shadowsync-helper-")
	}
	if n := units(); n != 0 {
		s.t.Errorf("%d units were started for dialogues that gave no password", n)
	}
	if n := units("Wrong-" + oldPassword); n == 0 || n > 6 {
		s.t.Errorf("%d units were started for wrong passwords", n)
	}
	s.Must("systemctl", "restart", "shadowsync.service") // it has forgotten the wrong passwords
	if n := units(oldPassword); n == 0 || n > 2*14 {
		s.t.Errorf("%d units were started for dialogues that were proven and broken off", n)
	}
	if answer := s.As("user222").Must("prowler", "ask", operatorSocket, `{"op":"set-password"}`); !strings.Contains(answer, `"ask":"current"`) {
		s.t.Errorf("the next dialogue is answered %q", answer)
	}
	for password, want := range map[string]string{"*": "no password that could be checked", "": "no password that could be checked", "!" + s.ShadowHash("user222"): "locked"} {
		s.Must("usermod", "-p", password, "user222")
		if answer := s.As("user222").Must("prowler", "ask", operatorSocket, `{"op":"set-password"}`); !strings.Contains(answer, want) {
			s.t.Errorf("with %.3q in shadow it is answered %q", password, answer)
		}
	}
}

// takesAsLong: the time that an answer takes does not show whether the account exists.
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

// learns: a user sees their own account, and not even that others exist. A user who is no
// operator sees nothing.
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

// secrets: an unprivileged user can neither read the files nor run the commands.
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

// flooded: during a flood root's passwd takes about as long as without one, and persists.
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
	if limit := 2*quiet + slack; loud > limit {
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

// passwdTime returns the median time of five runs of passwd.
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

// evil is a text that would move the cursor, end a line and reverse the reading direction.
const evil = "ev\nil-line\x1b[31m\x07\u009b1m\u202e"

// TestForeignNames: names that other people choose reach terminals and logs only with
// unprintable characters escaped.
func TestForeignNames(t *testing.T) {
	t.Parallel()
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
		// A program that has ended before the daemon looks is not named: on a busy machine it takes more than one.
		for tries := 1; ; tries++ {
			hash := sha512crypt(t, fmt.Sprintf("Foreign-1-velvet-%d", tries))
			s.Must("/root/"+evil, "-p", hash, "admin")
			s.eventually("it is adopted", machine.Patience, func() bool { return s.StoreHash("admin") == hash && s.state("admin").State == "in-sync" })
			audit := s.Must("shadowsync", "audit")
			if strings.Contains(audit, `ev\nil-line\x1b`) {
				break
			}
			if tries == 5 {
				t.Fatalf("the audit does not name the program:\n%s", audit)
			}
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

// tidy asserts that no output that people read contains unprintable characters.
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

// tidyJournal reads our records in the journal. journalctl prints a field that is not printable text as a list of bytes.
func (s *stage) tidyJournal() {
	s.t.Helper()
	records := 0
	for line := range strings.Lines(s.Journal("--output=json", "--all", "SYSLOG_IDENTIFIER=shadowsync", "+", "_SYSTEMD_UNIT=shadowsync.service", "+", "_SYSTEMD_UNIT="+storeWorkerUnit)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			continue // a message of journalctl itself
		}
		records++
		for field, value := range record {
			text, isText := value.(string)
			if strings.HasPrefix(field, "_") || field == "__CURSOR" {
				continue // a field of journald, not ours
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
