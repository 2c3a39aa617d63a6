package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func opens(t *testing.T, hash, token string) bool {
	t.Helper()
	ok, err := crypt.Verify(hash, []byte(token))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func (s *system) account(name string) accountStatus {
	s.t.Helper()
	var status systemStatus
	s.must(0, "status", "--json").object(s.t, &status)
	for _, a := range status.Applications[0].Accounts {
		if a.Name == name {
			return a
		}
	}
	s.t.Fatalf("no account %s in %+v", name, status)
	return accountStatus{}
}

// TestStatusBeforeSetup: status must not create a state.
func TestStatusBeforeSetup(t *testing.T) {
	s := newSystem(t)
	if got := s.account("admin"); got.State != shadowsync.Queued {
		t.Errorf("got %+v", got)
	}
	s.must(3, "status", "--check")
	if _, err := os.Stat(s.path(engine.StateDir)); !os.IsNotExist(err) {
		t.Errorf("status made %s: %v", engine.StateDir, err)
	}
}

func TestStatusChangesNothing(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "status", "--check")
	s.usermod("admin", s.hash("rescue"))
	before := s.read("/etc/shadow") + s.read("/srv/appliance/users.json") + s.read(engine.StateDir+"/"+state.FileName)
	if got := s.account("admin"); got.State != shadowsync.Queued {
		t.Errorf("got %+v", got)
	}
	s.must(3, "status", "--check")
	s.must(0, "sync", "--dry-run")
	if after := s.read("/etc/shadow") + s.read("/srv/appliance/users.json") + s.read(engine.StateDir+"/"+state.FileName); after != before {
		t.Error("something changed")
	}
}

// TestRescue: sync carries over a password that was set while shadowsync was not running.
func TestRescue(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	rescue := s.hash("rescue")
	s.usermod("admin", rescue)
	r := s.must(0, "sync", "admin")
	if !strings.Contains(r.out, "adopted") {
		t.Errorf("it says:\n%s", r.out)
	}
	if got := s.storePassword("admin"); got != rescue {
		t.Errorf("the store holds %q", got)
	}
	s.must(0, "status", "--check")
}

func TestSetPassword(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.usermod("admin", "!"+s.osField("admin", 2)) // locked; root's passwd removes the lock
	other := s.osField("user222", 2)
	r := s.run("correct horse\nnext line", "user", "set", "password", "admin", "--stdin")
	if r.status != 0 {
		t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	want := "Password for user `admin` set\nshadowsync: admin: persisted in conductor's credential store\n"
	if r.out != want {
		t.Errorf("it says %q, want %q", r.out, want)
	}
	hash := s.osField("admin", 2)
	if !strings.HasPrefix(hash, "$5$rounds=1000$") || !opens(t, hash, "correct horse") || s.storePassword("admin") != hash {
		t.Errorf("OS %q, store %q", hash, s.storePassword("admin"))
	}
	if day, _ := strconv.Atoi(s.osField("admin", 3)); shadowsync.Day(day) != shadowsync.DayOf(time.Now()) {
		t.Errorf("last change %d, today %d", day, shadowsync.DayOf(time.Now()))
	}
	if s.osField("user222", 2) != other {
		t.Error("another account changed")
	}
	s.must(0, "status", "--check")
	if got := s.account("admin").LastChange; got == nil || got.SeenBy != shadowsync.SeenByTool || got.By != "root" {
		t.Errorf("last change %+v", got)
	}
}

// TestSetPasswordForAnotherFormat: a store whose application cannot verify the OS's hash gets a
// hash of its own.
func TestSetPasswordForAnotherFormat(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, strings.Replace(testConfig, "driver ", "formats = [\"sha512crypt\"]\ndriver ", 1))
	r := s.must(0, "user", "set", "password", "admin", "secret")
	if !strings.Contains(r.err, "warning") {
		t.Errorf("no warning of a password on the command line: %q", r.err)
	}
	if os, store := s.osField("admin", 2), s.storePassword("admin"); !strings.HasPrefix(store, "$6$") || !opens(t, store, "secret") || !opens(t, os, "secret") {
		t.Errorf("OS %q, store %q", os, store)
	}
}

