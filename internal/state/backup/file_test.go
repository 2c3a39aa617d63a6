package backup

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/rootonly"
)

// TestHolesAreRefused: anyone who knows a recipient can seal a few kilobytes that would take
// gigabytes beside the state.
func TestHolesAreRefused(t *testing.T) {
	w := newWorld(t)
	part := filepath.Join(w.base, "part")
	w.must(errors.Join(os.Mkdir(part, 0o700),
		os.WriteFile(filepath.Join(part, manifestName), []byte(`{"shadowsync_backup": 1, "databases": [{"name": "state.db"}]}`), 0o600),
		os.WriteFile(filepath.Join(part, "state.db"), nil, 0o600), os.Truncate(filepath.Join(part, "state.db"), 64<<20)))
	archive, err := exec.Command("tar", "--format=pax", "-S", "-C", part, "-c", manifestName, "state.db").Output()
	w.must(err)
	var file bytes.Buffer
	sealed, err := age.Encrypt(&file, w.identity().Recipient())
	w.must(err)
	_, err = sealed.Write(archive)
	w.must(errors.Join(err, sealed.Close()))
	into := t.TempDir()
	if _, err := unseal(t.Context(), &file, into, []age.Identity{w.identity()}); !errors.Is(err, ErrNotBackup) || errors.Is(err, ErrCutOff) {
		t.Errorf("%d bytes: %v", len(archive), err)
	}
	if left, _ := os.ReadDir(into); len(left) > 0 {
		t.Errorf("unpacked: %v", left)
	}
}

// TestSourcesThatAreRefused: files that root must not open, and files that would block.
func TestSourcesThatAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for files of somebody else")
	}
	w, file := sealed(t)
	w.must(w.restore(t.Context(), file))
	folder := w.kept()[0]
	copied := func(name string) string {
		to := filepath.Join(w.base, name)
		w.must(os.CopyFS(to, os.DirFS(folder)))
		w.must(os.Chmod(to, 0o700))
		for _, f := range []string{"manifest.json", "state.db", "store-one.db", "store-two.db"} {
			w.must(os.Chmod(filepath.Join(to, f), 0o600))
		}
		return to
	}
	at := func(name string) string { return filepath.Join(w.base, name) }
	theirs := copied("theirs")
	w.must(os.Chown(theirs, 1234, 1234))
	file1 := copied("one file of theirs")
	w.must(os.Chown(filepath.Join(file1, "state.db"), 1234, 1234))
	open := copied("open")
	w.must(os.Chmod(filepath.Join(open, "state.db"), 0o666))
	fifo := copied("fifo in it")
	w.must(errors.Join(os.Remove(filepath.Join(fifo, "state.db")), unix.Mkfifo(filepath.Join(fifo, "state.db"), 0o600)))
	sparse := copied("sparse")
	w.must(os.Truncate(filepath.Join(sparse, "state.db"), 3<<30))
	linked := copied("linked")
	w.must(errors.Join(os.Remove(filepath.Join(linked, "state.db")), os.Symlink(filepath.Join(folder, "state.db"), filepath.Join(linked, "state.db"))))
	names := copied("names")
	w.must(os.WriteFile(filepath.Join(names, "manifest.json"), []byte(`{"shadowsync_backup": 1, "databases": [{"name": "../lib/state/state.db"}]}`), 0o600))
	twice := copied("twice")
	w.must(os.WriteFile(filepath.Join(twice, "manifest.json"), []byte(`{"shadowsync_backup": 1, "databases": [{"name": "state.db"}, {"name": "state.db"}]}`), 0o600))
	w.must(unix.Mkfifo(at("fifo"), 0o600))
	w.must(os.Symlink(file, at("link")))
	w.live("later")
	for path, says := range map[string]string{
		theirs: "belongs to uid 1234", file1: "belongs to uid 1234", open: "can be written by others", fifo: "not a regular file", sparse: "larger than",
		linked: "symbolic link", names: "not a backup", twice: "not a backup", at("fifo"): "not a regular file", at("link"): "symbolic link",
		"/dev/zero": "not a regular file", at("none"): "no such file", w.base: "not a backup",
	} {
		done := make(chan error, 1)
		go func() { done <- w.restore(t.Context(), path) }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it waits", path)
		}
	}
	w.mustHold("later")
	w.leavesNothing()
}

// TestTargets: a planted link is not followed, and only force replaces an existing file.
func TestTargets(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for folders of somebody else")
	}
	w, file := sealed(t)
	precious := filepath.Join(w.base, "precious")
	w.must(os.WriteFile(precious, []byte("root's own"), 0o600))
	shared := filepath.Join(w.base, "shared")
	w.must(errors.Join(os.Mkdir(shared, 0o777), os.Chmod(shared, 0o777|os.ModeSticky)))
	planted := filepath.Join(shared, "planted")
	w.must(errors.Join(os.Symlink(precious, planted), os.Lchown(planted, 1234, 1234)))
	theirs := filepath.Join(w.base, "theirs")
	w.must(errors.Join(os.Mkdir(theirs, 0o755), os.Symlink(shared, filepath.Join(theirs, "out")), os.Chown(theirs, 1234, 1234)))
	for path, force := range map[string]bool{file: false, planted: false, filepath.Join(theirs, "out", "x"): false, planted + "/": true, filepath.Join(theirs, "out", "y"): true, shared: true} {
		var open *rootonly.Error
		if err := CheckTarget(path, force); !errors.Is(err, ErrExists) && !errors.As(err, &open) {
			t.Errorf("%s: %v", path, err)
		}
	}
	w.must(w.backup(t.Context(), filepath.Join(theirs, "good")))
	w.must(w.backup(t.Context(), filepath.Join(shared, "good")))
	if text, err := os.ReadFile(precious); err != nil || string(text) != "root's own" {
		t.Errorf("root wrote over %q, %v", text, err)
	}
	if info, err := os.Lstat(filepath.Join(theirs, "good")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup is %v, %v", info, err)
	}
}
