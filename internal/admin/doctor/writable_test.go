package doctor

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestObstacle: each obstacle is found from the file's attributes, and the suggested command
// removes it.
func TestObstacle(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may set attributes and mount")
	}
	for name, test := range map[string]struct{ breaking, why string }{
		"immutable":        {"chattr +i FILE", "FILE is immutable"},
		"append-only":      {"chattr +a FILE", "FILE is append-only"},
		"immutable folder": {"chattr +i FOLDER", "FOLDER is immutable"},
		"a mount point":    {"mount --bind FILE FILE", "FILE is a mount point"},
		"read-only":        {"mount --bind FOLDER FOLDER && mount -o remount,bind,ro FOLDER", "FOLDER is mounted read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "folder")
			file := filepath.Join(folder, "file")
			if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("FILE", file, "FOLDER", folder)
			if out, err := exec.Command("sh", "-c", fill.Replace(test.breaking)).CombinedOutput(); err != nil {
				t.Skipf("cannot set it up here: %s", out)
			}
			t.Cleanup(func() {
				_ = exec.Command("sh", "-c", fill.Replace("umount FILE; umount FOLDER; chattr -ia FILE FOLDER")).Run()
			})
			why, command := obstacle(file, unix.EPERM)
			if why != fill.Replace(test.why) {
				t.Errorf("got %q", why)
			}
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %s", command, out)
			}
			if err := errors.Join(os.WriteFile(file+"+", nil, 0o600), os.Rename(file+"+", file)); err != nil {
				t.Errorf("after %s: %v", command, err)
			}
		})
	}
}

// Obstacles that only the kernel knows are found from the error, also if a worker reports it as
// text.
func TestObstacleOfAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for text, want := range map[string]string{"database or disk is full": " is full", "disk I/O error": "returns I/O errors", "disk I/O error: disk quota exceeded": "the quota"} {
		if why, _ := obstacle(file, errors.New("state: "+text)); !strings.Contains(why, want) {
			t.Errorf("%s: %q", text, why)
		}
	}
	for errno, want := range map[unix.Errno]string{
		unix.ENOSPC: " is full", unix.EDQUOT: "the quota", unix.EACCES: "its owner may not write to ", unix.EROFS: " is read-only", unix.EIO: "returns I/O errors",
	} {
		why, command := obstacle(file, errors.New("store: "+errno.Error()))
		if !strings.Contains(why, want) || command == "" {
			t.Errorf("%v: %q, %q", errno, why, command)
		}
	}
}
