package main

import (
	"encoding/binary"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var resetLine = regexp.MustCompile("^Password for user `([a-z0-9]+)` reset to `([A-Za-z0-9_-]{32})`$")

// resetTo is the password that a reset printed, alone on its line.
func resetTo(t *testing.T, out string) string {
	t.Helper()
	m := resetLine.FindStringSubmatch(strings.TrimSuffix(out, "\n"))
	if m == nil {
		t.Fatalf("it says %q", out)
	}
	return m[2]
}

// chage sets a field of an account's line in shadow(5), counted from 1.
func (s *system) chage(name string, n int, value string) {
	s.t.Helper()
	lines := strings.Split(s.read("/etc/shadow"), "\n")
	for i, line := range lines {
		if fields := strings.Split(line, ":"); fields[0] == name {
			fields[n-1] = value
			lines[i] = strings.Join(fields, ":")
		}
	}
	s.write("/etc/shadow", 0o640, strings.Join(lines, "\n"))
}

func TestResetPassword(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	password := resetTo(t, s.must(0, "user", "reset", "password", "admin").out)
	if os, store := s.osField("admin", 2), s.storePassword("admin"); !opens(t, os, password) || os != store {
		t.Errorf("OS %q, store %q", os, store)
	}
	if again := resetTo(t, s.must(0, "user", "reset", "password", "admin", "--quiet").out); again == password {
		t.Error("the same password twice")
	}
	if r := s.must(0, "audit", "--json"); strings.Contains(r.out, password) || !strings.Contains(r.out, `"verb":"reset password"`) {
		t.Errorf("the trail:\n%s", r.out)
	}
	s.must(0, "status", "--check")
}

// TestResetExpiry: an account's shorter maximum replaces the default, and a requested one replaces
// both.
func TestResetExpiry(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	for _, tc := range []struct {
		max, config string
		flags       []string
		want        string
	}{
		{"99999", "", nil, "760"},
		{"", "", nil, "760"},
		{"90", "", nil, "90"},
		{"90", "", []string{"--expiry", "365"}, "365"},
		{"99999", "", []string{"--expiry", "2"}, "2"},
		{"99999", "[password]\nexpiry_days = 30\n", nil, "30"},
		{"20", "[password]\nexpiry_days = 30\n", nil, "20"},
	} {
		s.write("/etc/shadowsync/shadowsync.toml", 0o600, tc.config+testConfig)
		s.chage("admin", 5, tc.max)
		s.must(0, append([]string{"user", "reset", "password", "admin"}, tc.flags...)...)
		if got := s.osField("admin", 5); got != tc.want {
			t.Errorf("%+v: maximum %s", tc, got)
		}
	}
	// As the help says, the maximum stays until another command changes it.
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, testConfig)
	s.must(0, "user", "reset", "password", "admin", "--expiry", "2")
	for _, later := range []struct{ line, want string }{
		{"user reset password admin", "2"}, {"user set password admin Later-4711 --no-policy", "2"}, {"user reset password admin --expiry 760", "760"},
	} {
		if s.must(0, strings.Fields(later.line)...); s.osField("admin", 5) != later.want {
			t.Errorf("%s: maximum %s", later.line, s.osField("admin", 5))
		}
	}
	for _, days := range []string{"0", "-1", "100000", "soon"} {
		s.must(2, "user", "reset", "password", "admin", "--expiry", days)
	}
}

// TestMustChangeIsTriState: according to the seed's page, the flag stays as it is if --must-change
// is absent.
func TestMustChangeIsTriState(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	day := strconv.Itoa(int(shadowsync.DayOf(time.Now())))
	for _, step := range []struct {
		flags []string
		want  string
	}{
		{nil, day},
		{[]string{"--must-change", "true"}, "0"},
		{nil, "0"},
		{[]string{"--must-change=false"}, day},
		{nil, day},
	} {
		s.must(0, append([]string{"user", "reset", "password", "admin"}, step.flags...)...)
		s.must(0, "hook", "pre-start", "--unit", "128T.service")
		if got := s.osField("admin", 3); got != step.want {
			t.Errorf("%q: last change %s, want %s", step.flags, got, step.want)
		}
	}
	s.must(2, "user", "reset", "password", "admin", "--must-change", "perhaps")
}

