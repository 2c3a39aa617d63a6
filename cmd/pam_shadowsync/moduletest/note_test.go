package moduletest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	notesDir     = "home/notes"
	shadowBefore = "root:*:1::::::\nadmin:$y$j9T$old$hash:20000:0:99999:7:::\n"
	shadowAfter  = "root:*:1::::::\nadmin:$y$j9T$new$hash:20001:0:99999:7:::\n"

	notPersisted = "shadowsync: admin: NOT persisted (store: no space left on device); it is as soon as the store takes it"
	noRoom       = "shadowsync: admin: NOT recorded (no space left on home): a restart of 128T.service loses it"
	noProgram    = "shadowsync: admin: NOT recorded (program is missing): a restart of 128T.service loses it"
)

func hint(help string) string { return "hint: " + help + " shadowsync sync admin" }

// notes returns the notes by name, without the spare links.
func notes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(dir, notesDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range all {
		if strings.HasPrefix(e.Name(), "s.") || strings.HasPrefix(e.Name(), "fill") {
			continue
		}
		target, err := os.Readlink(filepath.Join(dir, notesDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = target
	}
	return found
}

func tagOf(field string) string {
	sum := sha256.Sum256([]byte(field))
	return hex.EncodeToString(sum[:16])
}

// wantNote checks that there is exactly one note: it is the account's, of this minute, and has the tag of the old field.
func wantNote(t *testing.T, dir, file, tag string) {
	t.Helper()
	found := notes(t, dir)
	target, ok := found[file]
	var version, at int64
	var got string
	if n, _ := fmt.Sscan(target, &version, &at, &got); n < 2 || !ok || len(found) != 1 {
		t.Fatalf("notes %q, want one %s", found, file)
	}
	if age := time.Since(time.Unix(at, 0)); version != 1 || age < -time.Second || age > time.Minute || got != tag || len(target) >= 60 {
		t.Errorf("note %q, want tag %q", target, tag)
	}
}

func writeShadow(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "shadow"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The module leaves a note whenever the broker does not take the change; the tag is of the field before the change.
func TestNoteWhereNobodyTakesTheChange(t *testing.T) {
	cases := map[string]struct {
		peer func(int) // nil: nobody listens
		said []string
		note bool
	}{
		"nobody listens":      {nil, []string{queued}, true},
		"hangs":               {untilClosed, []string{queued}, true},
		"closes":              {func(int) {}, []string{queued}, true},
		"refuses":             {answering(`{"error":"not permitted"}`), []string{queued}, true},
		"cannot keep it":      {answering(noteOf("")), []string{queued}, true},
		"nor can the store":   {answering(noteOf(notPersisted)), []string{notPersisted}, true},
		"is of an older form": {answering(`{"message":"note"}`), []string{queued}, true},
		"takes it":            {answering(answerOf(persisted)), []string{persisted}, false},
		"takes it, unmanaged": {answering(answerOf("")), nil, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeShadow(t, dir, shadowBefore)
				if c.peer != nil {
					serve(t, listen(t, dir, 5, 0), c.peer)
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret", stores: shadowAfter}), c.said...)
				if !c.note {
					if found := notes(t, dir); len(found) > 0 {
						t.Errorf("notes %q, want none", found)
					}
					return
				}
				wantNote(t, dir, "n.admin", tagOf("$y$j9T$old$hash"))
			})
		})
	}
}

func TestTags(t *testing.T) {
	for _, size := range []int{0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 121, 1000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			dir, field := newDir(t), strings.Repeat("x$", size)[:size]
			writeShadow(t, dir, "admin2:a:\nadmin:"+field+":1::::::\n")
			run(t, sanitized, dir, scene{token: "secret", stores: shadowAfter})
			wantNote(t, dir, "n.admin", tagOf(field))
		})
	}
}

// Without a line, or a file, there is no tag: the note then says only that there was a change.
func TestNoTag(t *testing.T) {
	for name, shadow := range map[string]string{"no line": "root:*:1::::::\n", "no file": ""} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				if shadow != "" {
					writeShadow(t, dir, shadow)
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
				wantNote(t, dir, "n.admin", "")
			})
		})
	}
}

