package main

import (
	"os"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestBackupAndRestore(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	s.must(0, "user", "set", "password", "admin", "first")
	file := s.path("/backup")
	if r := s.run("secret phrase\n", "backup", file, "--stdin"); r.status != 0 {
		t.Fatalf("status %d\n%s", r.status, r.err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if text := s.read("/backup"); strings.Contains(text, "$5$") || strings.Contains(text, "admin") {
		t.Error("the file is not sealed")
	}
	s.must(0, "user", "lock", "user222")
	for passphrase, status := range map[string]int{"wrong phrase\n": 1, "\n": 6} {
		if r := s.run(passphrase, "restore", file, "--stdin"); r.status != status {
			t.Errorf("%q: status %d\n%s", passphrase, r.status, r.err)
		}
	}
	if r := s.run("secret phrase\n", "restore", file, "--stdin"); r.status != 0 {
		t.Fatalf("status %d\n%s", r.status, r.err)
	}
	if len(s.trail("user222")) != 1 { // the baseline; the lock came later
		t.Errorf("the trail is not the backup's: %+v", s.trail("user222"))
	}
	trail := s.must(0, "audit").out
	if !strings.Contains(trail, "restored") || !strings.Contains(trail, "the trail before ended with record") {
		t.Errorf("the trail:\n%s", trail)
	}
	s.must(0, "audit", "--verify")
	s.must(0, "sync")
	if s.osField("user222", 2)[0] != '!' || s.storePassword("user222") != s.osField("user222", 2) {
		t.Errorf("the OS's lock is gone: %q", s.osField("user222", 2))
	}
}

// TestRestoreKeepsWhatItReplaces: the wrong backup and then the right one, and all that
// was there in between can be put back, the embedded store with it.
func TestRestoreKeepsWhatItReplaces(t *testing.T) {
	s := newSystem(t)
	const sqlite = "[[application]]\nname = \"conductor\"\nunit = \"128T.service\"\naccounts = [\"admin\"]\n"
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, sqlite)
	s.install()
	s.must(0, "setup")
	s.must(0, "user", "set", "password", "admin", "backed up", "--no-policy")
	file := s.path("/backup")
	seal := func(verb string) result {
		r := s.run("secret phrase\n", verb, file, "--stdin", "--json")
		if r.status != 0 {
			t.Fatalf("%s: status %d\n%s", verb, r.status, r.err)
		}
		return r
	}
	seal("backup")
	s.must(0, "user", "set", "password", "admin", "the real one", "--no-policy")
	real := s.osField("admin", 2)
	var first, second backupResult
	seal("restore").object(t, &first)
	seal("restore").object(t, &second)
	if first.Replaced == second.Replaced || first.Replaced == "" {
		t.Fatalf("the first replaced state is in %q, the second in %q", first.Replaced, second.Replaced)
	}
	for _, name := range []string{"", "/manifest.json", "/state.db", "/store-conductor.db"} {
		if info, err := os.Stat(first.Replaced + name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if strings.Contains(s.must(0, "audit").out, real) || s.account("admin").State == shadowsync.InSync {
		t.Error("the backup was not restored: the test proves nothing")
	}
	s.must(0, "restore", first.Replaced)
	s.must(0, "status", "--check")
	s.must(0, "audit", "--verify")
	if err := os.Truncate(second.Replaced+"/store-conductor.db", 5000); err != nil {
		t.Fatal(err)
	}
	s.must(1, "restore", second.Replaced)
	s.must(1, "restore", s.path("/etc"))
	s.must(0, "status", "--check")
}

func TestBackupForARecipient(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := s.path("/backup")
	s.must(2, "backup", file, "--recipient", "age1nonsense")
	s.must(0, "backup", file, "--recipient", key.Recipient().String())
	s.write("/key", 0o600, key.String()+"\n")
	s.must(0, "restore", file, "--identity", s.path("/key"))
	// Cut off, altered, something else: nothing changes.
	text := s.read("/backup")
	state := s.must(0, "audit").out
	for name, broken := range map[string]string{
		"cut off": text[:len(text)-20], "altered": text[:len(text)/2] + "x" + text[len(text)/2+1:], "another file": "root:x:0:0\n", "empty": "",
	} {
		s.write("/broken", 0o600, broken)
		if r := s.must(1, "restore", s.path("/broken"), "--identity", s.path("/key")); !strings.Contains(r.err, "cannot read the backup") {
			t.Errorf("%s: it says\n%s", name, r.err)
		}
	}
	if now := s.must(0, "audit").out; !strings.HasPrefix(now, state) || strings.Count(now, "restored") != 1 {
		t.Errorf("the trail:\n%s", now)
	}
}