func TestSetPasswordRefuses(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	before := s.read("/etc/shadow")
	for name, tc := range map[string]struct {
		stdin  string
		line   []string
		status int
		hint   string
	}{
		"empty":           {"\n", []string{"admin", "--stdin"}, 6, ""},
		"too long":        {strings.Repeat("x", 512) + "\n", []string{"admin", "--stdin"}, 6, ""},
		"NUL":             {"a\x00b\n", []string{"admin", "--stdin"}, 6, ""},
		"newline":         {"", []string{"admin", "a\nb"}, 6, ""},
		"unknown account": {"", []string{"nobody", "x"}, 5, "hint: " + s.ours("user list")},
		"two sources":     {"x\n", []string{"admin", "x", "--stdin"}, 2, "hint: " + s.ours("user set password --help")},
		"no terminal":     {"", []string{"admin"}, 1, "--stdin"},
		"bad descriptor":  {"", []string{"admin", "--fd", "987"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run(tc.stdin, append([]string{"user", "set", "password"}, tc.line...)...)
			if r.status != tc.status || !strings.Contains(r.err, tc.hint) || !strings.Contains(r.err, "shadowsync: cannot") {
				t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
			}
		})
	}
	if s.read("/etc/shadow") != before {
		t.Error("something was set")
	}
}

func TestPendingAndDrained(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	if err := os.Rename(s.path("/srv/appliance"), s.path("/srv/away")); err != nil {
		t.Fatal(err)
	}
	s.must(9, "sync")
	r := s.must(3, "user", "set", "password", "admin", "secret")
	if !strings.Contains(r.out, "NOT persisted (store: ") || !strings.Contains(r.err, "hint: "+s.ours("status")) {
		t.Errorf("it says:\n%s%s", r.out, r.err)
	}
	if !opens(t, s.osField("admin", 2), "secret") {
		t.Error("the OS side was not set")
	}
	if got := s.account("admin"); got.State != shadowsync.Pending || got.PendingSince == nil || got.Reason == nil {
		t.Errorf("got %+v", got)
	}
	s.must(3, "sync", "admin")
	if err := os.Rename(s.path("/srv/away"), s.path("/srv/appliance")); err != nil {
		t.Fatal(err)
	}
	s.must(0, "sync", "admin")
	if !opens(t, s.storePassword("admin"), "secret") {
		t.Error("the change was not drained")
	}
	s.must(0, "status", "--check")
}

// TestMalformed: while the store cannot be read, no side can be preferred.
func TestMalformed(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	whole := s.read("/srv/appliance/users.json")
	s.write("/srv/appliance/users.json", 0o600, "{")
	if r := s.must(4, "sync"); !strings.Contains(r.err, "cannot compare with the store: store: line") {
		t.Errorf("it says:\n%s", r.err)
	}
	r := s.must(4, "user", "set", "password", "admin", "secret")
	if !strings.Contains(r.err, "hint: repair the store, then: "+s.ours("sync admin\n")) {
		t.Errorf("it says:\n%s", r.err)
	}
	if r := s.must(0, "status"); strings.Contains(r.out, "--prefer") || !strings.Contains(r.out, "store: malformed: cannot parse /srv/appliance/users.json, line 1: ") {
		t.Errorf("it says:\n%s", r.out)
	}
	s.write("/srv/appliance/users.json", 0o600, whole)
	s.must(0, "sync", "admin")
	if !opens(t, s.storePassword("admin"), "secret") {
		t.Error("the change was not drained")
	}
}

// TestMalformedRecord: an account whose store record cannot be read is in conflict; the others are
// synced.
func TestMalformedRecord(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	whole := s.read("/srv/appliance/users.json")
	s.setStore("admin", strings.Repeat("x", 5000))
	s.must(0, "user", "set", "password", "user222", "secret222")
	if !opens(t, s.storePassword("user222"), "secret222") {
		t.Error("user222's change did not reach the store")
	}
	r := s.must(4, "user", "set", "password", "admin", "secret")
	if !strings.Contains(r.err, "hint: repair the store, then: "+s.ours("sync admin\n")) {
		t.Errorf("it says:\n%s", r.err)
	}
	if r := s.must(4, "--quiet", "sync"); !strings.Contains(r.err, "together: conflict: admin\nhint: ") || r.out != "" {
		t.Errorf("with --quiet it says:\n%s%s", r.out, r.err)
	}
	if got := s.account("admin"); got.State != shadowsync.Conflict || !strings.Contains(*got.Reason, "is not a string of at most") {
		t.Errorf("admin is %+v", got)
	}
	if r := s.must(3, "status", "--check"); strings.Contains(r.out, "--prefer") || !strings.Contains(r.out, "store json (ok)") {
		t.Errorf("it says:\n%s", r.out)
	}
	s.write("/srv/appliance/users.json", 0o600, whole)
	s.must(0, "sync")
	s.must(0, "status", "--check")
	if !opens(t, s.storePassword("admin"), "secret") {
		t.Error("the change was not drained")
	}
}