func TestNoteTellsWhoseChangeItIs(t *testing.T) {
	for option, uid := range map[string]uint32{"silent": 0, "person": 65534} {
		t.Run(option, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				run(t, b, dir, scene{token: "secret", options: []string{option}})
				var st unix.Stat_t
				if err := unix.Lstat(filepath.Join(dir, notesDir, "n.admin"), &st); err != nil || st.Uid != uid {
					t.Errorf("uid %d, %v, want %d", st.Uid, err, uid)
				}
			})
		})
	}
}

// A reader may take a note at any moment, and the note always belongs to the person who made the change.
func TestNoteIsNeverSomebodyElses(t *testing.T) {
	dir := newDir(t)
	folder := filepath.Join(dir, notesDir)
	stop := make(chan struct{})
	seen := make(chan string, 1)
	go func() {
		defer close(seen)
		for {
			select {
			case <-stop:
				return
			default:
			}
			var st unix.Stat_t
			if unix.Lstat(filepath.Join(folder, "n.admin"), &st) != nil {
				continue
			}
			if st.Uid != 65534 {
				seen <- fmt.Sprintf("a note of uid %d was there", st.Uid)
				return
			}
			_ = os.Rename(filepath.Join(folder, "n.admin"), filepath.Join(folder, "p.admin"))
		}
	}()
	for range 300 {
		run(t, release, dir, scene{token: "secret", options: []string{"person"}})
	}
	close(stop)
	if said := <-seen; said != "" {
		t.Error(said)
	}
	for name := range notes(t, dir) {
		if strings.HasPrefix(name, "t.") {
			t.Errorf("%s is left", name)
		}
	}
}

// A note that exists already stays: its tag is of the oldest value, which is the one that the store still has.
func TestNoteIsThereAlready(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		writeShadow(t, dir, shadowBefore)
		for range 2 {
			wantSaid(t, run(t, b, dir, scene{token: "secret", stores: shadowAfter}), queued)
		}
		wantNote(t, dir, "n.admin", tagOf("$y$j9T$old$hash"))
	})
}

// No account name leads out of the folder.
func TestNamesOfNotes(t *testing.T) {
	for user, file := range map[string]string{
		"..": "n.%2E%2E", "a/../../x": "n.a%2F%2E%2E%2F%2E%2E%2Fx", "-rf": "n.-rf", `DOM\user`: "n.DOM%5Cuser", "a b": "n.a%20b",
		"über": "n.%C3%BCber", strings.Repeat("x", 253): "n." + strings.Repeat("x", 253), strings.Repeat("x", 254): "n.all",
		strings.Repeat(".", 84): "n." + strings.Repeat("%2E", 84), strings.Repeat(".", 85): "n.all",
	} {
		t.Run(fmt.Sprintf("%.12q", user), func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				writeManaged(t, dir, user+"\t128T.service\n")
				run(t, b, dir, scene{user: user, token: "secret"})
				wantNote(t, dir, file, "")
			})
		})
	}
}

// After a boot in which no program of shadowsync ran, the copy of the list names the managed accounts.
func TestListAfterABoot(t *testing.T) {
	for name, c := range map[string]struct {
		kept string
		said []string
		note bool
	}{
		"managed":     {managedList, []string{queued}, true},
		"not managed": {"other\tother.service\n", nil, false},
		// Without a list the module does not know whether the account is managed. It shows nothing; the note costs
		// nothing, and its reader drops it.
		"no copy": {"", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				if err := os.Remove(filepath.Join(dir, "run/managed")); err != nil {
					t.Fatal(err)
				}
				if c.kept != "" {
					if err := os.WriteFile(filepath.Join(dir, "home/managed"), []byte(c.kept), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), c.said...)
				if found := notes(t, dir); (len(found) > 0) != c.note {
					t.Errorf("notes %q", found)
				}
			})
		})
	}
}

