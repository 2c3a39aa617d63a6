package protect

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
)

const passwdFile = "root:x:0:0:::\ntoor:x:0:5:::\nalice:x:1001:100:::\ndave:x:1004:100:::\nerin:x:1005:100:::\n" +
	"primary:x:1008:27:::\ntwin:x:1001:100:::\nplain:x:1009:100:::\nplain:x:0:0:::\nlater:x:1010:100:::\nboss:x:1011:100:::\n" +
	"ruled:x:1012:100:::\nruler:x:1012:100:::\nzero:x:1013:0:::\nconfigured:x:1014:100:::\nbosstwin:x:1011:100:::\nlocal:x:1015:999:::\n"

const groupFile = "root:x:0:\nsudo:x:27:alice,,dave\nadmins:x:27:erin\nusers:x:100:plain\ndocker:x:99:\noperators:x:50:boss\nours:x:60:configured\n" +
	"shut:x:y:plain\n"

const gshadowFile = "docker:!:later:\nusers:!:plain:\nbroken\n"

func systemAt(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The definition, case by case. This system has no sudo.
func TestOf(t *testing.T) {
	root := systemAt(t, map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile, "etc/gshadow": gshadowFile})
	j := New(Options{Root: root, Groups: []string{"ours"}, Admins: []string{"operators"}})
	want := map[string]Standing{
		"root": {Why: "uid 0"}, "toor": {Why: "uid 0"},
		"alice": {Why: "member of sudo"}, "dave": {Why: "member of sudo"},
		"erin":       {Why: "member of sudo"}, // a group with the same gid
		"primary":    {Why: "member of sudo"},
		"twin":       {Why: "same uid as alice, member of sudo"},
		"later":      {Why: "member of docker"}, // its administrator in gshadow(5)
		"zero":       {Why: "member of root"},
		"configured": {Why: "member of ours"},
		"plain":      {Why: "uid 0"}, // its second line is root's
		"boss":       {Administrator: "an administrator of pcli, member of operators"},
		"bosstwin":   {Administrator: "same uid as boss, an administrator of pcli, member of operators"},
		"ruled":      {}, "local": {},
		"ghost": {Why: "cannot tell whether it is powerful: it is not in passwd(5)"},
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	got := j.Of(t.Context(), names...)
	for name, s := range want {
		if got[name] != s {
			t.Errorf("%s: %+v, want %+v", name, got[name], s)
		}
	}
	broken := New(Options{Root: systemAt(t, map[string]string{"etc/passwd": passwdFile})})
	if s := broken.Of(t.Context(), "ruled")["ruled"]; !strings.HasPrefix(s.Why, "cannot tell") {
		t.Errorf("without group(5): %+v", s)
	}
	for _, group := range []string{"sudo", "wheel", "disk", "docker", "shadow", "lxd", "kvm", "libvirt", "adm", "ours"} {
		if !j.Group(group) {
			t.Errorf("the group %s gives nobody protection", group)
		}
	}
	if j.Group("operators") || j.Group("users") {
		t.Error("a plain group is protected")
	}
}

// sudoer answers in place of sudo.
type sudoer struct {
	answers map[string]Answer
	err     error
	asked   []string
}

func (s *sudoer) ask(_ context.Context, names []string) (map[string]Answer, error) {
	s.asked = append(s.asked, names...)
	return s.answers, s.err
}

// finderOf returns a finder of the running system, because only there sudo is asked, and looked up.
func finderOf(t *testing.T, s *sudoer) *Finder {
	t.Helper()
	if program("/") == "" {
		programs = append(programs, "/proc/self/exe")
		t.Cleanup(func() { programs = programs[:len(programs)-1] })
	}
	return New(Options{Root: "/", Ask: s.ask})
}

// What sudo allows counts for every name of the uid. An answer "nothing" is asked again each time;
// "something" and "unknown" are remembered.
func TestSudo(t *testing.T) {
	s := &sudoer{answers: map[string]Answer{"nobody": {}}}
	j := finderOf(t, s)
	of := func() Standing { return j.Of(t.Context(), "nobody")["nobody"] }
	if got := of(); got != (Standing{}) {
		t.Fatalf("allowed nothing: %+v", got)
	}
	s.answers["nobody"] = Answer{Allows: true}
	if got := of(); got.Why == "" || !got.Sudo {
		t.Errorf("root has given a right since, and an old answer is used: %+v", got)
	}
	asked := len(s.asked)
	if got := of(); got.Why == "" || len(s.asked) != asked {
		t.Errorf("%+v, asked %d times more about one who is allowed", got, len(s.asked)-asked)
	}
	if got := j.Glance(t.Context(), "nobody")["nobody"]; got.Why == "" {
		t.Errorf("for a list: %+v", got)
	}
	for name, s := range map[string]*sudoer{
		"it fails": {err: errors.New("no bus")}, "it says nothing": {}, "it cannot tell": {answers: map[string]Answer{"nobody": {Unknown: "x"}}},
	} {
		if got := finderOf(t, s).Of(t.Context(), "nobody")["nobody"]; !strings.HasPrefix(got.Why, "cannot tell") || got.Later {
			t.Errorf("%s: %+v", name, got)
		}
	}
	late := &sudoer{answers: map[string]Answer{"nobody": {Unknown: "x", Later: true}}}
	j = finderOf(t, late)
	for range 2 {
		if got := of(); got.Why == "" || !got.Later {
			t.Errorf("not asked in time: %+v", got)
		}
	}
	if len(late.asked) != 2 {
		t.Errorf("asked %v: who was not asked about is to be asked about again", late.asked)
	}
	if got := j.Of(t.Context(), "root")["root"]; got.Why != "uid 0" || slices.Contains(late.asked, "root") {
		t.Errorf("%+v; sudo was asked about root", got)
	}
}

// The sudo of a mounted system is not run.
func TestMounted(t *testing.T) {
	root := systemAt(t, map[string]string{"etc/passwd": passwdFile, "etc/group": groupFile, "usr/bin/sudo": "#!/bin/false\n"})
	s := &sudoer{}
	got := New(Options{Root: root, Ask: s.ask}).Of(t.Context(), "local")["local"]
	if want := "cannot tell whether it is powerful: the sudo of a mounted system cannot be asked"; got.Why != want || len(s.asked) > 0 {
		t.Errorf("%q, asked about %v", got.Why, s.asked)
	}
}

// The exit status of sudo -l differs between versions; only its own text for "nothing" means
// nothing.
func TestAsk(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"nothing", `echo "User joe is not allowed to run sudo on box."`, "{false  false}"},
		{"nothing, exit 1", `echo "User joe is not allowed to run sudo on box."; exit 1`, "{false  false}"},
		{"of another", `echo "User joey is not allowed to run sudo on box."`, "{true  false}"},
		{"a rule", `printf 'User joe may run the following commands on box:\n    (root) /bin/true\n'`, "{true  false}"},
		{"silence", `true`, "{true  false}"},
		{"an error", `echo "sudo: unknown user joe" >&2; exit 1`, "cannot ask sudo"},
		{"it hangs", `exec sleep 600`, "did not answer in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(systemAt(t, map[string]string{"sudo": "#!/bin/sh\n" + tt.script + "\n"}), "sudo")
			within := time.Minute
			if tt.name == "it hangs" {
				within = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			answer := ask(ctx, path, "joe")
			got := strings.Join([]string{"{" + map[bool]string{true: "true", false: "false"}[answer.Allows], answer.Unknown, "false}"}, " ")
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestStranger: an account of a directory is protected by the groups that it has there, by a local group
// of their gid, by a local account of its uid, and by sudo.
func TestStranger(t *testing.T) {
	root := systemAt(t, map[string]string{"etc/passwd": "root:x:0:0:::\nlocal:x:1000:1000:::\nadmin:x:1001:27:::\n", "etc/group": "sudo:x:27:\nnet:x:50:\n"})
	j := New(Options{Root: root, Admins: []string{"net"}, Groups: []string{"ours"}})
	for _, tt := range []struct {
		name      string
		uid, gid  uint32
		groups    map[string]int
		protected bool
	}{
		{"plain", 7000, 7000, nil, false},
		{"other group", 7000, 7000, map[string]int{"users": 100}, false},
		{"docker in the directory", 7000, 7000, map[string]int{"docker": 7900}, true},
		{"our group", 7000, 7000, map[string]int{"ours": 7900}, true},
		{"gid of sudo", 7000, 7000, map[string]int{"staff2": 27}, true},
		{"primary group sudo", 7000, 27, nil, true},
		{"uid 0", 0, 7000, nil, true},
		{"uid of a local administrator", 1001, 7000, nil, true},
		{"uid of a plain account", 1000, 7000, nil, false},
	} {
		s := j.OfStranger(t.Context(), shadowfile.Login{Name: "anna", UID: tt.uid, GID: tt.gid}, tt.groups)
		if (s.Why != "") != tt.protected {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
	if s := j.OfStranger(t.Context(), shadowfile.Login{Name: "anna", UID: 7000, GID: 7000}, map[string]int{"net": 50}); s.Administrator == "" {
		t.Errorf("an administrator: %+v", s)
	}
}