func TestExpirePassword(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	hash := s.osField("admin", 2)
	s.must(0, "user", "expire", "password", "admin", "user222")
	for _, name := range []string{"admin", "user222"} {
		if s.osField(name, 3) != "0" || s.osField(name, 2) != hash {
			t.Errorf("%s: last change %s", name, s.osField(name, 3))
		}
	}
	s.must(0, "status", "--check")
}

// TestLockKeepsWhatItTakes: lock changes password and account on both sides, and unlock restores
// them.
func TestLockKeepsWhatItTakes(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	hash := s.osField("admin", 2)
	for _, expiry := range []string{"40000", "", "50000"} {
		s.chage("admin", 8, expiry) // without a reconcile
		for range 2 {               // lock may be repeated
			s.must(0, "user", "lock", "admin")
		}
		if s.osField("admin", 2) != "!"+hash || s.osField("admin", 8) != "1" || s.storePassword("admin") != "!"+hash {
			t.Errorf("locked: %q, expiry %q, store %q", s.osField("admin", 2), s.osField("admin", 8), s.storePassword("admin"))
		}
		for range 2 {
			s.must(0, "user", "unlock", "admin")
		}
		if s.osField("admin", 2) != hash || s.osField("admin", 8) != expiry || s.storePassword("admin") != hash {
			t.Errorf("unlocked: %q, expiry %q instead of %q, store %q", s.osField("admin", 2), s.osField("admin", 8), expiry, s.storePassword("admin"))
		}
	}
	s.must(0, "user", "lock", "admin", "--password-only")
	if s.osField("admin", 8) != "50000" || s.storePassword("admin") != "!"+hash {
		t.Errorf("the password only: expiry %q, store %q", s.osField("admin", 8), s.storePassword("admin"))
	}
	s.must(0, "user", "lock", "admin")
	s.must(0, "user", "unlock", "admin", "--password-only")
	if s.osField("admin", 8) != "1" || s.osField("admin", 2) != hash {
		t.Errorf("the password only: %q, expiry %q", s.osField("admin", 2), s.osField("admin", 8))
	}
	s.must(0, "status", "--check")
}

// TestUnlockWithoutPassword: an empty field would let everybody in.
func TestUnlockWithoutPassword(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.usermod("admin", "!")
	r := s.must(6, "user", "unlock", "admin")
	if s.osField("admin", 2) != "!" || !strings.Contains(r.err, "hint: "+s.ours("user reset password admin --unlock\n")) {
		t.Errorf("field %q, it says:\n%s", s.osField("admin", 2), r.err)
	}
	s.must(0, "user", "reset", "password", "admin", "--unlock")
}

// refusals writes the failures that pam_faillock would count.
func (s *system) refusals(name string, n int) {
	tally := make([]byte, 64*n)
	for i := range n {
		binary.NativeEndian.PutUint16(tally[64*i+54:], 1)
	}
	s.write("/var/run/faillock/"+name, 0o600, string(tally))
}

// TestRecoveryInOneGo: one command recovers an account that is locked, expired and has a full
// failure counter, with one audit record.
func TestRecoveryInOneGo(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "lock", "admin")
	s.refusals("admin", 5)
	before := len(s.trail("admin"))
	if locked := resetTo(t, s.must(0, "user", "reset", "password", "admin").out); s.osField("admin", 2)[0] != '!' || s.osField("admin", 8) != "1" {
		t.Errorf("a reset alone opened the account for %q", locked)
	}
	password := resetTo(t, s.must(0, "user", "reset", "password", "admin", "--unlock", "--must-change", "true").out)
	if hash := s.osField("admin", 2); !opens(t, hash, password) || s.storePassword("admin") != hash || s.osField("admin", 8) != "" || s.osField("admin", 3) != "0" {
		t.Errorf("line %q, expiry %q, last change %q", hash, s.osField("admin", 8), s.osField("admin", 3))
	}
	if info, err := os.Stat(s.path("/var/run/faillock/admin")); err != nil || info.Size() != 0 {
		t.Errorf("the failure counter: %v, %v", info, err)
	}
	var verbs []string
	for _, e := range s.trail("admin")[before:] {
		if e.Action != "logged-out" {
			verbs = append(verbs, e.Origin.Verb)
		}
	}
	if want := "reset password|reset password, unlock (5 refused passwords forgotten)"; strings.Join(verbs, "|") != want {
		t.Errorf("the records are of %q, want %q", verbs, want)
	}
}

