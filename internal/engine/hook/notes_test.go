package hook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/notes"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const thirdHash = "$6$qrstuvwx$VdlqHNmVsAzQyLuyPYLSFGzJrkpcj0MyW4Pd9bGsYTTJdNt0kkJeHTfv3lLUPCC5YJnNuqCYjAPTJTkSaBNH5."

// note leaves a note like the PAM module, about a change from the given hash.
func (s *system) note(account, before string) {
	s.Helper()
	s.noteAt(time.Unix(1700000000, 0), account, before)
}

func (s *system) noteAt(at time.Time, account, before string) {
	s.Helper()
	sum := sha256.Sum256([]byte(before))
	target := fmt.Sprintf("1 %d %s", at.Unix(), hex.EncodeToString(sum[:16]))
	if err := os.Symlink(target, filepath.Join(s.root, notes.Dir, "n."+account)); err != nil {
		s.Fatal(err)
	}
}

// left lists the notes that are still there.
func (s *system) left() []string {
	s.Helper()
	var names []string
	all, err := os.ReadDir(filepath.Join(s.root, notes.Dir))
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range all {
		if !strings.HasPrefix(e.Name(), "s.") {
			names = append(names, e.Name())
		}
	}
	return names
}

func (s *system) memory() shadowsync.AccountMemory {
	s.Helper()
	memory, err := s.engine.State.Load(s.Context(), "conductor", []string{"admin"})
	if err != nil {
		s.Fatal(err)
	}
	return memory.Accounts["admin"]
}

func (s *system) events(action string) int {
	s.Helper()
	n := 0
	for r, err := range s.engine.State.Trail(s.Context(), state.Query{}) {
		if err != nil {
			s.Fatal(err)
		}
		if r.Event.Action == action {
			n++
		}
	}
	return n
}

// TestNoteIsHonoured: PAM made the change, which decides if both sides moved.
func TestNoteIsHonoured(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("admin", oldHash)
	s.shadow(newHash)
	s.store.hash = thirdHash // the application changed it too
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	s.both(newHash)
	if m := s.memory(); m.LastChange == nil || m.LastChange.SeenBy != shadowsync.SeenByPAM || m.LastChange.By != "root" {
		t.Errorf("the last change is %+v", m.LastChange)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("notes left: %q", left)
	}
}

// TestNoteOfAnUndoneChange: such a note leaves a trace in the audit and changes nothing.
func TestNoteOfAnUndoneChange(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("admin", oldHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	s.both(oldHash)
	if left := s.left(); len(left) > 0 || s.events("undone") != 1 {
		t.Errorf("notes left: %q; %d records of what was undone", left, s.events("undone"))
	}
}

// TestNoteOfAChangeThatWasTaken: the broker took the change after the module had stopped waiting.
func TestNoteOfAChangeThatWasTaken(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("admin", oldHash)
	s.shadow(newHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	adopted := s.events("adopted")
	s.note("admin", oldHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	s.both(newHash)
	if left := s.left(); len(left) > 0 || s.events("adopted") != adopted || s.events("undone") != 0 {
		t.Errorf("notes left: %q; %d records of it, before %d", left, s.events("adopted"), adopted)
	}
}

// TestClaimedNote: the note is from a process that was killed before it recorded the change.
func TestClaimedNote(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("admin", oldHash)
	dir := filepath.Join(s.root, notes.Dir)
	if err := os.Rename(filepath.Join(dir, "n.admin"), filepath.Join(dir, "p.admin")); err != nil {
		t.Fatal(err)
	}
	s.shadow(newHash)
	s.note("admin", newHash) // and a later change that was undone
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	s.both(newHash)
	if left := s.left(); len(left) > 0 {
		t.Errorf("notes left: %q", left)
	}
}

// TestNotesOfOthers: accounts that are not managed or do not exist, and a folder to which others
// than root have access.
func TestNotesOfOthers(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("stranger", oldHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	if left := s.left(); len(left) != 0 { // its time is long past
		t.Errorf("notes left: %q, want none", left)
	}
	s.note("admin", oldHash)
	if err := os.Chmod(filepath.Join(s.root, notes.Dir), 0o777); err != nil {
		t.Fatal(err)
	}
	if names, err := s.engine.Noted("conductor"); err != nil || len(names) != 0 {
		t.Errorf("notes in a folder that anybody writes: %v, %v", names, err)
	}
	if err := os.Chmod(filepath.Join(s.root, notes.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if names, err := s.engine.Noted("conductor"); err != nil || !names["admin"] || len(names) != 1 {
		t.Errorf("noted are %v, %v", names, err)
	}
	s.write("etc/shadow", "root:*:20000:0:99999:7:::\n")
	if err := s.run(PreStart); err != nil && !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Fatal(err)
	}
	if left := s.left(); len(left) != 0 {
		t.Errorf("notes left: %q, want none", left)
	}
}

// TestNoteOfALineThatCannotBeRead: the note waits until the line is repaired.
func TestNoteOfALineThatCannotBeRead(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.noteAt(time.Now(), "admin", oldHash)
	s.write("etc/shadow", "root:*:20000:0:99999:7:::\nadmin:"+newHash+":20001:0:99999:7::::extra:fields\n")
	if err := s.run(PreStart); err != nil && !errors.Is(err, shadowsync.ErrNoAccount) {
		t.Fatal(err)
	}
	if left := s.left(); len(left) != 1 {
		t.Fatalf("notes left: %q, want admin's", left)
	}
	s.shadow(newHash)
	s.store.hash = thirdHash // the application changed it too
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	s.both(newHash)
	if left := s.left(); len(left) > 0 {
		t.Errorf("notes left: %q", left)
	}
}

// TestNoteOfAnUndoneChangeThatIsLocked: a lock mark before the old password does not make it a new
// one.
func TestNoteOfAnUndoneChangeThatIsLocked(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("admin", oldHash)
	s.shadow("!" + oldHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	if left := s.left(); len(left) > 0 || s.events("undone") != 1 {
		t.Errorf("notes left: %q; %d records of what was undone", left, s.events("undone"))
	}
	if m := s.memory(); m.LastChange != nil && m.LastChange.SeenBy.Announced() {
		t.Errorf("the lock passes for a change that PAM made: %+v", m.LastChange)
	}
}

// TestNoteOfLongNames: the note is removed if no account with a too long name is managed.
func TestNoteOfLongNames(t *testing.T) {
	s := newSystem(t, config.StartAnyway)
	s.note("all", oldHash)
	if err := s.run(PreStart); err != nil {
		t.Fatal(err)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("notes left: %q", left)
	}
}
