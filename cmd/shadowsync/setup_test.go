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

// install puts on the system what make install does, as far as setup looks for it.
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

// TestSetupStopsAtADifference: nothing is wired before somebody decided.
func TestSetupStopsAtADifference(t *testing.T) {
	s := newSystem(t)
	s.install()
	s.usermod("admin", s.hash("another"))
	r := s.run("", "setup")
	if r.status != 4 || !strings.Contains(r.out, "sha256crypt") || !strings.Contains(r.err, "hint: shadowsync setup --first os (or --first store)") {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
	if _, err := os.Stat(s.path("/etc/systemd/system/128T.service.d")); !os.IsNotExist(err) {
		t.Errorf("hooks were installed: %v", err)
	}
	s.last("failed", "setup", "")
	s.must(0, "setup", "--first", "os")
	s.last("set-up", "setup", "drop-ins")
	s.must(0, "remove")
	s.last("removed", "remove", "drop-ins")
	s.must(0, "remove") // which finds nothing to do
	s.last("removed", "remove", "drop-ins")
}

// last holds what the newest record of the trail says.
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
	if r := s.must(2, "setup"); !strings.Contains(r.err, "hint: "+setupHint) {
		t.Errorf("it says:\n%s", r.err)
	}
	s.must(2, "setup", "--first", "both")
	if r := s.must(1, "doctor"); !strings.Contains(r.err, "running system") {
		t.Errorf("it says:\n%s", r.err)
	}
}
