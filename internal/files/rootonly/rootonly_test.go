package rootonly

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// tree creates folders of each kind; paths are beneath it.
func tree(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for folders of somebody else")
	}
	root := t.TempDir()
	at := func(path string) string { return filepath.Join(root, path) }
	var errs []error
	for path, mode := range map[string]uint32{
		"good/below": 0o755, "app/below": 0o755, "open/below": 0o755, "tmp/root": 0o700, "tmp/app": 0o700, "group": 0o755,
	} {
		errs = append(errs, os.MkdirAll(at(path), 0o755), unix.Chmod(at(path), mode))
	}
	errs = append(errs, unix.Chmod(at("open"), 0o777), unix.Chmod(at("group"), 0o775), unix.Chmod(at("tmp"), 0o1777),
		os.Chown(at("app"), 1234, 0), os.Chown(at("tmp/app"), 1234, 0),
		os.WriteFile(at("file"), nil, 0o600))
	for link, to := range map[string]string{
		"absolute": "/good", "relative": "good/../good/below", "up": "../../..//good", "into": "app/below", "loop": "loop", "tmp/theirs": "/good", "tmp/ours": "/good",
	} {
		errs = append(errs, os.Symlink(to, at(link)))
	}
	errs = append(errs, os.Lchown(at("tmp/theirs"), 1234, 0))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestFolder(t *testing.T) {
	root := tree(t)
	for path, says := range map[string]string{
		"/good/below": "", "/absolute/below": "", "/relative": "", "/up/below": "", "/tmp/root": "", "/tmp/ours": "", "/": "",
		"/app": root + "/app belongs to uid 1234", "/app/below": "/app belongs to uid 1234", "/into": "/app belongs to uid 1234",
		"/open": "/open is a folder that others can write (mode 0777)", "/open/below": "/open is a folder", "/group": "mode 0775",
		"/tmp": "/tmp is a folder that others can write (mode 1777)", "/tmp/.": "/tmp is a folder", "/tmp/app": "/tmp/app belongs", "/tmp/theirs": "/tmp/theirs belongs",
		"/file": "/file is not a folder", "/loop": "too many levels", "/none": "no such file",
	} {
		f, err := Folder(root, path)
		switch {
		case says == "" && err != nil, says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v", path, err)
		case err == nil:
			_ = f.Close()
		}
	}
	if _, err := Folder(root, "/none/below"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

// TestAnybodys: whoever owns the folder, their links do not lead out of it.
func TestAnybodys(t *testing.T) {
	root := tree(t)
	if err := errors.Join(os.Symlink("/good", filepath.Join(root, "app/out")), os.Symlink("/good", filepath.Join(root, "open/below/out"))); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		"/app": "", "/app/below": "", "/open/below": "", "/tmp": "", "/absolute": "", "/into": "", "/tmp/ours": "",
		"/app/out": "/app/out is a symbolic link", "/open/below/out": "is a symbolic link", "/tmp/theirs": "/tmp/theirs belongs",
	} {
		f, err := Anybodys(root, path)
		switch {
		case says == "" && err != nil, says != "" && (err == nil || !strings.Contains(err.Error(), says)):
			t.Errorf("%s: %v", path, err)
		case err == nil:
			_ = f.Close()
		}
	}
}

func TestRegular(t *testing.T) {
	root := tree(t)
	path := filepath.Join(root, "file")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Regular(f, path); err != nil {
		t.Error(err)
	}
	if err := unix.Chmod(path, 0o620); err != nil || Regular(f, path) == nil {
		t.Errorf("writable by its group, and taken (%v)", err)
	}
	if err := errors.Join(unix.Chmod(path, 0o600), os.Chown(path, 1234, 0)); err != nil || Regular(f, path) == nil {
		t.Errorf("somebody else's, and taken (%v)", err)
	}
	dir, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if Regular(dir, root) == nil {
		t.Error("a folder is taken")
	}
}

// TestRootIsOpenedOnce: what is later mounted at the root's path is another system.
func TestRootIsOpenedOnce(t *testing.T) {
	root := tree(t)
	if _, err := inroot.Lstat(root, "good"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(root, root+".first"), os.MkdirAll(filepath.Join(root, "other"), 0o755)); err != nil {
		t.Fatal(err)
	}
	f, err := Folder(root, "/good/below")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := Folder(root, "/other"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder of another tree: %v", err)
	}
}

// TestSecret: the owner of a folder cannot make its path lead to another secret of root's, which would then
// be sent to a server as a password.
func TestSecret(t *testing.T) {
	root := tree(t)
	at := func(path string) string { return filepath.Join(root, path) }
	var errs []error
	for _, path := range []string{"good/secret", "good/below/other", "app/secret", "open/secret"} {
		errs = append(errs, os.WriteFile(at(path), []byte(path), 0o600))
	}
	for link, to := range map[string]string{
		"good/link": "below/../secret", "good/far": "/good/below/other", "good/into": "/app/secret", "app/out": "/good/secret", "open/out": "../good/secret", "good/again": "again",
	} {
		errs = append(errs, os.Symlink(to, at(link)))
	}
	errs = append(errs, os.WriteFile(at("good/shown"), nil, 0o640), os.Chmod(at("good/shown"), 0o640), os.WriteFile(at("good/theirs"), nil, 0o600), os.Chown(at("good/theirs"), 1234, 0))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ text, says string }{
		"/good/secret": {"good/secret", ""}, "/good/link": {"good/secret", ""}, "/good/far": {"good/below/other", ""}, "/absolute/secret": {"good/secret", ""},
		"/app/secret": {"", "/app belongs to uid 1234"}, "/app/out": {"", "/app belongs to uid 1234"}, "/open/out": {"", "others can write"},
		"/good/into": {"", "/app belongs to uid 1234"}, "/good/again": {"", "too many levels"}, "/good/none": {"", "no such file"}, "/good": {"", "not a regular file"},
		"/good/shown": {"", "can be read by others"}, "/good/theirs": {"", "belongs to uid 1234"},
	} {
		text, err := Secret(root, path, 100)
		if string(text) != want.text || want.says == "" && err != nil || want.says != "" && (err == nil || !strings.Contains(err.Error(), want.says)) {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if _, err := Secret(root, "/good/secret", 3); err == nil {
		t.Error("a file that is too long")
	}
}
