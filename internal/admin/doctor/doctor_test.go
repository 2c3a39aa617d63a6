package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestPrint(t *testing.T) {
	t.Parallel()
	r := Result{Checks: []Finding{
		{Name: "clock", State: OK, Detail: "2026-01-02"},
		{Name: "pam-line", State: Fail, Detail: "missing", Fix: "pam-auth-update --enable shadowsync"},
		{Name: "locks", State: Warn, Detail: "stale"},
		{Name: "managed", State: OK, Detail: "named", Fixed: true},
	}}
	var said strings.Builder
	if err := r.Print(&said); err != nil {
		t.Fatal(err)
	}
	want := `ok    clock     2026-01-02
FAIL  pam-line  missing
                fix it with: pam-auth-update --enable shadowsync
warn  locks     stale
ok    managed   fixed: named
4 checks: 1 failed, 1 warning
`
	if said.String() != want {
		t.Errorf("printed:\n%s\nwant:\n%s", said.String(), want)
	}
}

func TestJoinKeepsTheWorstAndMendsAll(t *testing.T) {
	t.Parallel()
	if v := join("fine", pass("a"), pass("b")); v.state != OK || v.detail != "fine" {
		t.Errorf("nothing wrong: %+v", v)
	}
	mended := 0
	mend := func(context.Context) error { mended++; return nil }
	broken := errors.New("broken")
	v := join("fine", pass("a"), fail("b").by("x", mend), warn("c").by("x", func(context.Context) error { return broken }), warn("d").by("y", mend), fail("e"))
	if v.state != Fail || v.detail != "b; c; d; e" || v.command != "x && y" {
		t.Errorf("joined: %+v", v)
	}
	if err := v.mend(t.Context()); !errors.Is(err, broken) || mended != 2 {
		t.Errorf("mend = %v after %d", err, mended)
	}
}

// A repaired check runs again; a failed repair is reported.
func TestFixLooksAgain(t *testing.T) {
	t.Parallel()
	well := false
	heals := check{name: "heals", look: func(context.Context, *exam) verdict {
		if well {
			return pass("well")
		}
		return fail("ill").by("cure", func(context.Context) error { well = true; return nil })
	}}
	stays := check{name: "stays", look: func(context.Context, *exam) verdict {
		return fail("ill").by("cure", func(context.Context) error { return errors.New("no\ncure") })
	}}
	e := newExam(Options{Config: filepath.Join(t.TempDir(), "none")})
	defer e.close()
	if f := e.run(t.Context(), heals); f.State != Fail || f.Fix != "cure" || well {
		t.Errorf("without --fix: %+v", f)
	}
	e.Fix = true
	if f := e.run(t.Context(), heals); f.State != OK || !f.Fixed || f.Detail != "well" {
		t.Errorf("with --fix: %+v", f)
	}
	if f := e.run(t.Context(), stays); f.State != Fail || f.Fixed || f.Detail != `ill (cannot fix it: no\ncure)` {
		t.Errorf("an incurable one: %+v", f)
	}
}

// After a remove, --fix must not restore anything.
func TestNothingIsWiredWithoutAConfiguration(t *testing.T) {
	t.Parallel()
	e := newExam(Options{Config: filepath.Join(t.TempDir(), "none"), Fix: true})
	defer e.close()
	never := check{name: "wired", wired: true, look: func(context.Context, *exam) verdict { panic("looked at") }}
	if f := e.run(t.Context(), never); f.State != Warn || f.Detail != "not checked: shadowsync is not set up" {
		t.Errorf("without a configuration: %+v", f)
	}
}