func (s *system) trail(name string) []auditRecord {
	s.t.Helper()
	var trail struct{ Events []auditRecord }
	s.must(0, "audit", "--json", "--user", name).object(s.t, &trail)
	return trail.Events
}

// TestAttemptsAreOnRecord: refused attempts are audited too, but never a secret.
func TestAttemptsAreOnRecord(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(6, "user", "set", "password", "admin", strings.Repeat("geheim", 100))
	s.must(5, "user", "lock", "nobody\x1b[2J")
	s.must(5, "user", "reset", "password", "admin-geheim") // a mistake for set
	s.must(5, "user", "set", "password", "geheim", "another")
	trail := s.must(0, "audit", "--json").out
	if strings.Contains(trail, "geheim") || strings.Contains(trail, "\x1b") || strings.Count(trail, `"refused"`) != 4 {
		t.Errorf("the trail:\n%s", trail)
	}
	for account, verb := range map[string]string{"admin": "set password", `nobody\x1b[2J`: "lock"} {
		events := s.trail(account)
		if len(events) == 0 {
			t.Errorf("nothing of %s in:\n%s", account, trail)
			continue
		}
		if last := events[len(events)-1]; last.Action != "refused" || last.Origin.Verb != verb || last.Origin.By != "root" || last.Reason == "" {
			t.Errorf("%s: %+v", account, last)
		}
	}
}

// TestPendingVerbs: a change that the store cannot take is made on the OS side and reported as
// pending.
func TestPendingVerbs(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	if err := os.Rename(s.path("/srv/appliance"), s.path("/srv/away")); err != nil {
		t.Fatal(err)
	}
	r := s.must(3, "user", "reset", "password", "admin")
	password := resetTo(t, r.out)
	if !opens(t, s.osField("admin", 2), password) || !strings.Contains(r.err, "NOT persisted") {
		t.Errorf("it says:\n%s%s", r.out, r.err)
	}
	s.must(3, "user", "lock", "admin")
	if err := os.Rename(s.path("/srv/away"), s.path("/srv/appliance")); err != nil {
		t.Fatal(err)
	}
	s.must(0, "sync")
	if s.storePassword("admin") != s.osField("admin", 2) || !opens(t, s.storePassword("admin")[1:], password) {
		t.Errorf("OS %q, store %q", s.osField("admin", 2), s.storePassword("admin"))
	}
}

// TestVerbJSON checks the field names that scripts rely on.
func TestVerbJSON(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	type object struct {
		Verb     string
		Accounts []accountResult
		Summary  summary
	}
	for _, line := range []string{
		"user set password admin secret", "user reset password admin user222", "user expire password admin", "user lock admin nobody",
		"user unlock admin", "history restore admin 1",
	} {
		status := 0
		if strings.Contains(line, "nobody") {
			status = 5
		}
		var got object
		s.must(status, append(strings.Fields(line), "--json")...).object(t, &got)
		last := len(got.Accounts) - 1
		if got.Verb == "" || last < 0 || got.Accounts[last].Application != "conductor" || got.Accounts[last].State != shadowsync.InSync || got.Summary.InSync == 0 {
			t.Errorf("%s: %+v", line, got)
		}
		for _, a := range got.Accounts {
			if generated := strings.Contains(line, "reset"); (a.Password != "") != generated {
				t.Errorf("%s: %+v", line, a)
			}
			if a.Name == "nobody" && (a.State != stateFailed || a.Reason == nil || got.Summary.Failed != 1) {
				t.Errorf("%s: %+v", line, a)
			}
		}
	}
}

