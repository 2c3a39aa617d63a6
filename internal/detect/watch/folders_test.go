package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFolderChanges(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, folder string)
	}{
		{"removed and recreated", func(t *testing.T, folder string) {
			must(t, os.RemoveAll(folder), os.Mkdir(folder, 0o700))
		}},
		{"renamed and recreated", func(t *testing.T, folder string) {
			must(t, os.Rename(folder, folder+".old"), os.Mkdir(folder, 0o700))
		}},
		{"another renamed over it", func(t *testing.T, folder string) {
			must(t, os.Mkdir(folder+".new", 0o700), os.RemoveAll(folder), os.Rename(folder+".new", folder))
		}},
		{"exchanged", func(t *testing.T, folder string) {
			must(t, os.Mkdir(folder+".new", 0o700),
				unix.Renameat2(unix.AT_FDCWD, folder+".new", unix.AT_FDCWD, folder, unix.RENAME_EXCHANGE))
		}},
		{"parent renamed and recreated", func(t *testing.T, folder string) {
			parent := filepath.Dir(folder)
			must(t, os.Rename(parent, parent+".old"), os.MkdirAll(folder, 0o700))
		}},
		{"made a symbolic link to another", func(t *testing.T, folder string) {
			must(t, os.Rename(folder, folder+".old"), os.Mkdir(folder+".new", 0o700), os.Symlink(folder+".new", folder))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "a", "b")
			must(t, os.MkdirAll(folder, 0o700))
			s := watchIn(t, folder)
			s.replace("before")
			s.untilContent("before")
			s.settle()
			for i := range 3 {
				if i > 0 {
					must(t, os.RemoveAll(folder+".new"), os.RemoveAll(folder+".old"), os.RemoveAll(filepath.Dir(folder)+".old"))
				}
				tt.do(t, folder)
				s.untilRescan(tt.name)
				after := fmt.Sprint("after ", i)
				s.replace(after)
				s.untilContent(after)
				s.settle()
			}
		})
	}
}

func TestFolderComesLater(t *testing.T) {
	top := t.TempDir()
	s := watchIn(t, filepath.Join(top, "a", "b", "c"))
	if seen := s.settle(); len(seen) != 0 {
		t.Errorf("announced %v", seen)
	}
	must(t, os.MkdirAll(s.folder, 0o700))
	s.replace("1") // maybe before the watch is set; then Rescan reports it
	s.untilContent("1")
	s.settle()
	s.replace("2")
	s.untilContent("2")
	must(t, os.RemoveAll(filepath.Join(top, "a")))
	s.untilRescan("removed")
	must(t, os.MkdirAll(s.folder, 0o700))
	s.replace("3")
	s.untilContent("3")
}

func TestFileInPlaceOfTheFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a")
	must(t, os.WriteFile(folder, nil, 0o600))
	s := watchIn(t, folder)
	must(t, os.Remove(folder), os.Mkdir(folder, 0o700))
	s.replace("1")
	s.untilContent("1")
}

// TestMountedOver needs its own mount namespace; to get one it runs this test binary again.
func TestMountedOver(t *testing.T) {
	if os.Getenv("WATCH_TEST_MOUNTS") == "" {
		inNamespace(t)
		return
	}
	folder := filepath.Join(t.TempDir(), "a")
	must(t, os.Mkdir(folder, 0o700))
	s := watchIn(t, folder)
	s.replace("below")
	s.untilContent("below")
	s.settle()
	for i := range 3 {
		must(t, unix.Mount("tmpfs", folder, "tmpfs", 0, ""))
		s.untilRescan("mounted")
		s.replace(fmt.Sprint("above ", i))
		s.untilContent(fmt.Sprint("above ", i))
		s.settle()
		must(t, unix.Unmount(folder, unix.MNT_DETACH))
		s.untilRescan("unmounted")
		s.replace(fmt.Sprint("below ", i))
		s.untilContent(fmt.Sprint("below ", i))
		s.settle()
	}
	elsewhere := t.TempDir()
	must(t, unix.Mount("tmpfs", elsewhere, "tmpfs", 0, ""), unix.Unmount(elsewhere, unix.MNT_DETACH))
	if seen := s.settle(); len(seen) != 0 {
		t.Errorf("a mount elsewhere announced %v", seen)
	}
}
