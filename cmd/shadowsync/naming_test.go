package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hintOf is the command in a run's hint.
func hintOf(t *testing.T, r result) string {
	t.Helper()
	_, hint, found := strings.Cut(r.err, "hint: ")
	if !found {
		t.Fatalf("no hint:\n%s%s", r.out, r.err)
	}
	hint, _, _ = strings.Cut(hint, "\n")
	hint, _, _ = strings.Cut(hint, " (or")
	if at := strings.Index(hint, "shadowsync --"); at >= 0 {
		hint = hint[at:]
	}
	return hint
}

// follow runs a hint through a shell, as a person who copies it does.
func (s *system) follow(hint string) result {
	s.t.Helper()
	hint = strings.NewReplacer("UNIT", "128T.service", "NAME", "admin").Replace(hint)
	out, err := exec.Command("sh", "-c", "set -- "+hint+`; for word; do printf '%s\n' "$word"; done`).Output()
	if err != nil {
		s.t.Fatalf("%s: %v", hint, err)
	}
	words := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if words[0] != "shadowsync" {
		s.t.Fatalf("%q is no command of ours", hint)
	}
	return execute(s.t, s.t.Context(), "", words[1:]...)
}

// understood matches any exit status except wrong usage.
const understood = -1

// TestHintsActOnTheirSystem produces each hint on a mounted system and follows it. The test's own
// machine has no shadowsync, so every hint without --root would fail.
func TestHintsActOnTheirSystem(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*system)
		line    string
		exit    int // status of the command in the hint
	}{
		"no configuration": {func(s *system) { s.remove("/etc/shadowsync/shadowsync.toml") }, "status", understood},
		"no account":       {nil, "user show nobody", 0},
		"a usage error":    {nil, "user set password", 0},
		"a mistyped verb":  {nil, "statu", 0},
		"no entry":         {nil, "history restore admin 9", 0},
		"a conflict":       {func(s *system) { s.usermod("admin", s.hash("a")); s.setStore("admin", s.hash("b")) }, "sync", 0},
		"no password":      {func(s *system) { s.usermod("admin", "!") }, "user unlock admin", 0},
		"an unusable store": {func(s *system) {
			s.write("/srv/appliance/users.json", 0o600, "{")
		}, "user set password admin secret", 4}, // nothing repairs the store here
		"no store": {func(s *system) {
			s.remove("/srv/appliance/users.json")
		}, "user set password admin secret", 0},
		"a change that waits": {func(s *system) {
			text := s.read("/srv/appliance/users.json")
			s.remove("/srv/appliance/users.json")
			s.must(3, "user", "set", "password", "admin", "secret")
			s.write("/srv/appliance/users.json", 0o600, text)
		}, "remove", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			s.install()
			s.must(0, "sync")
			if test.prepare != nil {
				test.prepare(s)
			}
			r := s.run("", strings.Fields(test.line)...)
			hint := hintOf(t, r)
			if !strings.HasPrefix(hint, s.ours("")) {
				t.Fatalf("it names no system: %s", hint)
			}
			if got := s.follow(hint); got.status != test.exit && (test.exit != understood || got.status == 2) {
				t.Errorf("%s: status %d\n%s%s", hint, got.status, got.out, got.err)
			}
		})
	}
}

