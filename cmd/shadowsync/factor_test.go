package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/state"
)

// answerer is an output that types the app's code as soon as the setup key is shown.
type answerer struct {
	bytes.Buffer
	t      *testing.T
	to     io.WriteCloser
	at     time.Time
	secret []byte
}

var setupKey = regexp.MustCompile(`(?:Setup key: |"setup_key": ")([A-Z2-7 ]+)`)

func (w *answerer) Write(text []byte) (int, error) {
	n, err := w.Buffer.Write(text)
	found := setupKey.FindSubmatch(w.Bytes())
	if w.secret != nil || found == nil {
		return n, err
	}
	var keyErr error
	if w.secret, keyErr = totp.ParseSetupKey(found[1]); keyErr != nil {
		w.t.Fatal(keyErr)
	}
	if _, err := w.to.Write(append(totp.Code(w.secret, totp.StepAt(w.at)), '\n')); err != nil {
		w.t.Error(err)
	}
	return n, w.to.Close()
}

var recoveryCode = regexp.MustCompile(`\b[a-z]{6}-[a-z]{6}-[a-z]{6}\b`)

// enrol runs enrol 2fa with these flags and answers it.
func (s *system) enrol(name string, flags ...string) (secret []byte, recovery []string, r result) {
	s.t.Helper()
	in, typed, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer in.Close()
	out, complaints := &answerer{t: s.t, to: typed, at: time.Now()}, bytes.Buffer{}
	a := newApp(in, out, &complaints)
	root := newRoot(a)
	root.SetArgs(append([]string{"--root", s.root, "user", "enrol", "2fa", name, "--stdin"}, flags...))
	command, err := root.ExecuteContextC(s.t.Context())
	r = result{a.finish(s.t.Context(), command, err), out.String(), complaints.String()}
	return out.secret, recoveryCode.FindAllString(r.out, -1), r
}

// enrolled is enrol for an account that must become enrolled.
func (s *system) enrolled(name string) (secret []byte, recovery []string) {
	s.t.Helper()
	secret, recovery, r := s.enrol(name)
	if r.status != 0 || len(recovery) != 10 || !strings.Contains(r.out, "Second factor of user `"+name+"` enrolled\n") {
		s.t.Fatalf("status %d:\n%s%s", r.status, r.out, r.err)
	}
	return secret, recovery
}

// check runs check 2fa with a code.
func (s *system) check(name, code string, flags ...string) result {
	s.t.Helper()
	return s.run(code+"\n", append([]string{"user", "check", "2fa", name, "--stdin"}, flags...)...)
}

func (s *system) factor(name string) (u userStatus) {
	s.t.Helper()
	s.must(0, "user", "show", name, "--json").object(s.t, &u)
	return u
}

