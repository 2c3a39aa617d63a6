package scenes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const (
	ofTheFresh = "Fresh-machine-3"
	carried    = "/root/carried.age"
	faulty     = "/root/faulty"
)

// TestRestoreOnASecondMachine: a backup of one machine is restored on another one, which is set
// up and has passwords of its own.
func TestRestoreOnASecondMachine(t *testing.T) {
	t.Parallel()
	first := set(t, machine.Bookworm, machine.Appliance{Embedded: embeddedPath}, embedded()...)
	first.passwd("admin", atBackup)
	known := first.ShadowHash("admin")
	first.sealed("backup")
	file := filepath.Join(t.TempDir(), "carried")
	if err := os.WriteFile(file, []byte(first.ReadFile(backupFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	first.sub("killed at every step", (*stage).restoresThoughKilled)
	first.sub("an application that owns the folder", (*stage).swapsLinks)

	second := set(t, machine.Bookworm, machine.Appliance{Embedded: embeddedPath}, embedded()...)
	second.passwd("admin", ofTheFresh)
	second.CopyIn(file, carried, 0o600)
	second.sub("held", func(s *stage) { s.holdsWhatDiffers(known) })
	second.sub("prefer baseline", (*stage).prefersBaseline)
}

// restore runs the command restore on a file, and returns which side wins for admin.
func (s *stage) restore(code int, file string, more ...string) (wins string) {
	s.t.Helper()
	r := s.Input(backupPhrase).Run(append([]string{"shadowsync", "restore", file, "--stdin", "--json"}, more...)...)
	var told struct {
		Plan []struct{ Account, Wins string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &told); r.Code != code || err != nil {
		s.t.Fatalf("restore %s: %v, %s", more, err, r)
	}
	for _, line := range told.Plan {
		if line.Account == "admin" {
			return line.Wins
		}
	}
	s.t.Fatalf("the plan has no admin: %s", r)
	return ""
}

// holdsWhatDiffers: neither the daemon nor sync applies a value that differs; the history has the backup's value.
func (s *stage) holdsWhatDiffers(known string) {
	fresh := s.ShadowHash("admin")
	if wins := s.restore(4, carried, "--dry-run"); wins != "held" || s.known("admin") != fresh {
		s.t.Errorf("the dry run says %q", wins)
	}
	if wins := s.restore(4, carried); wins != "held" {
		s.t.Errorf("%s wins", wins)
	}
	if r := s.Run("shadowsync", "sync"); r.Code != 4 {
		s.t.Errorf("sync: %s", r)
	}
	if s.ShadowHash("admin") != fresh || s.known("admin") != known {
		s.t.Error("held, and one side was written over the other")
	}
	if r := s.Run("shadowsync", "history", "admin"); r.Code != 0 || !strings.Contains(r.Stdout, "1 ") {
		s.t.Errorf("the history: %s", r)
	}
	s.Must("shadowsync", "audit", "--verify")
}

func (s *stage) prefersBaseline() {
	if wins := s.restore(0, carried, "--prefer", "baseline"); wins != "baseline" {
		s.t.Errorf("%s wins", wins)
	}
	s.becomes("admin", atBackup)
	s.restart()
	s.opens("admin", atBackup, ofTheFresh)
	s.Must("shadowsync", "status", "--check")
}

// restoresThoughKilled: restore is killed at each step, while the daemon runs and reconciles.
func (s *stage) restoresThoughKilled() {
	s.CopyIn(withFaultPoints(s.t), faulty, 0o755)
	for step, done := range map[string]bool{"kept": false, "held": false, "written": false, "journal": false, "committed": true, "stores": true} {
		s.passwd("admin", afterBackup)
		records := len(s.trail())
		r := s.Input(backupPhrase).Env("SHADOWSYNC_FAULT=restore:"+step).Run(faulty, "restore", backupFile, "--stdin")
		if r.Code != 137 && r.Code != -1 {
			s.t.Fatalf("%s: it was not killed: %s", step, r)
		}
		next := s.Run("shadowsync", "status")
		if says := strings.Contains(next.Stderr, "was interrupted"); next.Code != 0 || says && !done && step != "journal" {
			s.t.Errorf("%s: the next run says %s", step, next)
		}
		restored := false
		for _, e := range s.trail() {
			restored = restored || e.Action == "restored" && strings.HasPrefix(e.Reason, backupFile+",") // not the restore that undid the one before
		}
		if restored != done || !done && len(s.trail()) < records {
			s.t.Errorf("%s: the trail has %d records, %d before; restored: %v", step, len(s.trail()), records, restored)
		}
		s.becomes("admin", afterBackup) // the password that root set after the backup holds, either way
		s.Must("shadowsync", "audit", "--verify")
		if r := s.Run("test", "-e", "/var/lib/shadowsync/state/staging/journal.json"); r.Code == 0 {
			s.t.Errorf("%s: the journal is left", step)
		}
		if done { // the next step must begin with a trail without a restore
			s.Must("shadowsync", "sync")
			folder := strings.TrimSpace(s.MustShell("ls -dt /var/lib/shadowsync/state/before-restore/* | head -1"))
			s.MustShell(fmt.Sprintf("test -f %s/state.db", folder))
			s.Must("shadowsync", "restore", folder)
		}
	}
}

// swapsLinks: the application's user owns the store's folder and replaces every name that root might open
// there by a symbolic link. Root writes nothing through the links, and doctor and setup report the folder.
func (s *stage) swapsLinks() {
	s.MustShell(`useradd -r hostile && install -d -o hostile -m 755 /srv/app && cp ` + embeddedPath + ` /srv/app/credentials.db && chown hostile /srv/app/credentials.db &&
		sed -i 's|driver = "sqlite"|driver = "sqlite"\npath = "/srv/app/credentials.db"|' /etc/shadowsync/shadowsync.toml && echo precious > /root/precious`)
	swapper := s.As("hostile").Start("sh", "-c", `cd /srv/app && while :; do for n in .shadowsync-image.db .shadowsync-image.db-journal credentials.db-journal credentials.db-wal; do
		ln -sf /etc/sudoers.d/rule $n; ln -sf /root/precious $n; rm -f $n; done; done`)
	for n := range 10 {
		file := fmt.Sprintf("/root/hostile%d", n)
		r := s.Input(backupPhrase).Run("shadowsync", "backup", file, "--stdin")
		if r.Code == 0 {
			s.Input(backupPhrase).Run("shadowsync", "restore", file, "--stdin")
		}
	}
	if r := s.Shell("test -e /etc/sudoers.d/rule || ! grep -qx precious /root/precious"); r.Code == 0 {
		s.t.Error("root wrote where the application's link points")
	}
	if r := s.Run("shadowsync", "doctor"); r.Code == 0 || !strings.Contains(r.Stdout, "/srv/app belongs to uid") {
		s.t.Errorf("doctor: %s", r)
	}
	if r := s.Run("shadowsync", "setup"); r.Code == 0 || !strings.Contains(r.Stderr, "/srv/app belongs to uid") {
		s.t.Errorf("setup: %s", r)
	}
	if err := swapper.Stop(); err != nil {
		s.t.Error(err)
	}
}