func (s *system) remove(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// TestNamedCommandsInOutput: status and setup also name commands outside of the hint.
func TestNamedCommandsInOutput(t *testing.T) {
	s := newSystem(t)
	bare := regexp.MustCompile(`shadowsync (sync|setup|user|status|remove) `)
	outputs := []string{s.run("", "status").out, s.run("", "status", "--json").out}
	s.must(0, "sync")
	s.usermod("admin", s.hash("a"))
	s.setStore("admin", s.hash("b"))
	s.run("", "sync")
	outputs = append(outputs, s.run("", "status").out, s.run("", "user", "show", "admin").out)
	for _, out := range outputs {
		if bare.MatchString(out) || !strings.Contains(out, "shadowsync --root "+s.root) {
			t.Errorf("it names no system:\n%s", out)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, test := range []struct{ root, config, text, want string }{
		{"/", "/etc/shadowsync/shadowsync.toml", "shadowsync sync admin", "shadowsync sync admin"},
		{"/", "/etc/other.toml", "mend it, then: shadowsync sync", "mend it, then: shadowsync --config /etc/other.toml sync"},
		{"/mnt/it's $1", "/etc/shadowsync/shadowsync.toml", "sudo shadowsync setup", `sudo shadowsync --root '/mnt/it'\''s $1' setup`},
		{"/mnt", "/c", "shadowsync sync (or: shadowsync remove --force)", "shadowsync --root /mnt --config /c sync (or: shadowsync --root /mnt --config /c remove --force)"},
		{"/mnt", "/c", "edit /c, then: shadowsync setup", "edit /mnt/c, then: shadowsync --root /mnt --config /c setup"},
		{"/mnt", "/c", "editor +7 /c", "editor +7 /mnt/c"},
		{"/mnt", "/c", "chown root /c && chmod go-w /c", "chown root /mnt/c && chmod go-w /mnt/c"},
		{"/mnt", "/c", "ls -la /etc", "ls -la /mnt/etc"},
		{"/mnt", "/c", "shadowsync doctor", "shadowsync --root /mnt --config /c status"},
		{"/mnt", "/c", "journalctl SYSLOG_IDENTIFIER=shadowsync", "journalctl --root=/mnt SYSLOG_IDENTIFIER=shadowsync"},
		{"/mnt", "/c", "systemctl restart shadowsync.service", "systemctl restart shadowsync.service"},
	} {
		a := &app{root: test.root, config: test.config}
		if got := a.named(test.text); got != test.want {
			t.Errorf("%s at %s: %s", test.text, test.root, got)
		}
	}
}

// TestRootThatIsNoSystem: nothing is changed, and no hint would change the host from which the
// rescue is done.
func TestRootThatIsNoSystem(t *testing.T) {
	dir := t.TempDir()
	file, host, empty := filepath.Join(dir, "file"), filepath.Join(dir, "host"), filepath.Join(dir, "empty")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", host); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for root, why := range map[string]string{
		file: "not a folder", filepath.Join(dir, "none"): "no such folder", empty: "no etc/passwd", host: "it is the running system",
	} {
		for _, verb := range []string{"status", "setup", "remove --purge", "sync", "user list"} {
			r := execute(t, t.Context(), "", append([]string{"--root", root}, strings.Fields(verb)...)...)
			if r.status != 2 || !strings.Contains(r.err, "cannot use --root "+root+": ") || !strings.Contains(r.err, why) || strings.Contains(r.err, "hint: shadowsync") {
				t.Errorf("%s: status %d\n%s", verb, r.status, r.err)
			}
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("left in it: %v, %v", left, err)
	}
}

// links replace a folder of a hostile tree. %h is a folder of the host with the same content. If
// inside is set, the link stays within the tree, so the commands may follow it, as in the booted
// system.
var links = []struct {
	name, target string
	inside       bool
}{
	{"absolute", "%h", false},
	{"inside", "/moved", true},
	{"climbing", "../../../../../../../../../../../../..%h", false},
	{"magic", "/proc/self/root%h", false},
	{"init's", "/proc/1/root%h", false},
	{"loop", "%p", false},
	{"chain", "/first", false},
	{"inside, climbing", "../../../../../../../../../../../moved", true},
}

// folders are the folders of a system that may be links.
var folders = []string{
	"etc", "etc/shadowsync", "etc/systemd", "etc/systemd/system", "etc/pam.d", "var", "var/lib", "var/lib/shadowsync",
	"var/lib/shadowsync/state", "srv", "srv/appliance", "run", "run/shadowsync", "usr", "usr/lib", "home",
}

// files are never links on a running system, or only for a moment.
var files = []string{
	"etc/passwd", "etc/group", "etc/shadow", "etc/.pwd.lock", "etc/login.defs", "etc/shells", "etc/shadowsync/shadowsync.toml", "srv/appliance/users.json",
	"var/lib/shadowsync/state/state.db", "var/lib/shadowsync/state/state.db-journal", "var/lib/shadowsync/state/lock",
	"etc/systemd/system/128T.service.d", "etc/systemd/system/sockets.target.wants", "home/admin",
}

// TestHostileTree runs every verb on a tree in which one folder is a link out of it, to a copy that
// stands for the host. Nothing in that copy may change, and none of its passwords may be shown.
// Every name is tried as the first two kinds of links, and as one of the others.
func TestHostileTree(t *testing.T) {
	if testing.Short() {
		t.Skip("some hundred trees")
	}
	for i, folder := range slices.Concat(folders, files) {
		others := links[2:]
		for _, link := range append(links[:2:2], others[i%len(others)]) {
			t.Run(link.name+" "+folder, func(t *testing.T) {
				t.Parallel()
				hostileTree(t, folder, link.target, link.inside)
			})
		}
	}
}

// hostVerbs each change something in a different way.
var hostVerbs = []string{
	"status", "sync", "setup --first os", "user set password admin secret", "user reset password user222", "user lock admin", "user unlock admin",
	"user expire password admin", "user list --hashes", "user show admin", "history admin", "audit --verify", "sync --prefer store",
	"backup --plain %d/backup", "hook pre-start --unit 128T.service", "remove --force", "remove --force --purge",
}

func hostileTree(t *testing.T, folder, target string, inside bool) {
	s := newSystem(t)
	s.install()
	s.must(0, "setup", "--first", "os")
	s.write("/home/admin/.ssh/authorized_keys", 0o600, "key")
	host := filepath.Join(filepath.Dir(s.root), "host")
	copyTree(t, s.root, host)
	marked := strings.ReplaceAll(s.read("/etc/shadow"), "19000", "12345")
	if err := os.WriteFile(filepath.Join(host, "etc/shadow"), []byte(marked), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.path(folder), s.path("moved")); err != nil {
		if err := os.MkdirAll(s.path("moved"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target = strings.NewReplacer("%h", filepath.Join(host, folder), "%p", "/"+folder).Replace(target)
	for name, to := range map[string]string{folder: target, "first": "/second", "second": filepath.Join(host, folder)} {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if strings.HasPrefix(target, "/proc/") && folder != "proc" {
		mountProc(t, s.path("proc"))
	}
	before := checksum(t, host)
	done := 0
	for _, verb := range hostVerbs {
		r := s.run("", strings.Fields(strings.ReplaceAll(verb, "%d", t.TempDir()))...)
		if strings.Contains(r.out+r.err, "2003-10-20") { // day 12345
			t.Errorf("%s tells of the host:\n%s%s", verb, r.out, r.err)
		}
		if r.status == 0 {
			done++
		}
	}
	if after := checksum(t, host); after != before {
		t.Errorf("the host has changed:\n%s", difference(before, after))
	}
	// The state's own folder is not a link on a running system.
	if inside && done < 3 && slices.Contains(folders, folder) && !strings.HasPrefix(folder, "var/lib/shadowsync") {
		t.Errorf("%d verbs work on a link inside", done)
	}
}

// mountProc adds magic links to the tree: a system under rescue often has /proc mounted.
func mountProc(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o555); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", path, "proc", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		t.Skipf("cannot mount proc: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// checksum lists everything under a folder: kind, owner, mode, times of change, content.
func checksum(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "cd "+shellWord(folder)+` && find . -printf '%p %y %U %G %m %s %l %T@ %C@\n' | sort && find . -type f -exec sha256sum {} + | sort`).CombinedOutput()
	if err != nil || len(out) < 1000 {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func difference(before, after string) string {
	var lines []string
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// TestUnreadableConfigurations: the check says what is wrong with a file of any kind. No hint opens
// an editor on a file that is not text, or on a link's target.
func TestUnreadableConfigurations(t *testing.T) {
	const file = "/etc/shadowsync/shadowsync.toml"
	for name, tt := range map[string]struct{ make, says, hint string }{
		"a folder":         {"mkdir F", "not a regular file", "ls -la /etc/shadowsync"},
		"a FIFO":           {"mkfifo F", "not a regular file", "ls -la /etc/shadowsync"},
		"a link":           {"ln -s ../passwd F", "not a regular file", "ls -la /etc/shadowsync"},
		"a link nowhere":   {"ln -s nowhere F", "not a regular file", "ls -la /etc/shadowsync"},
		"garbage":          {`printf "\206\000\377" > F`, "line 1: ", "editor +1 " + file},
		"nothing":          {": > F", "it has no application", "editor " + file},
		"too much":         {"truncate -s 3G F", "larger than 8 MiB", "ls -la /etc/shadowsync"},
		"others may write": {"cp -p K F && chmod 666 F", "writable by nobody else", "chown root " + file + " && chmod go-w " + file},
		"of somebody":      {"cp -p K F && chown 1000 F", "writable by nobody else", "chown root " + file + " && chmod go-w " + file},
		"an account twice": {`sed 's/"user222"/"admin"/' K > F`, `account "admin" is managed by "conductor" already`, "editor +"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			s.install()
			script := strings.NewReplacer("F", s.path(file), "K", s.path(file)+".kept").Replace("umask 077; mv F K; " + tt.make)
			if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r := s.run("", "config", "check")
			if r.status != 1 || !strings.Contains(r.err, tt.says) {
				t.Errorf("status %d: %s", r.status, r.err)
			}
			want := strings.ReplaceAll(tt.hint, "/etc/", s.path("/etc")+"/")
			if hint := hintOf(t, r); !strings.HasPrefix(hint, want) {
				t.Errorf("hint %q, want %q", hint, want)
			}
			if other := s.run("", "status"); other.status != 1 || !strings.HasPrefix(hintOf(t, other), s.ours("config check")) {
				t.Errorf("status: %d: %s", other.status, other.err)
			}
		})
	}
}

// TestConfigurationOfWhatIsMissing: the check refuses what setup would refuse, and names the line.
func TestConfigurationOfWhatIsMissing(t *testing.T) {
	s := newSystem(t)
	s.install()
	if r := s.run("", "config", "check"); r.status != 0 {
		t.Fatalf("a good one: status %d: %s", r.status, r.err)
	}
	config := strings.Replace(testConfig, `"user222"`, `"ghost", "user222"`, 1)
	for name, tt := range map[string]struct {
		config string
		says   []string
	}{
		"an account": {config, []string{": line ", "the account ghost is not in /etc/passwd and /etc/shadow"}},
		"a unit":     {strings.Replace(testConfig, "128T.service", "other.service", 1), []string{": line ", "there is no unit other.service"}},
		"both":       {strings.Replace(config, "128T.service", "other.service", 1), []string{"there is no unit other.service; line ", ": the account ghost is not in"}},
	} {
		s.write("/etc/shadowsync/shadowsync.toml", 0o600, tt.config)
		r := s.run("", "config", "check")
		for _, text := range tt.says {
			if r.status != 1 || !strings.Contains(r.err, text) || !strings.HasPrefix(hintOf(t, r), "editor +") || strings.Contains(r.out, "good") {
				t.Errorf("%s: status %d: %s%s", name, r.status, r.out, r.err)
			}
		}
		if r := s.run("", "config", "check", "--json"); r.status != 1 || !strings.Contains(r.out, `"good": false`) || !strings.Contains(r.out, `"key": "application.`) {
			t.Errorf("%s: status %d: %s", name, r.status, r.out)
		}
	}
}