// TestConflict: one account is settled by hand; the other stays unchanged.
func TestConflict(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	byRoot, byApp := s.hash("root's"), s.hash("application's")
	for _, name := range []string{"admin", "user222"} {
		s.usermod(name, byRoot)
		s.setStore(name, byApp)
	}
	r := s.must(4, "sync")
	if !strings.Contains(r.err, "hint: "+s.ours("sync admin user222 --prefer os (or --prefer store)")) {
		t.Errorf("it says:\n%s", r.err)
	}
	if got := s.account("admin"); got.State != shadowsync.Conflict {
		t.Errorf("got %+v", got)
	}
	s.must(0, "sync", "admin", "--prefer", "os")
	if s.storePassword("admin") != byRoot || s.osField("user222", 2) != byRoot || s.storePassword("user222") != byApp {
		t.Errorf("stores %q, %q", s.storePassword("admin"), s.storePassword("user222"))
	}
	s.must(4, "sync")
	s.must(0, "sync", "--prefer", "store", "user222")
	if s.osField("user222", 2) != byApp {
		t.Errorf("OS %q", s.osField("user222", 2))
	}
	s.must(0, "status", "--check")
	if r := s.must(0, "audit", "--user", "admin"); !strings.Contains(r.out, "preferred") {
		t.Errorf("the decision is not on record:\n%s", r.out)
	}
}

func TestHistoryRestore(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "second")
	s.must(0, "user", "set", "password", "admin", "third")
	r := s.must(0, "history", "admin")
	if strings.Contains(r.out, "$") || !strings.Contains(r.out, "sha256crypt") {
		t.Errorf("it says:\n%s", r.out)
	}
	s.must(0, "history", "restore", "admin", "2")
	if !opens(t, s.osField("admin", 2), "old") || s.storePassword("admin") != s.osField("admin", 2) {
		t.Error("the second but last password is not back")
	}
	if r := s.must(1, "history", "restore", "admin", "9"); !strings.Contains(r.err, "there is no entry 9") {
		t.Errorf("it says:\n%s", r.err)
	}
	s.must(2, "history", "restore", "admin", "0")
	s.must(5, "history", "nobody")
}

func TestAudit(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "secret")
	var trail struct{ Events []auditRecord }
	s.must(0, "audit", "--json", "--user", "admin").object(t, &trail)
	i := slices.IndexFunc(trail.Events, func(r auditRecord) bool { return r.Action == "adopted" })
	if i < 0 {
		t.Fatalf("the change is not on record: %+v", trail.Events)
	}
	adopted := trail.Events[i]
	if adopted.Account != "admin" || adopted.Origin.SeenBy != shadowsync.SeenByTool || adopted.Seq == 0 {
		t.Errorf("got %+v", adopted)
	}
	if r := s.must(0, "audit", "--verify"); !strings.Contains(r.out, "records are good") {
		t.Errorf("it says %q", r.out)
	}
	if r := s.must(0, "audit", "--since", "2100-01-01"); r.out != "" {
		t.Errorf("the future has:\n%s", r.out)
	}
	if r := s.must(0, "audit", "--since", "yesterday", "--until", "now", "--action", "adopted", "--tail", "1"); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, "adopted") {
		t.Errorf("the last adopted change is:\n%s", r.out)
	}
	for _, name := range []string{"conductor", "128T.service", "128T"} {
		if r := s.must(0, "audit", "--application", name, "--action", "adopted"); !strings.Contains(r.out, "adopted") {
			t.Errorf("the application %s has:\n%s", name, r.out)
		}
	}
	if r := s.must(5, "audit", "--application", "router"); !strings.Contains(r.err, `there is no application "router", and no audit record is about it`) || r.out != "" {
		t.Errorf("an unknown application: %q, %q", r.out, r.err)
	}
	for _, empty := range [][]string{{"--until", "yesterday"}, {"--by", "nobody"}, {"--action", "nothing"}} {
		if r := s.must(0, append([]string{"audit"}, empty...)...); r.out != "" {
			t.Errorf("%v shows:\n%s", empty, r.out)
		}
	}
	for _, wrong := range [][]string{
		{"--since", "soon"}, {"--until", "soon"}, {"--tail", "0"}, {"--tail", "-1"}, {"--since", "1h", "--until", "2h"}, {"--verify", "--user", "admin"},
	} {
		s.must(2, append([]string{"audit"}, wrong...)...)
	}
	r := s.must(5, "audit", "--user", "amdin")
	if !strings.Contains(r.err, `no application manages an account "amdin", and no audit record is about it`) || !strings.Contains(r.err, "hint: "+s.ours("user list")) || r.out != "" {
		t.Errorf("an unknown user: %q, %q", r.out, r.err)
	}
	hash := regexp.MustCompile(`\$[0-9a-z]+\$[^$"]`)
	if r := s.must(0, "audit", "--json"); hash.MatchString(r.out) {
		t.Errorf("a hash is in the trail:\n%s", r.out)
	}
}