func TestAssessHost(t *testing.T) {
	t.Parallel()
	room := func(free uint64, edit func(*unix.Statfs_t)) unix.Statfs_t {
		st := unix.Statfs_t{Bsize: 1 << 10, Bfree: free >> 10, Files: 10, Ffree: 5}
		edit(&st)
		return st
	}
	none := func(*unix.Statfs_t) {}
	cases := []struct {
		name string
		got  verdict
		want State
	}{
		{"clock of 1970", assessClock(time.Unix(86400, 0)), Fail},
		{"clock of today", assessClock(time.Now()), OK},
		{"room", assessRoom("/", room(1<<30, none)), OK},
		{"little room", assessRoom("/", room(2<<20, none)), Warn},
		{"no room", assessRoom("/", room(0, none)), Fail},
		{"no inode", assessRoom("/", room(1<<30, func(st *unix.Statfs_t) { st.Ffree = 0 })), Fail},
		{"btrfs, without inodes", assessRoom("/", room(1<<30, func(st *unix.Statfs_t) { st.Files, st.Ffree = 0, 0 })), OK},
		{"read-only", assessRoom("/", room(1<<30, func(st *unix.Statfs_t) { st.Flags = unix.ST_RDONLY })), Fail},
		{"room in /tmp", assessTmp(room(1<<30, none), nil), OK},
		{"no inode in /tmp", assessTmp(room(1<<30, func(st *unix.Statfs_t) { st.Files, st.Ffree = 1, 0 }), nil), Fail},
		{"a read-only /tmp", assessTmp(room(1<<30, func(st *unix.Statfs_t) { st.Flags = unix.ST_RDONLY }), nil), Fail},
		{"no /tmp", assessTmp(unix.Statfs_t{}, unix.ENOENT), Fail},
		{"shadow of Debian", assessShadowFile(0o640, 0, 42, 42), OK},
		{"shadow of Fedora", assessShadowFile(0, 0, 0, 0), OK},
		{"shadow for everybody", assessShadowFile(0o644, 0, 42, 42), Fail},
		{"shadow for another group", assessShadowFile(0o640, 0, 7, 42), Fail},
		{"shadow writable by its group", assessShadowFile(0o660, 0, 42, 42), Fail},
		{"shadow of somebody", assessShadowFile(0o640, 7, 42, 42), Fail},
		{"shadow as a link", assessShadowFile(0o777|fs.ModeSymlink, 0, 0, 42), Fail},
	}
	for _, c := range cases {
		if c.got.state != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, c.got.state, c.got.detail, c.want)
		}
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		strconv.Itoa(os.Getpid()) + "\x00": false, "1\n": false, "": false, "x": false, "-1": false, "4194305\x00": true,
	} {
		if got := stale([]byte(text)); got != want {
			t.Errorf("stale(%q) = %v", text, got)
		}
	}
}

func TestWithoutFiles(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"passwd: files systemd\nshadow:files\n":        nil,
		"passwd: compat\n":                             nil,
		"hosts: dns\n":                                 nil,
		"passwd: sss # files\nshadow:\tsss\tldap\n":    {"passwd", "shadow"},
		"# passwd: sss\n  shadow : filesystem\ngroup:": {"shadow"},
	}
	for text, want := range cases {
		if got := withoutFiles(text); !slices.Equal(got, want) {
			t.Errorf("withoutFiles(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestEditKeepsTheRest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "common-password")
	if err := os.WriteFile(path, []byte("one\npassword required pam_shadowsync.so\nlast"), 0o604); err != nil {
		t.Fatal(err)
	}
	link := path + "-link" // like authselect's nsswitch.conf
	if err := os.Symlink(filepath.Base(path), link); err != nil {
		t.Fatal(err)
	}
	if err := edit(link, withoutOurs); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != filepath.Base(path) {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	text, err := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if err != nil || statErr != nil || string(text) != "one\nlast" || info.Mode() != 0o604 {
		t.Errorf("edited: %q, %v, %v, %v", text, info.Mode(), err, statErr)
	}
}

func TestAssessStore(t *testing.T) {
	t.Parallel()
	a := config.Application{Name: "conductor", Accounts: []string{"admin", "user222"}}
	one := shadowsync.StoreSnapshot{Accounts: map[string]shadowsync.StoredAccount{"admin": {}}}
	for says, v := range map[string]verdict{
		"does not hold user222": assessStore("/c", a, one, nil),
		"is malformed: depth":   assessStore("/c", a, one, driver.Malformed("depth")),
		"cannot be read: gone":  assessStore("/c", a, one, driver.Unavailable(errors.New("gone"))),
	} {
		if v.state != Fail || !strings.Contains(v.detail, says) || !strings.Contains(v.detail, "a person has to") || v.command == "" {
			t.Errorf("%s: %+v", says, v)
		}
	}
}

// The verdict on a trial names the first step that failed.
func TestAssessTrial(t *testing.T) {
	t.Parallel()
	fine := trial{
		token: "t", output: scratchMessage, stored: true, heard: true, carried: "t",
		announced: announcement{"pam-changed", scratchAccount},
	}
	if v := fine.assess(); v.state != OK {
		t.Errorf("a good trial: %+v", v)
	}
	for says, spoil := range map[string]func(*trial){
		"passwd does not change passwords": func(t *trial) { t.stored, t.heard = false, false },
		"is not announced":                 func(t *trial) { t.heard = false },
		"announces something else":         func(t *trial) { t.announced.User = "root" },
		"does not hand over":               func(t *trial) { t.carried = "" },
		"does not show":                    func(t *trial) { t.output = "" },
		"reports a failure":                func(t *trial) { t.failed = errors.New("exit status 1") },
	} {
		spoiled := fine
		spoil(&spoiled)
		if v := spoiled.assess(); v.state != Fail || !strings.Contains(v.detail, says) {
			t.Errorf("%s: %+v", says, v)
		}
	}
}
