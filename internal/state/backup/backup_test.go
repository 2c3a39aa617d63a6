package backup

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestRestore(t *testing.T) {
	w, file := sealed(t)
	w.must(w.restore(t.Context(), file))
	w.mustHold("backed-up")
	w.must(w.restore(t.Context(), w.kept()[0]))
	w.mustHold("later")
	if n := len(w.kept()); n != 2 {
		t.Errorf("%d times what was replaced", n)
	}
	w.leavesNothing()
}

// TestRestoreOnAFreshMachine: there is no state, or one that cannot be read, or one without tables.
func TestRestoreOnAFreshMachine(t *testing.T) {
	_, file := sealed(t)
	for name, spoil := range map[string]func(w *world){
		"nothing": func(w *world) {
			w.must(os.RemoveAll(filepath.Join(w.base, "lib")))
			w.must(state.Prepare("/", w.system.Dir))
		},
		"no database": func(w *world) {
			w.must(os.WriteFile(filepath.Join(w.system.Dir, state.FileName), []byte(strings.Repeat("not a database ", 1000)), 0o600))
		},
		"a FIFO": func(w *world) {
			path := filepath.Join(w.system.Dir, state.FileName)
			w.must(errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)))
		},
		"damaged pages": func(w *world) {
			f, err := os.OpenFile(filepath.Join(w.system.Dir, state.FileName), os.O_WRONLY, 0)
			w.must(err)
			_, err = f.WriteAt([]byte(strings.Repeat("\xff", 8192)), 4096)
			w.must(errors.Join(err, f.Close()))
		},
		"cut off": func(w *world) { w.must(os.Truncate(filepath.Join(w.system.Dir, state.FileName), 5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "key"))
			w.must(err)
			w.must(os.WriteFile(filepath.Join(w.base, "key"), text, 0o600))
			w.live("fresh")
			spoil(w)
			w.must(w.restore(t.Context(), file))
			w.mustHold("backed-up")
			w.leavesNothing()
			if w.done.Damaged != (name != "nothing") {
				t.Errorf("what was there is told to be damaged: %v", w.done.Damaged)
			}
			if back := w.restore(t.Context(), w.kept()[0]); (back == nil) == w.done.Damaged {
				t.Errorf("to put it back: %v", back)
			}
		})
	}
}

// TestRestoreIsKilled: after a kill at any step, the next run finds the old or the new content,
// never parts of both, and says which.
func TestRestoreIsKilled(t *testing.T) {
	for step, want := range map[string]struct{ value, says string }{
		StepKept: {"later", ""}, StepHeld: {"later", ""}, StepWritten: {"later", ""}, StepJournal: {"later", "before it changed anything"},
		StepCommitted: {"backed-up", "is finished now"}, StepStores: {"backed-up", "is finished now"},
	} {
		t.Run(step, func(t *testing.T) {
			w, file := sealed(t)
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), striking+"="+w.base+" "+step)
			out, err := cmd.CombinedOutput()
			var died *exec.ExitError
			if !errors.As(err, &died) || died.ExitCode() != -1 {
				t.Fatalf("it was not killed: %v\n%s", err, out)
			}
			if step == StepCommitted && reflect.DeepEqual(w.holds()[:2], []string{"$6$salt$backed-up", "$6$salt$backed-up"}) {
				t.Fatal("the stores were committed with the state: the test proves nothing")
			}
			said, err := w.system.Resume(t.Context())
			w.must(err)
			if !strings.Contains(said, want.says) || want.says == "" && said != "" {
				t.Errorf("it says %q", said)
			}
			w.mustHold(want.value)
			w.must(w.restore(t.Context(), file))
			w.mustHold("backed-up")
			w.leavesNothing()
		})
	}
}