// TestAuditTampered: verification finds a record that was altered in the file.
func TestAuditTampered(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "secret")
	path := engine.StateDir + "/" + state.FileName
	text := s.read(path)
	tampered := strings.ReplaceAll(text, `"action":"adopted"`, `"action":"ADOPTED"`)
	if tampered == text {
		t.Fatal("nothing was altered: the trail is written down in another way")
	}
	s.write(path, 0o600, tampered)
	r := s.must(1, "audit", "--verify")
	if !strings.Contains(r.err, "cannot confirm the audit trail") || !strings.Contains(r.err, "hint: ") {
		t.Errorf("it says:\n%s", r.err)
	}
}

// TestUserListTellsAgeing: the list shows until when a password is valid, and since when a change
// has been waiting.
func TestUserListTellsAgeing(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.chage("admin", 5, "30")
	s.chage("admin", 8, "47482")
	s.must(0, "sync")
	holds := func(line string) {
		t.Helper()
		if r := s.must(0, "user", "list"); !regexp.MustCompile("(?m)^" + line + "$").MatchString(r.out) {
			t.Errorf("%q is not in:\n%s", line, r.out)
		}
	}
	holds("NAME +APPLICATION +STATE +OS +STORE +CHANGED +VALID UNTIL +SESSIONS +NOTES")
	holds("admin +conductor +in-sync +sha256crypt +sha256crypt +2022-01-08 +2022-02-07 +[?] +account expires 2100-01-01")
	holds("user222 +conductor +in-sync +sha256crypt +sha256crypt +2022-01-08 +[?]")
	if err := os.Rename(s.path("/srv/appliance"), s.path("/srv/away")); err != nil {
		t.Fatal(err)
	}
	s.must(3, "user", "set", "password", "user222", "Waiting-4711", "--no-policy")
	holds("user222 +conductor +pending +sha256crypt +- +[0-9-]{10} +[?] +since [0-9-]{10} [0-9:]{8}")
}

func TestUserListAndShow(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.usermod("user222", "!"+s.osField("user222", 2))
	s.must(0, "sync")
	r := s.must(0, "user", "list")
	for _, want := range []string{"admin", "user222", "sha256crypt", "locked", "in-sync"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%q is not in:\n%s", want, r.out)
		}
	}
	var u userStatus
	s.must(0, "user", "show", "user222", "--json").object(t, &u)
	if u.UID == nil || *u.UID != 1001 || !*u.OS.Locked || !*u.Store.Locked || u.Store.Max != nil || *u.OS.Max != 99999 {
		t.Errorf("got %+v, OS %+v, store %+v", u, u.OS, u.Store)
	}
	if r := s.must(0, "user", "show", "admin"); strings.Contains(r.out, "$5$") {
		t.Errorf("a hash is shown:\n%s", r.out)
	}
}

func TestQuietAndMounted(t *testing.T) {
	s := newSystem(t)
	if r := s.must(0, "sync", "--quiet"); r.out != "" {
		t.Errorf("it says %q", r.out)
	}
	s.must(5, "sync", "nobody")
	s.must(2, "sync", "--prefer", "both")
	s.must(1, "guard", "hold")
	s.must(5, "guard", "status", "other.service")
	s.must(0, "hook", "pre-start", "--unit", "128T.service")
	s.must(5, "hook", "pre-start", "--unit", "other.service")
	s.must(2, "hook", "sometimes", "--unit", "128T.service")
}
