package shadowfile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
	"golang.org/x/sys/unix"
)

const (
	testPasswd = "root:x:0:0:root:/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n" +
		"old:$6$x$y:1002:1002:::\nnoshadow:x:1003:1003:::\n"
	testGroup  = "root:x:0:\nsudo:x:27:bob\n"
	testShadow = "root:*:19000:0:99999:7:::\n# a comment\nbroken\nadmin:$6$old:19000:0:99999:7::: \r\nadmin:$6$a:19000:0:99999:7:::9\n" +
		"+::::::::\nbob:!$6$b:0:0:99999:7:14:20000:\nadmin:second:1:2:3\nold:x:1:2:3\nghost:x:1:2:3\nlatin\xe9:x:1:2:3"
)

// testRoot creates a root directory with these files in /etc.
func testRoot(t testing.TB, passwd, group, shadow string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the shadow file must belong to root")
	}
	root := t.TempDir()
	put(t, filepath.Join(root, "etc/passwd"), passwd, 0o644)
	put(t, filepath.Join(root, "etc/group"), group, 0o644)
	put(t, filepath.Join(root, "etc/shadow"), shadow, 0o640)
	return root
}

func put(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func shadowOf(t testing.TB, root string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "etc/shadow"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// leftovers lists the files in etc that a write should not leave.
func leftovers(t testing.TB, root string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "etc/shadow?*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func read(t testing.TB, f *File, names ...string) map[string]shadowsync.Account {
	t.Helper()
	snapshot, err := f.Read(soon(t), names)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Accounts
}

// setHash returns the write that gives an account a hash.
func setHash(a shadowsync.Account, hash string) shadowsync.Write {
	want := a.Credential
	want.Hash = hash
	return shadowsync.Write{Name: a.Name, Expect: a.Credential, Want: want}
}

func TestRead(t *testing.T) {
	f := Open(testRoot(t, testPasswd, testGroup, testShadow))
	snapshot, err := f.Read(soon(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]shadowsync.Account{
		"root":  {Name: "root", UID: 0, Credential: shadowsync.Credential{Hash: "*", LastChange: 19000, Max: 99999, Warn: 7, Inactive: noDay, Expire: noDay}},
		"admin": {Name: "admin", UID: 1000, Credential: shadowsync.Credential{Hash: "$6$a", LastChange: 19000, Max: 99999, Warn: 7, Inactive: noDay, Expire: noDay}},
		"bob": {Name: "bob", UID: 1001, Credential: shadowsync.Credential{
			Hash: "$6$b", Locked: true, LastChange: noDay, MustChange: true, Max: 99999, Warn: 7, Inactive: 14, Expire: 20000,
		}},
	}
	for name, account := range want {
		if snapshot.Accounts[name] != account {
			t.Errorf("%+v, want %+v", snapshot.Accounts[name], account)
		}
	}
	if len(snapshot.Accounts) != len(want) {
		t.Errorf("accounts %v", snapshot.Accounts)
	}
	if now, err := f.Revision(soon(t)); err != nil || now != snapshot.Revision {
		t.Errorf("Revision = %s, %v; the snapshot has %s", now, err, snapshot.Revision)
	}
	if some := read(t, f, "bob", "nobody"); len(some) != 1 || some["bob"] != want["bob"] {
		t.Errorf("by name: %v", some)
	}
	if none, err := f.Read(soon(t), []string{}); err != nil || len(none.Accounts) != 0 {
		t.Errorf("no names: %v, %v", none, err)
	}
}

func TestUIDs(t *testing.T) {
	passwd := testPasswd + "elsewhere:*:1500:1500::/:/bin/sh\n"
	f := Open(testRoot(t, passwd, testGroup, testShadow))
	got, err := f.UIDs(soon(t), []string{"bob", "elsewhere", "nobody"})
	if want := map[string]int{"bob": 1001}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestWriteReplacesOneLine(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	f := Open(root)
	write := setHash(read(t, f)["admin"], "$y$new")
	write.Want.LastChange = 20500
	left, err := f.Write(soon(t), []shadowsync.Write{write})
	if err != nil || len(left) != 0 {
		t.Fatal(left, err)
	}
	want := strings.Replace(testShadow, "admin:$6$a:19000:", "admin:$y$new:20500:", 1)
	if got := shadowOf(t, root); got != want {
		t.Errorf("shadow is now\n%q, want\n%q", got, want)
	}
	if files := leftovers(t, root); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// blind returns a write for an account that was never read.
func blind(name string) shadowsync.Write {
	return setHash(shadowsync.Account{Name: name, Credential: shadowsync.NoAgeing()}, "$y$blind")
}

func TestWriteLeavesAlone(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	f := Open(root)
	all := read(t, f)
	stale := setHash(all["bob"], "$y$b")
	stale.Expect.MustChange, stale.Expect.LastChange = false, 19000
	left, err := f.Write(soon(t), []shadowsync.Write{
		stale, setHash(all["admin"], "$y$a"),
		blind("ghost"), blind("noshadow"), blind("old"), blind("nobody"), blind("+"), blind(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(left["bob"], shadowsync.ErrChanged) {
		t.Errorf("bob: %v", left["bob"])
	}
	for _, name := range []string{"ghost", "noshadow", "old", "nobody", "+", ""} {
		if !errors.Is(left[name], shadowsync.ErrNoAccount) {
			t.Errorf("%q: %v", name, left[name])
		}
	}
	if got := read(t, f); got["admin"].Hash != "$y$a" || got["bob"] != all["bob"] || len(left) != 7 {
		t.Errorf("admin %v, bob %v, left %v", got["admin"], got["bob"], left)
	}
}

func TestWriteWithoutEffectKeepsTheFile(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	f := Open(root)
	before := inode(t, root)
	if left, err := f.Write(soon(t), []shadowsync.Write{setHash(read(t, f)["admin"], "$6$a"), blind("nobody")}); err != nil || len(left) != 1 {
		t.Fatal(left, err)
	}
	if inode(t, root) != before {
		t.Error("the file was replaced for nothing")
	}
}

func inode(t testing.TB, root string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, "etc/shadow"), &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestWriteRefusesTearingValues also checks that a bad value of one account does not block the
// write of another.
func TestWriteRefusesTearingValues(t *testing.T) {
	for _, hash := range []string{"x:y", "x\nroot::1:::::", "x\x00", strings.Repeat("x", 5000)} {
		root := testRoot(t, testPasswd, testGroup, testShadow)
		f := Open(root)
		all := read(t, f)
		left, err := f.Write(soon(t), []shadowsync.Write{setHash(all["bob"], "$y$new"), setHash(all["admin"], hash)})
		want := strings.Replace(testShadow, "!$6$b", "!$y$new", 1)
		if err != nil || len(left) != 1 || left["admin"] == nil || shadowOf(t, root) != want {
			t.Errorf("%.10q: left %v, err %v, shadow %q", hash, left, err, shadowOf(t, root))
		}
		if left, err := f.Write(soon(t), []shadowsync.Write{setHash(all["admin"], hash)}); err != nil || left["admin"] == nil || shadowOf(t, root) != want {
			t.Errorf("%.10q alone: left %v, err %v", hash, left, err)
		}
	}
}

// TestMarksAreCountedOnce: two lock marks mean one lock, and both stay in the file.
func TestMarksAreCountedOnce(t *testing.T) {
	shadow := strings.Replace(testShadow, ":!$6$b:", ":!!$6$b:", 1)
	root := testRoot(t, testPasswd, testGroup, shadow)
	f := Open(root)
	bob := read(t, f)["bob"]
	if bob.Hash != "$6$b" || !bob.Locked {
		t.Fatalf("bob is %+v", bob)
	}
	aged := bob.Credential
	aged.Warn = 9
	open := aged
	open.Locked = false
	for _, step := range []struct {
		expect, want shadowsync.Credential
		field        string
	}{{bob.Credential, aged, ":!!$6$b:"}, {aged, open, ":$6$b:"}} {
		left, err := f.Write(soon(t), []shadowsync.Write{{Name: "bob", Expect: step.expect, Want: step.want}})
		if err != nil || len(left) > 0 || !strings.Contains(shadowOf(t, root), "bob"+step.field) {
			t.Errorf("left %v, err %v, shadow %q, want %q", left, err, shadowOf(t, root), step.field)
		}
	}
}

func TestAttributesAreKept(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	path := filepath.Join(root, "etc/shadow")
	acl := "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\xe8\x03\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff" +
		"\x10\x00\x04\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff" // user::rw- user:1000:r-- group::r-- mask::r-- other::---
	want := map[string]string{"user.note": "kept", "trusted.note": "\x00\x01", "security.note": "label", "system.posix_acl_access": acl}
	if err := os.Chown(path, 0, 42); err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
			t.Logf("this file system takes no %s: %v", name, err)
			delete(want, name)
		}
	}
	f := Open(root)
	if _, err := f.Write(soon(t), []shadowsync.Write{setHash(read(t, f)["admin"], "$y$new")}); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Uid != 0 || st.Gid != 42 || st.Mode != unix.S_IFREG|0o640 {
		t.Errorf("owner %d:%d, mode %o, %v", st.Uid, st.Gid, st.Mode, err)
	}
	for name, value := range want {
		buffer := make([]byte, 1000)
		n, err := unix.Getxattr(path, name, buffer)
		if err != nil || string(buffer[:max(n, 0)]) != value {
			t.Errorf("%s = %q, %v; want %q", name, buffer[:max(n, 0)], err, value)
		}
	}
	if len(want) == 0 {
		t.Skip("no extended attributes here")
	}
}

func TestHostileTrees(t *testing.T) {
	outside := testRoot(t, testPasswd, testGroup, "admin:outside:1:2:3:4:5:6:\n")
	tests := map[string]func(t *testing.T, root string){
		"shadow is a symbolic link": func(t *testing.T, root string) { link(t, "shadow.real", root, "etc/shadow") },
		"shadow links outside":      func(t *testing.T, root string) { link(t, outside+"/etc/shadow", root, "etc/shadow") },
		"shadow is a folder": func(t *testing.T, root string) {
			replaceBy(t, root, func(p string) error { return os.Mkdir(p, 0o755) })
		},
		"shadow is a FIFO": func(t *testing.T, root string) {
			replaceBy(t, root, func(p string) error { return unix.Mkfifo(p, 0o600) })
		},
		"shadow is a device": func(t *testing.T, root string) {
			replaceBy(t, root, func(p string) error { return unix.Mknod(p, unix.S_IFCHR, 0x103) })
		},
		"shadow is somebody's": func(t *testing.T, root string) { must(t, os.Chown(root+"/etc/shadow", 1000, 0)) },
		"shadow is huge":       func(t *testing.T, root string) { must(t, os.Truncate(root+"/etc/shadow", maxSize+1)) },
		"etc links outside":    func(t *testing.T, root string) { link(t, outside+"/etc", root, "etc") },
		"etc links up":         func(t *testing.T, root string) { link(t, "../../../../../.."+outside+"/etc", root, "etc") },
		"etc is a magic link":  func(t *testing.T, root string) { link(t, "/proc/self/cwd", root, "etc") },
		"passwd links outside": func(t *testing.T, root string) { link(t, outside+"/etc/passwd", root, "etc/passwd") },
		"passwd links to a FIFO": func(t *testing.T, root string) {
			must(t, unix.Mkfifo(root+"/f", 0o600))
			link(t, "/f", root, "etc/passwd")
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			root := testRoot(t, testPasswd, testGroup, testShadow)
			spoil(t, root)
			f := Open(root)
			if got, err := f.Read(soon(t), nil); err == nil {
				t.Errorf("Read gave %v", got)
			}
			if _, err := f.Write(soon(t), []shadowsync.Write{blind("admin")}); err == nil {
				t.Error("Write found nothing wrong")
			}
			if got := shadowOf(t, outside); got != "admin:outside:1:2:3:4:5:6:\n" {
				t.Errorf("the outside is now %q", got)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func replaceBy(t *testing.T, root string, make func(path string) error) {
	t.Helper()
	path := filepath.Join(root, "etc/shadow")
	must(t, os.Rename(path, path+".real"))
	must(t, make(path))
}

// link replaces a file by a symbolic link; the file stays beside it.
func link(t *testing.T, target, root, name string) {
	t.Helper()
	path := filepath.Join(root, name)
	must(t, os.Rename(path, path+".real"))
	must(t, os.Symlink(target, path))
}

func TestLinksInsideTheTreeAreFollowed(t *testing.T) {
	root := testRoot(t, testPasswd, testGroup, testShadow)
	link(t, "/etc.real", root, "etc")
	link(t, "/etc/passwd.real", root, "etc.real/passwd")
	f := Open(root)
	if _, err := f.Write(soon(t), []shadowsync.Write{setHash(read(t, f)["admin"], "$y$new")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, f)["admin"].Hash; got != "$y$new" {
		t.Errorf("hash %q", got)
	}
}

func TestImageIdentity(t *testing.T) {
	root := t.TempDir()
	if id, err := ImageIdentity(root); err == nil {
		t.Errorf("a tree without etc: %q", id)
	}
	must(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	if id, err := ImageIdentity(root); err != nil || id != "" {
		t.Errorf("no os-release: %q, %v", id, err)
	}
	release := filepath.Join(root, "usr/lib/os-release")
	put(t, release, "NAME=x\nIMAGE_VERSION=1\n", 0o644)
	first, err := ImageIdentity(root)
	must(t, err)
	must(t, os.Symlink("../usr/lib/os-release", filepath.Join(root, "etc/os-release")))
	put(t, release, "NAME=y\nIMAGE_VERSION=1\n", 0o644)
	second, err := ImageIdentity(root)
	must(t, err)
	put(t, release, "NAME=y\nIMAGE_VERSION=2\n", 0o644)
	third, err := ImageIdentity(root)
	must(t, err)
	if first == "" || first != second || second == third {
		t.Errorf("identities %q, %q, %q", first, second, third)
	}
}

// bigTree creates a root directory with n accounts.
func bigTree(t testing.TB, n int) string {
	var passwd, shadow strings.Builder
	for i := range n {
		fmt.Fprintf(&passwd, "user%d:x:%d:%d:A User:/home/user%d:/bin/bash\n", i, 1000+i, 1000+i, i)
		fmt.Fprintf(&shadow, "user%d:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$%043d:20000:0:99999:7:::\n", i, i)
	}
	return testRoot(t, passwd.String(), testGroup, shadow.String())
}

func TestTenThousandWritesInOneReplacement(t *testing.T) {
	root := bigTree(t, 20_000)
	f := Open(root)
	var writes []shadowsync.Write
	for _, a := range read(t, f) {
		if strings.HasSuffix(a.Name, "0") || len(writes) < 8000 {
			writes = append(writes, setHash(a, "$y$"+a.Name))
		}
	}
	start := time.Now()
	left, err := f.Write(soon(t), writes)
	if err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	t.Logf("%d writes took %v", len(writes), time.Since(start))
	after := read(t, f)
	for _, w := range writes {
		if after[w.Name].Hash != w.Want.Hash {
			t.Fatalf("%s has %q", w.Name, after[w.Name].Hash)
		}
	}
	lines := slices.Collect(strings.Lines(shadowOf(t, root)))
	if len(lines) != 20_000 {
		t.Errorf("%d lines", len(lines))
	}
}

func BenchmarkRead100000(b *testing.B) {
	f := Open(bigTree(b, 100_000))
	for b.Loop() {
		if _, err := f.Read(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadTenOf100000(b *testing.B) {
	f := Open(bigTree(b, 100_000))
	names := []string{"user1", "user2", "user3", "user4", "user5", "user6", "user7", "user8", "user9", "user99999"}
	for b.Loop() {
		if _, err := f.Read(b.Context(), names); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRevision100000(b *testing.B) {
	f := Open(bigTree(b, 100_000))
	for b.Loop() {
		if _, err := f.Revision(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteOneOf100(b *testing.B) {
	f := Open(bigTree(b, 100))
	for i := 0; b.Loop(); i++ {
		if _, err := f.Write(b.Context(), []shadowsync.Write{setHash(read(b, f, "user7")["user7"], fmt.Sprint("$y$", i))}); err != nil {
			b.Fatal(err)
		}
	}
}
