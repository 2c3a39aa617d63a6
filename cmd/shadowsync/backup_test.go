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
	if text := s.read("/backup"); strings.Contains(text, s.osField("admin", 2)) || strings.Contains(text, "user222") { // shorter texts are in random bytes sometimes
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
	if len(s.trail("user222")) != 1 { // the baseline; the lock came after the backup
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

// TestRestoreKeepsWhatItReplaces: after restoring a wrong backup and then the right one, everything
// replaced in between can be put back, the embedded store too.
func TestRestoreKeepsWhatItReplaces(t *testing.T) {
	s := newSystem(t)
	const sqlite = "[[application]]\nname = \"conductor\"\nunit = \"128T.service\"\naccounts = [\"admin\"]\nstore.driver = \"sqlite\"\n"
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
	// A truncated, an altered or an unrelated file changes nothing.
	text := s.read("/backup")
	state := s.must(0, "audit").out
	for name, broken := range map[string]string{
		"cut off": text[:len(text)-20], "altered": text[:len(text)/2] + string([]byte{text[len(text)/2] ^ 1}) + text[len(text)/2+1:], "another file": "root:x:0:0\n", "empty": "",
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

// newStock makes a wired system with an embedded store, whose admin has this password.
func newStock(t *testing.T, password string) *system {
	t.Helper()
	s := newSystem(t)
	s.write("/etc/shadowsync/shadowsync.toml", 0o600, "[node]\nname = \"node1\"\n[[application]]\nname = \"conductor\"\nunit = \"128T.service\"\naccounts = [\"admin\", \"user222\"]\n[application.store]\ndriver = \"sqlite\"\n")
	s.write("/etc/machine-id", 0o444, strings.Repeat("a", 32)+"\n")
	s.install()
	s.must(0, "setup")
	s.must(0, "user", "set", "password", "admin", password, "--no-policy")
	return s
}

// carry copies a backup from one system to another.
func carry(t *testing.T, from, to *system) string {
	t.Helper()
	file := from.path("/backup")
	if r := from.run("secret phrase\n", "backup", file, "--stdin", "--force"); r.status != 0 {
		t.Fatalf("status %d\n%s", r.status, r.err)
	}
	to.write("/carried", 0o600, from.read("/backup"))
	return to.path("/carried")
}

// restores runs restore and returns which side wins for admin.
func (s *system) restores(status int, args ...string) (backupResult, string) {
	s.t.Helper()
	r := s.run("secret phrase\n", append([]string{"restore", "--stdin", "--json"}, args...)...)
	if r.status != status {
		s.t.Fatalf("status %d\n%s%s", r.status, r.out, r.err)
	}
	var result backupResult
	r.object(s.t, &result)
	for _, line := range result.Plan {
		if line.Account == "admin" {
			return result, line.Wins
		}
	}
	s.t.Fatalf("the plan has no admin: %s", r.out)
	return result, ""
}

// TestRestoreElsewhere: on another machine nothing is applied without a choice. Each choice has its
// documented effect, and every losing value is in the history.
func TestRestoreElsewhere(t *testing.T) {
	old := newStock(t, "backed up")
	known := old.osField("admin", 2)
	for prefer, wins := range map[string]string{"": winsHeld, "os": winsOS, "store": winsStore, "baseline": winsBaseline} {
		t.Run("prefer "+prefer, func(t *testing.T) {
			for name, fresh := range map[string]*system{"set up": newStock(t, "of the fresh machine"), "bare": newSystem(t)} {
				fresh.write("/etc/shadowsync/shadowsync.toml", 0o600, old.read("/etc/shadowsync/shadowsync.toml"))
				fresh.write("/etc/machine-id", 0o444, strings.Repeat("b", 32)+"\n")
				file := carry(t, old, fresh)
				present := fresh.osField("admin", 2)
				held, args := 4, []string{file}
				if prefer != "" {
					held, args = 0, append(args, "--prefer", prefer)
				}
				if r, who := fresh.restores(held, append(args, "--dry-run")...); who != wins || r.Elsewhere == "" || fresh.osField("admin", 2) != present {
					t.Errorf("%s: the dry run says %s, %q", name, who, r.Elsewhere)
				}
				if _, who := fresh.restores(held, args...); who != wins {
					t.Errorf("%s: %s wins", name, who)
				}
				if prefer == "" {
					fresh.run("", "sync")
					if fresh.osField("admin", 2) != present || fresh.account("admin").State != shadowsync.Conflict {
						t.Errorf("%s: held, and applied", name)
					}
					if r := fresh.must(0, "history", "admin"); !strings.Contains(r.out, "1 ") {
						t.Errorf("%s: the history is\n%s", name, r.out)
					}
					fresh.must(0, "history", "restore", "admin", "1")
					fresh.must(0, "history", "restore", "user222", "1")
				}
				want := map[string]string{"": known, "os": present, "store": known, "baseline": known}[prefer]
				if got := fresh.osField("admin", 2); got != want {
					t.Errorf("%s: the OS holds %s", name, got)
				}
				fresh.must(0, "sync")
				fresh.must(0, "audit", "--verify")
				if state := fresh.account("admin").State; state != shadowsync.InSync {
					t.Errorf("%s: admin is %s", name, state)
				}
			}
		})
	}
}

// TestRestoreHereIsNotHeld: a change made after the backup counts, as after any change.
func TestRestoreHereIsNotHeld(t *testing.T) {
	s := newStock(t, "backed up")
	file := carry(t, s, s)
	s.must(0, "user", "set", "password", "admin", "later", "--no-policy")
	later := s.osField("admin", 2)
	if r, who := s.restores(0, file, "--dry-run"); who != winsOS || r.Elsewhere != "" || r.Replaced != "" {
		t.Errorf("the dry run says %s, %q, %q", who, r.Elsewhere, r.Replaced)
	}
	if _, who := s.restores(0, file); who != winsOS {
		t.Errorf("%s wins", who)
	}
	s.must(0, "sync")
	if s.osField("admin", 2) != later || s.account("admin").State != shadowsync.InSync {
		t.Error("the change since is undone")
	}
}

// TestBackupSentences: each mistake has its own message with the next command.
func TestBackupSentences(t *testing.T) {
	s := newSystem(t)
	s.must(0, "sync")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s.write("/key", 0o600, key.String()+"\n")
	s.write("/other", 0o600, other.String()+"\n")
	s.write("/no-key", 0o600, "hello\n")
	phrase, keyed := s.path("/phrase.age"), s.path("/keyed.age")
	if r := s.run("secret phrase\n", "backup", phrase, "--stdin"); r.status != 0 {
		t.Fatal(r.err)
	}
	s.must(0, "backup", keyed, "--recipient", key.Recipient().String())
	for _, tt := range []struct {
		input  string
		args   []string
		status int
		says   string
	}{
		{"short\n", []string{"backup", s.path("/new"), "--stdin"}, 6, "it has 5 characters, and needs at least 12\nhint: choose a longer one"},
		{"aaaaaaaaaaaaaaaa\n", []string{"backup", s.path("/new"), "--stdin"}, 6, "it has 1 different character, and needs at least 6"},
		{"secret phrase\n", []string{"backup", phrase, "--stdin"}, 1, "the file exists\nhint: " + s.ours("backup "+phrase+".new (or, to replace what is there: ")},
		{"", []string{"backup", s.path("/new")}, 1, "there is no terminal"},
		{"", []string{"backup", s.path("/new"), "--stdin", "--recipient", key.Recipient().String()}, 2, "give only one of them"},
		{"", []string{"backup", s.path("/none/new"), "--recipient", key.Recipient().String()}, 1, "no such file or directory\nhint: df -h "},
		{"wrong phrase!\n", []string{"restore", phrase, "--stdin"}, 1, "it is sealed with another passphrase\nhint: " + s.ours("restore "+phrase)},
		{"secret phrase\n", []string{"restore", keyed, "--stdin"}, 2, "sealed for the holder of a key, not with a passphrase\nhint: " + s.ours("restore "+keyed+" --identity FILE")},
		{"", []string{"restore", phrase, "--identity", s.path("/key")}, 2, "sealed with a passphrase, not for a key\nhint: " + s.ours("restore "+phrase)},
		{"", []string{"restore", keyed, "--identity", s.path("/other")}, 1, "not sealed for the key in "},
		{"", []string{"restore", keyed, "--identity", s.path("/no-key")}, 1, "holds no AGE-SECRET-KEY"},
		{"", []string{"restore", s.path("/none")}, 1, "no such file or directory"},
		{"", []string{"restore", phrase}, 1, "there is no terminal"},
		{"secret phrase\n", []string{"restore", phrase, "--stdin", "--prefer", "me"}, 2, "must be baseline, os or store"},
	} {
		r := s.run(tt.input, tt.args...)
		if r.status != tt.status || !strings.Contains(r.err, tt.says) || !strings.Contains(r.err, "hint: ") {
			t.Errorf("%q: status %d\n%s", tt.args, r.status, r.err)
		}
	}
	if r := s.run("another phrase\n", "backup", phrase, "--stdin", "--force"); r.status != 0 {
		t.Errorf("--force: %s", r.err)
	}
	trail := s.must(0, "audit").out
	for _, says := range []string{phrase + ", sealed with a passphrase", keyed + ", sealed for " + key.Recipient().String()} {
		if !strings.Contains(trail, says) {
			t.Errorf("on record is nothing of %s:\n%s", says, trail)
		}
	}
}
