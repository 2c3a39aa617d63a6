package scenes

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/test/machine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	backupFile   = "/root/node1.age"
	backupPhrase = "a phrase that seals\n"

	atBackup    = "Sealed-velvet-1"
	afterBackup = "Moved-velvet-2"
)

// TestBackup: state and embedded store are restored from a sealed file, and the trail verifies.
// A file that is damaged or is another file changes nothing.
func TestBackup(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Embedded: embeddedPath}, embedded()...)
	s.passwd("admin", atBackup)
	hash := s.ShadowHash("admin")
	s.sealed("backup")
	if sealed := s.ReadFile(backupFile); strings.Contains(sealed, hash) || strings.Contains(sealed, "admin") || strings.Contains(sealed, "SQLite") {
		t.Error("the backup is not sealed")
	}
	if mode := s.Must("stat", "-c", "%a %U", backupFile); mode != "600 root\n" {
		t.Errorf("the backup is %q", mode)
	}
	s.sub("what is refused", (*stage).refusesBackups)
	s.sub("a machine whose accounts moved on", (*stage).restoresOverLaterChanges)
	s.sub("a fresh machine", func(s *stage) { s.restoresAfresh(hash) })
	s.sub("a trail that goes back too far", (*stage).trims)
}

// sealed runs backup or restore; both print what the file contains.
func (s *stage) sealed(verb string) {
	s.t.Helper()
	var r struct {
		File, Created, Node string
		Databases           []struct{ Name, Application string }
	}
	out := s.Input(backupPhrase).Must("shadowsync", verb, backupFile, "--stdin", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.t.Fatalf("%s --json: %v\n%s", verb, err, out)
	}
	made, err := time.Parse(time.RFC3339, r.Created)
	if err != nil || time.Since(made) > time.Hour || r.File != backupFile || r.Node != "node1" || len(r.Databases) != 2 ||
		r.Databases[0].Name != "state.db" || r.Databases[1].Name != "store-conductor.db" || r.Databases[1].Application != "conductor" {
		s.t.Errorf("%s says %s", verb, out)
	}
}

// refusesBackups: restore refuses a wrong phrase, and a file that is cut off or altered. The audit records each attempt.
func (s *stage) refusesBackups() {
	s.passwd("admin", afterBackup)
	s.MustShell("cd /root && head -c -1 node1.age > short && head -c 100 node1.age > stub && : > empty && cp /etc/passwd other && " +
		"cp node1.age altered && printf x | dd of=altered bs=1 seek=2000 conv=notrunc status=none")
	for file, phrase := range map[string]string{
		backupFile: "another phrase\n", "/root/short": backupPhrase, "/root/stub": backupPhrase, "/root/empty": backupPhrase,
		"/root/other": backupPhrase, "/root/altered": backupPhrase, "/root/none": backupPhrase,
	} {
		before := len(s.trail())
		r := s.Input(phrase).Run("shadowsync", "restore", file, "--stdin")
		if r.Code != 1 || !strings.Contains(r.Stderr, "cannot read the backup") {
			s.t.Errorf("%s: %s", file, r)
		}
		if ours := onTime(s.trail()[before:]); len(ours) != 1 || ours[0].Action != "failed" || ours[0].Origin.Verb != "restore" {
			s.t.Errorf("%s: on record is %+v", file, ours)
		}
	}
	if s.known("admin") != s.ShadowHash("admin") || !s.opensHash(s.known("admin"), afterBackup) {
		s.t.Error("a backup that was refused changed something")
	}
	s.Must("shadowsync", "status", "--check")
}

// restoresOverLaterChanges: restore does not undo a password that root set after the backup, and
// the backup's own value can be put back.
func (s *stage) restoresOverLaterChanges() {
	s.sealed("restore")
	s.becomes("admin", afterBackup)
	s.restart()
	s.opens("admin", afterBackup, atBackup)
	s.opens("user222", machine.OldPassword, "")
	s.Must("shadowsync", "status", "--check")
	s.restored("the trail before ended with")
	s.Must("shadowsync", "history", "restore", "admin", "1")
	s.becomes("admin", atBackup)
	s.restart()
	s.opens("admin", atBackup, afterBackup)
}