// If the program that reads notes is missing, the module promises nothing, and leaves the note all the same.
func TestProgramIsMissing(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":           os.Remove,
		"empty":          func(path string) error { return os.Truncate(path, 0) },
		"not executable": func(path string) error { return os.Chmod(path, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				if err := spoil(filepath.Join(dir, "program")); err != nil {
					t.Fatal(err)
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), noProgram, hint("install shadowsync again, then run:"))
				wantNote(t, dir, "n.admin", "")
			})
		})
	}
}

func TestFolderOfNotes(t *testing.T) {
	notRoots := "shadowsync: admin: NOT recorded (home/notes is not root's alone): a restart of 128T.service loses it"
	mend := hint("run: shadowsync doctor --fix, then:")
	cases := map[string]struct {
		spoil func(notes string) error
		said  []string
	}{
		"missing is made":  {os.Remove, []string{queued}},
		"of another":       {func(notes string) error { return os.Chown(notes, 65534, 0) }, []string{notRoots, mend}},
		"others may write": {func(notes string) error { return os.Chmod(notes, 0o770) }, []string{notRoots, mend}},
		"a link": {func(notes string) error {
			return errors.Join(os.Remove(notes), os.Symlink(os.TempDir(), notes))
		}, []string{strings.Replace(notRoots, " is not root's alone", ": Not a directory", 1), mend}},
		"no state at all": {func(notes string) error {
			return errors.Join(os.Remove(notes), os.Remove(filepath.Dir(notes)))
		}, []string{strings.Replace(notRoots, " is not root's alone", ": No such file or directory", 1), mend}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				if err := c.spoil(filepath.Join(dir, notesDir)); err != nil {
					t.Fatal(err)
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: "umask"}), c.said...)
				if name == "missing is made" {
					wantNote(t, dir, "n.admin", "")
				}
			})
		})
	}
}

// While a time-out makes the module silent, it leaves notes and shows nothing, unless it cannot leave one.
func TestNotesWhileSilent(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		mark(t, dir, bootTime(t))
		wantSaid(t, run(t, b, dir, scene{token: "secret"}))
		wantNote(t, dir, "n.admin", "")
		if err := os.RemoveAll(filepath.Join(dir, "home")); err != nil {
			t.Fatal(err)
		}
		if r := run(t, b, dir, scene{token: "secret"}); len(r.said) != 2 || !strings.Contains(r.said[0], "NOT recorded") {
			t.Errorf("said %q, want that it is not recorded", r.said)
		}
	})
}

func TestNotesUnderMisfortune(t *testing.T) {
	for _, misfortune := range []string{"std", "fsize", "umask", "onefile", "std fsize umask onefile"} {
		for _, made := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/folder there %v", misfortune, made), func(t *testing.T) {
				inBothBuilds(t, func(t *testing.T, b build, dir string) {
					writeShadow(t, dir, shadowBefore)
					if !made {
						os.Remove(filepath.Join(dir, notesDir))
					}
					wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: misfortune, stores: shadowAfter}), queued)
					wantNote(t, dir, "n.admin", tagOf("$y$j9T$old$hash"))
				})
			})
		}
	}
}

// mount mounts a small file system on the folder of root's state.
func mount(t *testing.T, dir, kind, options string) {
	t.Helper()
	home := filepath.Join(dir, "home")
	args := []string{"-t", kind, "-o", options, kind, home}
	if kind == "ext4" {
		image := filepath.Join(dir, "image")
		if said, err := exec.Command("mkfs.ext4", "-q", "-m", "0", "-N", "64", image, "1M").CombinedOutput(); err != nil {
			t.Skipf("%v: %s", err, said)
		}
		args = []string{"-o", "loop," + options, image, home}
	}
	if said, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
		t.Skipf("cannot mount: %v: %s", err, said)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(home, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(dir, notesDir), 0o700); err != nil {
		t.Fatal(err)
	}
}

// No note is left about an account that is not managed, or that is not local.
func TestNoNoteForOthers(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "passwd"), []byte("root:x:0:0::/:/bin/sh\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"somebody", "admin"} { // not managed; managed, but not in /etc/passwd (LDAP)
			wantSaid(t, run(t, b, dir, scene{user: user, token: "secret"}))
		}
		if found := notes(t, dir); len(found) > 0 {
			t.Errorf("notes %q, want none", found)
		}
	})
}