func TestSessionsOfAMountedSystem(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(1, "user", "sessions", "admin")
	s.must(1, "user", "logout", "admin")
}

func TestHomeOf(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/passwd", []byte("adm:x:1\nadmin:x:1000:1000:A, B:/home/admin:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if home, err := homeOf(root, "admin"); home != "/home/admin" || err != nil {
		t.Errorf("got %q, %v", home, err)
	}
	if home, err := homeOf(root, "adm"); err == nil {
		t.Errorf("got %q", home)
	}
}

// TestFailuresAreShown: the list shows the failures that unlock would clear.
func TestFailuresAreShown(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.refusals("admin", 3)
	if r := s.must(0, "user", "list"); !strings.Contains(r.out, "3 refused passwords") {
		t.Errorf("it says:\n%s", r.out)
	}
	var u userStatus
	if s.must(0, "user", "show", "admin", "--json").object(t, &u); u.Failures != 3 {
		t.Errorf("got %+v", u)
	}
}

// TestAuditTrim: exactly the records older than the configured time are removed.
func TestAuditTrim(t *testing.T) {
	s := newSystem(t)
	s.recordDaysAgo(9, 3, 2)
	s.must(0, "sync")
	s.must(0, "user", "lock", "admin")
	if r := s.must(0, "audit", "trim"); !strings.Contains(r.out, "Everything is kept") {
		t.Errorf("it says %q", r.out)
	}
	before := s.verified()
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, "[audit]\nkeep_days = 1\n"+testConfig)
	for _, want := range []int{3, 0} {
		var object map[string]int
		if s.must(0, "audit", "trim", "--json").object(t, &object); object["removed"] != want || object["keep_days"] != 1 {
			t.Errorf("it says %v, want %d removed", object, want)
		}
		if after := s.verified(); after != before-3+1 { // plus the record of the cut
			t.Errorf("%d records are good, of %d before", after, before)
		}
	}
	if trail := s.must(0, "audit").out; strings.Contains(trail, "long-ago") || !strings.Contains(trail, "audit-trimmed") || !strings.Contains(trail, "lock") {
		t.Errorf("the trail:\n%s", trail)
	}
}

// recordDaysAgo starts the trail with records of these ages.
func (s *system) recordDaysAgo(days ...int) {
	s.t.Helper()
	db, err := state.Open(s.t.Context(), s.path(engine.StateDir))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	for _, n := range days {
		if err := db.Audit(s.t.Context(), shadowsync.Event{At: time.Now().AddDate(0, 0, -n), Account: "admin", Action: "long-ago"}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// verified counts the records that the trail's chain verifies; that must be all of them.
func (s *system) verified() int {
	s.t.Helper()
	var got struct {
		Good   int
		Bad    *int
		Reason *string
	}
	s.must(0, "audit", "--verify", "--json").object(s.t, &got)
	if got.Bad != nil || got.Reason != nil || got.Good == 0 {
		s.t.Errorf("the trail: %+v", got)
	}
	return got.Good
}

func TestListHashes(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.usermod("user222", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/")
	s.must(0, "sync")
	var got struct{ Applications []hashReport }
	s.must(0, "user", "list", "--hashes", "--json").object(t, &got)
	r := got.Applications[0]
	if r.OS["sha256crypt"] != 1 || r.Store["md5crypt"] != 1 || !slices.Equal(r.Old, []string{"user222"}) || len(r.Unverifiable) != 0 {
		t.Errorf("got %+v", r)
	}
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, strings.Replace(testConfig, "driver ", "formats = [\"sha512crypt\"]\ndriver ", 1))
	if r := s.must(0, "user", "list", "--hashes"); !strings.Contains(r.out, "cannot verify what its store holds, until the next login or password change: admin, user222\n") || strings.Contains(r.out, "$") {
		t.Errorf("it says:\n%s", r.out)
	}
	s.must(0, "sync") // both sides are equal
	s.must(0, "status", "--check")
	s.usermod("user222", "$1$saltsalt$DFBxhTLWCAPlIjVuaBTnC0")
	s.must(3, "sync")
	s.must(3, "status", "--check")
}