func TestSecondFactor(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	if u := s.factor("admin"); u.Factor != factor.None || u.Recovery != 0 || u.FactorUsed != nil {
		t.Errorf("before: %+v", u)
	}
	if r := s.check("admin", "123456"); r.status != 1 || !strings.Contains(r.err, "hint: "+s.ours("user enrol 2fa admin\n")) {
		t.Errorf("status %d, it says %s", r.status, r.err)
	}
	secret, recovery := s.enrolled("admin")
	if u := s.factor("admin"); u.Factor != factor.Enrolled || u.Recovery != 10 || u.FactorUsed == nil {
		t.Errorf("enrolled: %+v", u)
	}
	if list := s.read("/var/lib/shadowsync/enrolled"); list != "admin\tlocal\tenrolled\t1000\n" {
		t.Errorf("the list is %q", list)
	}
	for _, file := range []string{"enrolled", "factor.key"} {
		if info, err := os.Stat(s.path("/var/lib/shadowsync/" + file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if _, _, r := s.enrol("admin"); r.status != 1 || !strings.Contains(r.err, "hint: "+s.ours("user reset 2fa local admin\n")) {
		t.Errorf("enrolled again: status %d, it says %s", r.status, r.err)
	}
	next := string(totp.Code(secret, totp.StepAt(time.Now())+1))
	if r := s.check("admin", next); r.status != 0 || r.out != "Code of user `admin` is right, and used up now; 10 recovery codes left\n" {
		t.Errorf("status %d: %s%s", r.status, r.out, r.err)
	}
	if r := s.check("admin", next); r.status != 7 || !strings.Contains(r.err, "cannot take a code of admin: the code was used already") {
		t.Errorf("a second time: status %d: %s", r.status, r.err)
	}
	past := string(totp.Code(secret, totp.StepAt(time.Now())-20))
	if r := s.check("admin", past); r.status != 7 || !strings.Contains(r.err, "clock") {
		t.Errorf("of ten minutes ago: status %d: %s", r.status, r.err)
	}
	if r := s.check("admin", recovery[0]); r.status != 0 || !strings.Contains(r.out, "9 recovery codes left") {
		t.Errorf("a recovery code: status %d: %s%s", r.status, r.out, r.err)
	}
	if r := s.check("admin", recovery[0]); r.status != 7 {
		t.Errorf("a recovery code again: status %d", r.status)
	}
	renewed := recoveryCode.FindAllString(s.must(0, "user", "renew", "2fa", "codes", "admin").out, -1)
	if r := s.check("admin", recovery[1]); len(renewed) != 10 || r.status != 7 {
		t.Errorf("an old recovery code after a renewal: status %d, %q", r.status, renewed)
	}
	if r := s.check("admin", renewed[0]); r.status != 0 {
		t.Errorf("a new one: status %d: %s", r.status, r.err)
	}
}

func TestResetOfASecondFactor(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	if r := s.must(0, "user", "reset", "2fa", "local", "admin"); r.out != "User `admin` has no second factor: nothing was reset\n" {
		t.Errorf("it says %q", r.out)
	}
	_, recovery := s.enrolled("admin")
	for line, status := range map[string]int{
		"user reset 2fa admin": 2, "user reset 2fa nis admin": 2, "user reset 2fa": 2, "user reset 2fa local": 2, "user reset 2fa local admin --all": 2,
		"user reset 2fa local ghost": 5, "user reset 2fa ldap admin": 5, "user reset 2fa ldap ghost": 5,
		"user enrol 2fa ghost --stdin": 5, "user check 2fa ghost --stdin": 5, "user renew 2fa codes ghost": 5, "user set mail ghost a@b.net": 5,
		"user set mail admin": 2, "user set mail admin a@b.net --none": 2, "user set mail admin nobody": 2, "user renew 2fa codes user222": 1,
		"user check 2fa admin": 1, "user enrol 2fa user222": 1, // no terminal
	} {
		if r := s.run("", strings.Fields(line)...); r.status != status || r.out != "" {
			t.Errorf("%s: status %d, want %d: %s%s", line, r.status, status, r.out, r.err)
		}
	}
	if u := s.factor("admin"); u.Factor != factor.Enrolled || u.Recovery != 10 {
		t.Errorf("after commands that failed: %+v", u)
	}
	s.must(0, "user", "set", "mail", "admin", "admin@example.net")
	r := s.must(0, "user", "reset", "2fa", "local", "admin", "user222")
	if want := regexp.MustCompile("^Second factor of user `admin` reset; enrolment code `([a-z]{4}-){4}[a-z]{4}`\nUser `user222` has no second factor: nothing was reset\n$"); !want.MatchString(r.out) {
		t.Errorf("it says %q", r.out)
	}
	if u := s.factor("admin"); u.Factor != factor.None || u.Recovery != 0 || u.Mail != "admin@example.net" {
		t.Errorf("after the reset: %+v", u)
	}
	if r := s.check("admin", recovery[0]); r.status != 1 {
		t.Errorf("an old recovery code: status %d", r.status)
	}
	if list := s.read("/var/lib/shadowsync/enrolled"); list != "admin\tlocal\tenrol\t1000\n" {
		t.Errorf("the list is %q", list)
	}
	s.enrolled("admin")
	s.must(0, "user", "set", "mail", "admin", "--none")
	if u := s.factor("admin"); u.Mail != "" {
		t.Errorf("the address %q is kept", u.Mail)
	}
	passwd := s.read("/etc/passwd")
	s.write("/etc/passwd", 0o644, strings.Replace(passwd, "admin:", "anna:", 1))
	if r := s.must(0, "user", "reset", "2fa", "local", "admin"); !strings.Contains(r.out, "enrolment code `") {
		t.Errorf("of a renamed account it says %q", r.out)
	}
	s.write("/etc/passwd", 0o644, strings.Replace(passwd, "admin:x:1000:", "anna:x:1007:", 1))
	if r := s.must(0, "user", "reset", "2fa", "local", "admin"); r.out != "User `admin` is gone, and so is its second factor now\n" || s.read("/var/lib/shadowsync/enrolled") != "" {
		t.Errorf("of an account that is gone it says %q", r.out)
	}
}

func TestALostKey(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	secret, recovery := s.enrolled("admin")
	s.enrolled("user222")
	if err := os.Remove(s.path("/var/lib/shadowsync/factor.key")); err != nil {
		t.Fatal(err)
	}
	next := string(totp.Code(secret, totp.StepAt(time.Now())+1))
	if r := s.check("admin", next); r.status != 1 || !strings.Contains(r.err, "reset 2fa --all") {
		t.Errorf("status %d, it says %s", r.status, r.err)
	}
	if r := s.check("admin", recovery[0]); r.status != 0 {
		t.Errorf("a recovery code: status %d, %s", r.status, r.err)
	}
	if r := s.must(0, "user", "reset", "2fa", "--all"); strings.Count(r.out, "enrolment code `") != 2 {
		t.Errorf("it says %s", r.out)
	}
	s.enrolled("admin")
}

func TestAClockThatWasAhead(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	secret, _ := s.enrolled("admin")
	s.changeFactor(func(r *factor.Record) { r.Step += 100 })
	next := func() string { return string(totp.Code(secret, totp.StepAt(time.Now())+1)) }
	if r := s.check("admin", next()); r.status != 7 || !strings.Contains(r.err, "clock was ahead; no other is taken until 2") ||
		!strings.Contains(r.err, "hint: "+s.ours("user reset 2fa local --clock admin\n")) {
		t.Errorf("status %d, it says %s", r.status, r.err)
	}
	if r := s.must(0, "user", "reset", "2fa", "--clock", "admin", "user222"); !strings.HasPrefix(r.out, "Codes of user `admin` are valid again from now on\nUser `user222`") {
		t.Errorf("it says %s", r.out)
	}
	if r := s.check("admin", next()); r.status != 0 {
		t.Errorf("status %d, it says %s", r.status, r.err)
	}
}

// TestImportAndPicture: the app's present secret is taken over, and its QR code goes into a file.
func TestImportAndPicture(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	file, picture := filepath.Join(t.TempDir(), "google"), filepath.Join(t.TempDir(), "qr.png")
	const key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	if err := os.WriteFile(file, []byte(key+"\n\" RATE_LIMIT 3 30\n\" TOTP_AUTH\n12345678\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, recovery, r := s.enrol("admin", "--import", file, "--qr", picture)
	if r.status != 0 || len(recovery) != 10 || strings.ReplaceAll(totp.SetupKey(secret), " ", "") != key || !strings.Contains(r.err, "warning: not taken from") {
		t.Fatalf("status %d:\n%s%s", r.status, r.out, r.err)
	}
	if info, err := os.Stat(picture); err != nil || info.Mode().Perm() != 0o600 || info.Size() < 100 {
		t.Errorf("the picture: %v, %v", info, err)
	}
	for _, flags := range [][]string{{"--import", "/nothing"}, {"--import", picture}, {"--qr", picture}} {
		if _, _, r := s.enrol("user222", flags...); r.status == 0 || strings.Contains(r.out+r.err, key) {
			t.Errorf("%q: status %d, %s%s", flags, r.status, r.out, r.err)
		}
	}
}

// TestTheTrailOfASecondFactor: every change is in the audit, and no secret is.
func TestTheTrailOfASecondFactor(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	secret, recovery := s.enrolled("admin")
	next := string(totp.Code(secret, totp.StepAt(time.Now())+1))
	s.check("admin", next)
	s.check("admin", next)
	s.check("admin", recovery[0])
	recovery = append(recovery, recoveryCode.FindAllString(s.must(0, "user", "renew", "2fa", "codes", "admin").out, -1)...)
	reset := s.must(0, "user", "reset", "2fa", "local", "admin").out
	trail := s.must(0, "audit", "--json").out
	var found []string
	for line := range strings.Lines(trail) {
		var e struct{ Account, Application, Action string }
		if json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimSpace(line), ",")), &e) == nil && e.Account == "admin" && e.Action != "baseline" {
			found = append(found, e.Action)
			if e.Application != "conductor" {
				t.Errorf("%s: of the application %q", e.Action, e.Application)
			}
		}
	}
	if want := []string{"enrol-begun", "enrolled", "code-taken", "code-refused", "code-taken", "codes-renewed", "factor-reset", "logged-out"}; !slices.Equal(found, want) {
		t.Errorf("audited are %q, want %q", found, want)
	}
	hidden := append(recovery, next, totp.SetupKey(secret), strings.ReplaceAll(totp.SetupKey(secret), " ", ""), regexp.MustCompile("code `(.*)`").FindStringSubmatch(reset)[1])
	state := s.read("/var/lib/shadowsync/state/state.db") + s.read("/var/lib/shadowsync/enrolled")
	for _, text := range hidden {
		if strings.Contains(trail+state, text) {
			t.Errorf("%q is kept", text)
		}
	}
	if bytes.Contains([]byte(state), secret) {
		t.Error("the secret is in the state")
	}
}

// TestTheSecondFactorInJSON: json.md tells of it.
func TestTheSecondFactorInJSON(t *testing.T) {
	told, _ := documented(t)
	s := newSystem(t)
	s.must(0, "sync")
	_, recovery, r := s.enrol("admin", "--json")
	both := json.NewDecoder(strings.NewReader(r.out))
	var begun, enrolled map[string]any
	if err := both.Decode(&begun); err != nil {
		t.Fatalf("%v in %s%s", err, r.out, r.err)
	}
	if err := both.Decode(&enrolled); err != nil || len(recovery) != 10 {
		t.Fatalf("%v in %s", err, r.out)
	}
	if begun["second_factor"] != "pending" || enrolled["second_factor"] != "enrolled" || !strings.HasPrefix(begun["address"].(string), "otpauth://totp/") {
		t.Errorf("it prints %s", r.out)
	}
	object := func(name string, printed map[string]any) {
		for _, fault := range faults(told, name, printed) {
			t.Error(fault)
		}
	}
	object("second factor", begun)
	object("second factor", enrolled)
	for _, c := range []struct{ line, name string }{
		{"user check 2fa admin --stdin", "second factor"},
		{"user set mail admin a@b.net", "second factor"},
		{"user renew 2fa codes admin", "second factor"}, // the former codes are void then
		{"user show admin", "user"},
	} {
		var printed map[string]any
		r := s.run(recovery[0]+"\n", append(strings.Fields(c.line), "--json")...)
		r.object(t, &printed)
		object(c.name, printed)
	}
	var printed map[string]any
	s.must(5, "user", "reset", "2fa", "local", "admin", "user222", "ghost", "--json").object(t, &printed)
	object("second factors", printed)
	if n := len(printed["accounts"].([]any)); n != 3 {
		t.Errorf("%d accounts: %v", n, printed)
	}
}

// changeFactor changes what the state keeps of admin's factor.
func (s *system) changeFactor(change func(*factor.Record)) {
	s.t.Helper()
	db, err := state.OpenIn(s.t.Context(), s.root, engine.StateDir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	err = db.ChangeFactor(s.t.Context(), factor.Subject{Realm: factor.Local, Account: "admin"}, func(r factor.Record) (factor.Change, error) {
		change(&r)
		return factor.Change{Record: r}, nil
	}, func([]factor.Record, bool) error { return nil })
	if err != nil {
		s.t.Fatal(err)
	}
}
