package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/systemd"
)

func TestSetupArguments(t *testing.T) {
	o := setupOptions{accounts: []string{"admin"}, driver: "json"}
	if err := o.take([]string{"user222", "path=/a=b", "users=/u"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"driver": "json", "path": "/a=b", "users": "/u"}
	if !slices.Equal(o.accounts, []string{"admin", "user222"}) || !maps.Equal(o.store(), want) {
		t.Errorf("got %v, %v", o.accounts, o.store())
	}
	if (&setupOptions{}).store() != nil {
		t.Error("a store that nobody named")
	}
	for _, bad := range []setupOptions{{first: "both"}, {keys: []string{"path=/x"}}} {
		if err := bad.take(nil); err == nil {
			t.Errorf("%+v passed", bad)
		}
	}
}

// install adds the installed files that setup looks for.
func (s *system) install() {
	s.t.Helper()
	s.write("/etc/systemd/system/128T.service", 0o644, "[Service]\nExecStart=/bin/true\n")
	s.write(systemd.DefaultBinary, 0o755, "")
	for _, module := range []string{"pam_permit.so", "pam_shadowsync.so"} {
		s.write("/usr/lib/security/"+module, 0o644, "")
	}
	if err := systemd.WriteUnits(s.path("/usr/lib/systemd/system"), systemd.DefaultBinary); err != nil {
		s.t.Fatal(err)
	}
}

// TestSetupStopsAtADifference: nothing is wired before a person has decided.
func TestSetupStopsAtADifference(t *testing.T) {
	s := newSystem(t)
	s.install()
	s.usermod("admin", s.hash("another"))
	if r := s.run("", "setup", "--dry-run"); r.status != 4 || !strings.Contains(r.out+r.err, "OS and credential store differ") {
		t.Errorf("dry run: status %d\n%s%s", r.status, r.out, r.err)
	}
	s.must(0, "setup", "--dry-run", "--first", "os")
	r := s.run("", "setup")
	if r.status != 4 || !strings.Contains(r.out, "sha256crypt") || !strings.Contains(r.err, "hint: "+s.ours("setup --first os (or --first store)")) {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
	if _, err := os.Stat(s.path("/etc/systemd/system/128T.service.d")); !os.IsNotExist(err) {
		t.Errorf("hooks were installed: %v", err)
	}
	s.last("failed", "setup", "")
	former := s.storePassword("admin")
	s.must(0, "setup", "--first", "os")
	s.last("set-up", "setup", "drop-ins")
	if s.storePassword("admin") == former {
		t.Fatal("the store was not set")
	}
	s.must(0, "history", "restore", "admin", "1") // the store's former password can be put back
	if got := s.storePassword("admin"); got != former {
		t.Errorf("the store's former password is not in the history: it has %q", got)
	}
	s.must(0, "remove")
	s.last("removed", "remove", "drop-ins")
	s.must(0, "remove") // finds nothing to do
	s.last("removed", "remove", "drop-ins")
}

// last checks the newest audit record.
func (s *system) last(action, verb, reason string) {
	s.t.Helper()
	var trail struct{ Events []auditRecord }
	s.must(0, "audit", "--json").object(s.t, &trail)
	if len(trail.Events) == 0 {
		s.t.Fatal("nothing is on record")
	}
	if e := trail.Events[len(trail.Events)-1]; e.Action != action || e.Origin.Verb != verb || !strings.Contains(e.Reason, reason) || e.Origin.By != "root" {
		s.t.Errorf("the last on record is %+v", e)
	}
}

func TestSetupWithoutAnything(t *testing.T) {
	s := newSystem(t)
	if err := os.Remove(s.path("/etc/shadowsync/shadowsync.toml")); err != nil {
		t.Fatal(err)
	}
	if r := s.must(2, "setup"); !strings.Contains(r.err, "hint: "+s.ours(strings.TrimPrefix(setupHint, "shadowsync "))) {
		t.Errorf("it says:\n%s", r.err)
	}
	// Without a named store the application would read none of the persisted passwords.
	r := s.must(2, "setup", "--unit", "128T", "--account", "admin", "user222")
	for _, text := range []string{"--store is missing", `"json"`, `"sqlite"`, "hint: for example: " + s.ours("setup --unit 128T.service --account admin user222 --store json path=")} {
		if !strings.Contains(r.err, text) {
			t.Errorf("it does not say %q:\n%s", text, r.err)
		}
	}
	s.must(2, "setup", "--first", "both")
	if r := s.must(1, "doctor"); !strings.Contains(r.err, "running system") {
		t.Errorf("it says:\n%s", r.err)
	}
}

// A failed setup says that it took its configuration back, and remove says of what it leaves that it
// is there.
func TestSetupSaysWhatItTakesBack(t *testing.T) {
	s := newSystem(t)
	s.install()
	if err := os.Remove(s.path("/etc/shadowsync/shadowsync.toml")); err != nil {
		t.Fatal(err)
	}
	good := s.read("/srv/appliance/users.json")
	s.write("/srv/appliance/users.json", 0o600, "{")
	line := []string{"setup", "--unit", "128T", "--account", "admin", "--store", "json", "path=/srv/appliance/users.json", "users=/user", "name=name", "password=password"}
	if r := s.run("", line...); r.status == 0 || strings.HasPrefix(r.out, "done ") || !strings.Contains(r.out, "undone    configuration") {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
	if _, err := os.Stat(s.path("/etc/shadowsync/shadowsync.toml")); !os.IsNotExist(err) {
		t.Errorf("the configuration is left: %v", err)
	}
	s.write("/srv/appliance/users.json", 0o600, good)
	s.write("/etc/shells", 0o644, "/bin/sh\n")
	s.write("/usr/bin/pcli", 0o755, "")
	s.must(0, line...)
	if r := s.must(0, "remove", "--dry-run"); !strings.Contains(r.out, "will      delete /etc/shadowsync/shadowsync.toml") || strings.Contains(r.out, "to do") {
		t.Errorf("the plan is\n%s", r.out)
	}
	// After the state was lost, nothing says what setup wrote.
	if err := os.RemoveAll(s.path("/var/lib/shadowsync")); err != nil {
		t.Fatal(err)
	}
	r := s.must(0, "remove")
	for _, text := range []string{
		"left out  no hooks around 128T.service\n", "left out  no line of ours in /etc/shells\n", "left out  no /etc/shadowsync/shadowsync.toml\n",
		"/etc/shells lists /usr/bin/pcli, and no record says", "no record says that setup wrote /etc/shadowsync/shadowsync.toml",
	} {
		if !strings.Contains(r.out, text) {
			t.Errorf("remove does not say %q:\n%s", text, r.out)
		}
	}
}

// TestRemoveLeavesAConfigurationThatItDidNotWrite: it says so, and not that the file is gone.
func TestRemoveLeavesAConfigurationThatItDidNotWrite(t *testing.T) {
	s := newSystem(t)
	s.install()
	s.must(0, "setup", "--first", "os")
	s.write("/var/lib/shadowsync/state/configuration.toml", 0o600, "# the broker's copy\n")
	r := s.must(0, "remove")
	for _, text := range []string{"done      no copy of the last good configuration\n", "left out  no /etc/shadowsync/shadowsync.toml\n", "no record says that setup wrote"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("remove does not say %q:\n%s", text, r.out)
		}
	}
	if _, err := os.Stat(s.path("/etc/shadowsync/shadowsync.toml")); err != nil {
		t.Errorf("the configuration is gone: %v", err)
	}
}