// TestResumeWithoutTheApplication: a store that the configuration no longer has blocks nothing, and
// is reported.
func TestResumeWithoutTheApplication(t *testing.T) {
	w, _ := sealed(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), striking+"="+w.base+" "+StepCommitted)
	if out, err := cmd.CombinedOutput(); !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("it was not killed: %v\n%s", err, out)
	}
	system := w.system
	system.Stores = system.Stores[:1]
	said, err := system.Resume(t.Context())
	if err != nil || !strings.Contains(said, "is finished now") || !strings.Contains(said, "the credential store of "+w.system.Stores[1].Application+" is as it was") {
		t.Fatalf("it says %q, %v", said, err)
	}
	if system.Interrupted() {
		t.Error("the next command would be stopped")
	}
	if holds := w.holds()[1:3]; holds[0] == holds[1] {
		t.Errorf("the stores hold %q", holds)
	}
}

// TestJournalIsCutOff: a kill or a power loss while the journal is written leaves its name and a
// part of its text, or none. The state is not committed by then.
func TestJournalIsCutOff(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "a part": `{"at":{"seq":12,"ha`, "no blocks": strings.Repeat("\x00", 200)} {
		t.Run(name, func(t *testing.T) {
			w, file := sealed(t)
			st, err := w.system.Stage()
			w.must(err)
			w.must(os.WriteFile(w.system.journal(), []byte(text), 0o600))
			w.must(st.Close())
			said, err := w.system.Resume(t.Context())
			if err != nil || !strings.Contains(said, "before it changed anything") {
				t.Fatalf("it says %q, %v", said, err)
			}
			w.mustHold("later")
			w.must(w.restore(t.Context(), file))
			w.mustHold("backed-up")
			w.leavesNothing()
		})
	}
}

// TestRestoreBesideAReader: if another process holds a lock on the state or on a store, nothing
// changes.
func TestRestoreBesideAReader(t *testing.T) {
	w, file := sealed(t)
	for _, s := range w.system.Stores {
		opened, err := s.Open(t.Context())
		w.must(err)
		held, err := opened.Hold(t.Context())
		w.must(err)
		err = w.restore(t.Context(), file)
		if !errors.Is(err, shadowsync.ErrUnavailable) {
			t.Errorf("%s held by another: %v", s.Application, err)
		}
		w.must(errors.Join(held.Close(), opened.Close()))
		w.mustHold("later")
	}
	if left := w.kept(); left != nil {
		t.Errorf("kept, with nothing replaced: %q", left)
	}
	w.leavesNothing()
}

// TestRestoreIsUndone: a store fails for good after the state was committed.
func TestRestoreIsUndone(t *testing.T) {
	w, file := sealed(t)
	open := w.system.Stores[1].Open
	calls := 0
	w.system.Stores[1].Open = func(ctx context.Context) (driver.Embedded, error) {
		e, err := open(ctx)
		if calls++; err != nil || calls == 1 || calls > 3 { // the first call keeps it; the swap and the retry fail
			return e, err
		}
		return failing{e}, nil
	}
	if err := w.restore(t.Context(), file); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("it says %v", err)
	}
	w.system.Stores[1].Open = open
	w.mustHold("later")
	w.leavesNothing()
}

// failing is a store that cannot commit.
type failing struct{ driver.Embedded }

type failingHeld struct{ driver.Held }

func (f failing) Hold(ctx context.Context) (driver.Held, error) {
	h, err := f.Embedded.Hold(ctx)
	return failingHeld{h}, err
}

func (failingHeld) Commit(context.Context) error { return errors.New("disk is full") }

// TestRestoreEndsWithItsContext: nothing is half done, whenever the context ends.
func TestRestoreEndsWithItsContext(t *testing.T) {
	for _, step := range []string{StepKept, StepHeld, StepWritten, StepJournal, StepCommitted} {
		w, file := sealed(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.system.Probe = func(at string) {
			if at == step {
				cancel()
			}
		}
		err := w.restore(ctx, file)
		if done := step == StepCommitted; done != (err == nil) {
			t.Errorf("%s: %v", step, err)
		} else if done {
			w.mustHold("backed-up")
		} else {
			w.mustHold("later")
		}
		w.leavesNothing()
		cancel()
	}
}