// restoresAfresh: only the backup is left, and shadow(5), which comes from another backup.
func (s *stage) restoresAfresh(hash string) {
	s.MustShell("systemctl stop 128T.service && shadowsync remove --purge")
	if s.Shell("test -e /var/lib/shadowsync").Code == 0 {
		s.t.Fatal("the state is left: the scene proves nothing")
	}
	s.Must("usermod", "-p", hash, "admin")
	s.Must("shadowsync", "setup", "--first", "os")
	if n := len(s.audit("admin")); n != 1 {
		s.t.Errorf("the fresh trail has %d records of admin", n)
	}
	s.sealed("restore")
	s.Must("systemctl", "start", machine.ApplianceUnit)
	s.becomes("admin", atBackup)
	s.opens("admin", atBackup, machine.OldPassword)
	s.Must("shadowsync", "status", "--check")
	s.restored("the backup of")
	changed := false
	for _, e := range s.audit("admin") {
		changed = changed || e.Origin.SeenBy == "pam" && e.Origin.Program == "passwd"
	}
	if !changed {
		s.t.Errorf("the trail knows nothing of the time before: %+v", s.audit("admin"))
	}
	if r := s.Run("shadowsync", "history", "admin"); r.Code != 0 || !strings.Contains(r.Stdout, "passwd") {
		s.t.Errorf("the history knows nothing of the time before: %s", r)
	}
}

// restored asserts that the trail verifies, and records the restore.
func (s *stage) restored(text string) {
	s.t.Helper()
	s.Must("shadowsync", "audit", "--verify")
	for _, e := range s.trail() {
		if e.Action == "restored" && strings.Contains(e.Reason, text) {
			return
		}
	}
	s.t.Errorf("the trail does not tell of the restore: %+v", s.trail())
}

// trims: the daemon itself removes the records that are older than the configuration keeps, and
// no others. The rest verifies and records the cut, also in the journal.
func (s *stage) trims() {
	s.MustShell("shadowsync remove --purge && install -d -m 700 /var/lib/shadowsync /var/lib/shadowsync/state")
	s.CopyIn(oldTrail(s.t), "/var/lib/shadowsync/state/"+state.FileName, 0o600)
	if n := s.verified(); n != 40 {
		s.t.Fatalf("the trail begins with %d records", n)
	}
	s.Configure(embedded("[node]", "[audit]\nkeep_days = 30\n\n[node]")...)
	s.Must("shadowsync", "setup", "--first", "os")
	var trail []event
	s.eventually("the daemon trims the trail", machine.Patience, func() bool {
		trail = s.trail()
		return trail[0].Reason != "40 days ago"
	})
	days := 0
	for _, e := range trail {
		if e.Action == "long-ago" {
			days++
		}
	}
	if days < 29 || days > 30 { // the oldest has just reached the limit, or is just gone
		s.t.Errorf("the records of %d days are left", days)
	}
	cut := trail[len(trail)-1]
	for _, e := range trail {
		if e.Action == "audit-trimmed" {
			cut = e
		}
	}
	if !strings.HasPrefix(cut.Reason, "all up to record 1") || cut.Origin.By != "root" || cut.Origin.Program != "shadowsync" {
		s.t.Errorf("on record is %+v", cut)
	}
	s.eventually("the journal tells of the cut", machine.Patience, func() bool { return strings.Contains(s.Journal("-t", "shadowsync"), cut.Reason) })
	if n := s.verified(); n != len(trail) {
		s.t.Errorf("%d records of %d are good", n, len(trail))
	}
	s.Must("shadowsync", "status", "--check")
}

// oldTrail makes a state whose trail has a record for each of the last forty days.
func oldTrail(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := 40; n > 0; n-- {
		e := shadowsync.Event{At: time.Now().AddDate(0, 0, -n), Account: "admin", Action: "long-ago", Reason: fmt.Sprintf("%d days ago", n)}
		if err := db.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, state.FileName)
}
