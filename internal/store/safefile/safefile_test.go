package safefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func place(t *testing.T, content string) Place {
	t.Helper()
	p := Place{Path: filepath.Join(t.TempDir(), "folder", "store")}
	if err := os.Mkdir(p.folder(), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, p.Path, content)
	return p
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

// holds checks the content of the file, and that its folder holds nothing else.
func holds(t *testing.T, p Place, want string) {
	t.Helper()
	if got, err := os.ReadFile(p.Path); err != nil || string(got) != want {
		t.Errorf("the file holds %q, want %q: %v", got, want, err)
	}
	entries, err := os.ReadDir(p.folder())
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v: %v", entries, err)
	}
}

func open(t *testing.T, p Place) *Folder {
	t.Helper()
	f, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func readAll(t *testing.T, f *Folder) *Content {
	t.Helper()
	c, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReplace(t *testing.T) {
	p := place(t, "old")
	f := open(t, p)
	if err := f.Replace(readAll(t, f), []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, p, "new")
	if digest, err := f.Digest(); err != nil || digest != Revision([]byte("new")) {
		t.Errorf("Digest: %q, %v", digest, err)
	}
}

// TestReplaceIsSeenWithinASecond: a server that compares seconds and sizes sees each file, and sees none of a time long
// past or far ahead.
func TestReplaceIsSeenWithinASecond(t *testing.T) {
	p := place(t, "000")
	f := open(t, p)
	seen := map[int64]string{}
	look := func() time.Time {
		info, err := os.Stat(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	seen[look().Unix()] = "000"
	for _, content := range []string{"001", "002", "003", "004"} {
		if err := f.Replace(readAll(t, f), []byte(content)); err != nil {
			t.Fatal(err)
		}
		second := look().Unix()
		if before := seen[second]; before != "" {
			t.Errorf("%s looks as %s does", content, before)
		}
		seen[second] = content
	}
	for _, at := range []time.Duration{-time.Hour, time.Hour} {
		former := time.Now().Add(at)
		if err := os.Chtimes(p.Path, former, former); err != nil {
			t.Fatal(err)
		}
		if err := f.Replace(readAll(t, f), []byte("new")); err != nil {
			t.Fatal(err)
		}
		if off := time.Since(look()).Abs(); off > time.Minute {
			t.Errorf("after a file of %v ago, the new one's time is %v off", -at, off)
		}
	}
}

func TestReplaceIsCompareAndSwap(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	tests := []struct {
		name   string
		change func(p Place) error
		want   string
	}{
		{"written in place", func(p Place) error { return os.WriteFile(p.Path, []byte("theirs"), 0o600) }, "theirs"},
		{"same length and time", func(p Place) error {
			return errors.Join(os.WriteFile(p.Path, []byte("OLD"), 0o600), os.Chtimes(p.Path, past, past))
		}, "OLD"},
		{"replaced by the same", func(p Place) error {
			return errors.Join(os.WriteFile(p.Path+"x", []byte("old"), 0o600), os.Rename(p.Path+"x", p.Path))
		}, "old"},
		{"folder exchanged", func(p Place) error {
			return errors.Join(os.Rename(p.folder(), p.folder()+".away"), os.Mkdir(p.folder(), 0o755), os.WriteFile(p.Path, []byte("old"), 0o600))
		}, "old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := place(t, "old")
			if err := os.Chtimes(p.Path, past, past); err != nil {
				t.Fatal(err)
			}
			f := open(t, p)
			old := readAll(t, f)
			if err := tt.change(p); err != nil {
				t.Fatal(err)
			}
			if err := f.Replace(old, []byte("new")); !errors.Is(err, ErrMoved) {
				t.Errorf("Replace says %v", err)
			}
			holds(t, p, tt.want)
		})
	}
}

func TestHostileFiles(t *testing.T) {
	tests := []struct {
		name string
		make func(p Place) error
		says string
	}{
		{"symbolic link", func(p Place) error { return os.Symlink("/etc/passwd", p.Path) }, "is a symbolic link"},
		{"dangling link", func(p Place) error { return os.Symlink("/nowhere", p.Path) }, "is a symbolic link"},
		{"FIFO", func(p Place) error { return unix.Mkfifo(p.Path, 0o600) }, "not a regular file"},
		{"socket", func(p Place) error { return unix.Mknod(p.Path, unix.S_IFSOCK|0o600, 0) }, "not a regular file"},
		{"folder", func(p Place) error { return os.Mkdir(p.Path, 0o700) }, "not a regular file"},
		{"device", func(p Place) error {
			err := unix.Mknod(p.Path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))
			if errors.Is(err, unix.EPERM) {
				return os.Mkdir(p.Path, 0o700)
			}
			return err
		}, "not a regular file"},
		{"enormous", func(p Place) error {
			return errors.Join(os.WriteFile(p.Path, nil, 0o600), os.Truncate(p.Path, 100<<20))
		}, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := place(t, "old")
			f := open(t, p)
			old := readAll(t, f)
			if err := errors.Join(os.Remove(p.Path), tt.make(p)); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(p.Path)
			_, errRead := f.Read()
			_, errDigest := f.Digest()
			_, _, errOwner := p.Owner()
			for _, err := range []error{errRead, errDigest, errOwner, f.Replace(old, []byte("new"))} {
				if !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v", err)
				}
			}
			if after, err := os.Lstat(p.Path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

func TestNoLinkOnTheWay(t *testing.T) {
	p := place(t, "old")
	link := p.folder() + ".link"
	if err := os.Symlink(p.folder(), link); err != nil {
		t.Fatal(err)
	}
	hostile := Place{Path: filepath.Join(link, "store")}
	if _, err := hostile.Open(); !errors.Is(err, shadowsync.ErrMalformed) || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("%v", err)
	}
	if _, err := (Place{Path: "/nowhere/at/all"}).Open(); !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing folder: %v", err)
	}
}

// TestWalk expects the same results from the walk for kernels without openat2.
func TestWalk(t *testing.T) {
	p := place(t, "old")
	if err := os.Symlink(p.folder(), p.folder()+".link"); err != nil {
		t.Fatal(err)
	}
	top, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(top)
	tests := []struct {
		path string
		want error
	}{
		{p.folder(), nil},
		{p.folder() + ".link", unix.ELOOP},
		{p.folder() + ".link/x", unix.ELOOP},
		{p.folder() + ".none", unix.ENOENT},
		{p.Path + "/x", unix.ENOTDIR},
	}
	for _, tt := range tests {
		for name, open := range map[string]func(int, string, int) (int, error){"walk": walkBeneath, "openat2": openBeneath} {
			fd, err := open(top, tt.path[1:], unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s of %s: %v, want %v", name, tt.path, err, tt.want)
			}
			if err == nil {
				_ = unix.Close(fd)
			}
		}
	}
}

func TestRoot(t *testing.T) {
	p := place(t, "old")
	inside := Place{Root: p.folder(), Path: "/store"}
	if got := readAll(t, open(t, inside)); string(got.Data) != "old" {
		t.Errorf("read %q", got.Data)
	}
	if err := os.Symlink("/", filepath.Join(p.folder(), "out")); err != nil {
		t.Fatal(err)
	}
	if _, err := (Place{Root: p.folder(), Path: "/out/etc/passwd"}).Open(); err == nil {
		t.Error("a link led out of the root")
	}
}

func TestSweep(t *testing.T) {
	p := place(t, "old")
	f := open(t, p)
	name := filepath.Base(p.Path)
	stays := []string{
		"." + name + ".shadowsync-1-cafe", // process 1 is alive
		"." + name + ".shadowsync-x", "." + name + ".shadowsync-99999999", ".other.shadowsync-99999999-cafe", name + ".bak",
	}
	goes := "." + name + ".shadowsync-99999999-cafe"
	for _, n := range append(stays, goes) {
		write(t, filepath.Join(p.folder(), n), "")
	}
	f.Sweep()
	if _, err := os.Stat(filepath.Join(p.folder(), goes)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", goes, err)
	}
	for _, n := range stays {
		if _, err := os.Stat(filepath.Join(p.folder(), n)); err != nil {
			t.Error(err)
		}
	}
}

// TestReplacedAtTheLastInstant: the application renames a file between our last check and our
// rename, or one before it and the next one after it.
func TestReplacedAtTheLastInstant(t *testing.T) {
	for name, next := range map[string]string{"once": "", "twice": "theirs, saved again"} {
		t.Run(name, func(t *testing.T) {
			p := place(t, "old")
			save := func(content string) {
				write(t, p.Path+"x", content)
				if err := os.Rename(p.Path+"x", p.Path); err != nil {
					t.Fatal(err)
				}
			}
			f := open(t, p)
			old := readAll(t, f)
			temp, err := f.prepare([]byte("new"))
			if err != nil {
				t.Fatal(err)
			}
			ours, err := f.temporary(temp)
			if err != nil {
				t.Fatal(err)
			}
			save("theirs")
			if err := f.put(temp, unix.RENAME_EXCHANGE); errors.Is(err, unix.EINVAL) {
				t.Skip("no exchange here")
			} else if err != nil {
				t.Fatal(err)
			}
			want := "theirs"
			if next != "" {
				save(next)
				want = next
			}
			if err := f.dropDisplaced(old, temp, ours); !errors.Is(err, ErrMoved) {
				t.Errorf("%v", err)
			}
			if err := temp.Discard(); err != nil {
				t.Fatal(err)
			}
			holds(t, p, want)
		})
	}
}

func TestLockedFolderIsNotWaitedForLong(t *testing.T) {
	p := place(t, "old")
	theirs, f := open(t, p), open(t, p)
	if err := unix.Flock(theirs.fd, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := f.Replace(readAll(t, f), []byte("new")); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	holds(t, p, "new")
}

// TestWrittenAfterItWasReplaced: a tool that takes no lock has opened the file before our rename, and writes
// to it after that.
func TestWrittenAfterItWasReplaced(t *testing.T) {
	p := place(t, "old")
	p.Linger = time.Second
	tool, err := os.OpenFile(p.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	f := open(t, p)
	old, wrote := readAll(t, f), make(chan error, 1)
	go func() {
		for {
			if text, err := os.ReadFile(p.Path); err != nil || string(text) == "new" {
				_, err := tool.WriteString("theirs")
				wrote <- err
				return
			}
		}
	}()
	if err := f.Replace(old, []byte("new")); !errors.Is(err, ErrMoved) {
		t.Errorf("%v", err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	holds(t, p, "theirs")
}
