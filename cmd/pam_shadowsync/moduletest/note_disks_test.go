package moduletest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func makeSpares(t *testing.T, dir string) {
	t.Helper()
	for i := range 8 {
		if err := os.Symlink("1", filepath.Join(dir, notesDir, fmt.Sprintf("s.%d", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// fillInodes uses up all inodes; fillBlocks uses up all blocks.
func fillInodes(t *testing.T, dir string) {
	for i := range 1 << 16 {
		if err := os.Symlink("1", filepath.Join(dir, notesDir, fmt.Sprintf("fill%d", i))); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the inodes do not end")
}

func fillBlocks(t *testing.T, dir string) {
	f, err := os.Create(filepath.Join(dir, "home/fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, chunk := range []int{1 << 16, 1 << 9, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, chunk))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

// The module can leave a note on a full disk, if need be with a spare link. If none is left, it says so.
func TestNotesOnAFullDisk(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				mount(t, dir, kind, map[string]string{"tmpfs": "size=64k,nr_inodes=40,mode=700", "ext4": "defaults"}[kind])
				if kind == "ext4" {
					os.Chmod(filepath.Join(dir, "home"), 0o700)
				}
				makeSpares(t, dir)
				fillBlocks(t, dir)
				writeShadow(t, dir, shadowBefore)
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
				wantNote(t, dir, "n.admin", tagOf("$y$j9T$old$hash"))
				os.Remove(filepath.Join(dir, notesDir, "n.admin"))

				fillInodes(t, dir)
				for i := range 8 {
					wantSaid(t, run(t, b, dir, scene{token: "secret"}), queued)
					if found := notes(t, dir); found["n.admin"] != "1" {
						t.Fatalf("notes %q, want a spare link", found)
					}
					if err := os.Rename(filepath.Join(dir, notesDir, "n.admin"), filepath.Join(dir, notesDir, fmt.Sprintf("fill-%d", i))); err != nil {
						t.Fatal(err)
					}
				}
				wantSaid(t, run(t, b, dir, scene{token: "secret"}), noRoom, hint("make room there, then run:"))
			})
		})
	}
}

func TestNotesOnAReadOnlyDisk(t *testing.T) {
	inBothBuilds(t, func(t *testing.T, b build, dir string) {
		mount(t, dir, "tmpfs", "size=64k,mode=700")
		home := filepath.Join(dir, "home")
		if err := unix.Mount("", home, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, run(t, b, dir, scene{token: "secret"}),
			"shadowsync: admin: NOT recorded (home is read-only): a restart of 128T.service loses it", hint("make it writable, then run:"))
	})
}

// Whatever keeps a new link from being made, a spare one serves; without one, the true cause is said.
func TestNotesOnADiskThatFails(t *testing.T) {
	for misfortune, said := range map[string][2]string{
		"quota": {"the quota on home is used up", "make room there or raise it, then run:"},
		"eio":   {"I/O error on home", "look for the disk's fault (journalctl -k), then run:"},
	} {
		t.Run(misfortune, func(t *testing.T) {
			inBothBuilds(t, func(t *testing.T, b build, dir string) {
				wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: misfortune}),
					"shadowsync: admin: NOT recorded ("+said[0]+"): a restart of 128T.service loses it", hint(said[1]))
				makeSpares(t, dir)
				wantSaid(t, run(t, b, dir, scene{token: "secret", misfortune: misfortune}), queued)
				if found := notes(t, dir); found["n.admin"] != "1" {
					t.Errorf("notes %q, want a spare link", found)
				}
			})
		})
	}
}
