package origin

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// start runs a child until the test ends.
func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Skip("cannot start:", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func TestSelf(t *testing.T) {
	p := FromPID(os.Getpid())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.Exe != exe || p.Program() != filepath.Base(exe) || p.StartTicks == 0 || p.Cgroup == "" {
		t.Errorf("got %+v", p)
	}
	if p.UID == nil || *p.UID != os.Getuid() || p.EUID == nil || *p.EUID != os.Geteuid() {
		t.Errorf("uid %v, euid %v", p.UID, p.EUID)
	}
	if len(p.Ancestors) == 0 || p.Ancestors[0].PID != os.Getppid() || p.Ancestors[0].Program == "" {
		t.Errorf("ancestors %+v", p.Ancestors)
	}
	if again := FromPID(os.Getpid()); !reflect.DeepEqual(p, again) {
		t.Errorf("not the same twice: %+v, %+v", p, again)
	}
}

func TestChild(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	cmd := exec.Command("/bin/sh", "-c", "sleep 60; true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Setpgid: true}
	shell := start(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-shell, syscall.SIGKILL) })
	sleep := 0
	eventually.Holds(t, "the grandchild", func() bool {
		children, _ := os.ReadFile("/proc/" + strconv.Itoa(shell) + "/task/" + strconv.Itoa(shell) + "/children")
		sleep, _ = strconv.Atoi(strings.TrimSpace(string(children)))
		return sleep != 0 && FromPID(sleep).Comm == "sleep"
	})
	p := FromPID(sleep)
	if p.UID == nil || *p.UID != 65534 || !strings.HasSuffix(p.Exe, "/"+p.Program()) {
		t.Errorf("got %+v", p)
	}
	want := []int{shell, os.Getpid(), os.Getppid()}
	for i, pid := range want {
		if len(p.Ancestors) <= i || p.Ancestors[i].PID != pid {
			t.Fatalf("ancestors %+v, want pids %v", p.Ancestors, want)
		}
	}
	if uid := p.Ancestors[1].UID; uid == nil || *uid != 0 {
		t.Errorf("uid of the test: %v", uid)
	}
}

func TestTerminal(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	master, err := pty.Start(cmd)
	if err != nil {
		t.Skip("needs a pseudo-terminal:", err)
	}
	defer master.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	link, err := os.Readlink("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/fd/0")
	if err != nil {
		t.Fatal(err)
	}
	if p := FromPID(cmd.Process.Pid); "/dev/"+p.Terminal != link {
		t.Errorf("terminal %q, want that of %q", p.Terminal, link)
	}
}

func TestLoginUID(t *testing.T) {
	if p := FromPID(start(t, exec.Command("sleep", "60"))); p.LoginUID != nil && *p.LoginUID < 0 {
		t.Errorf("login uid %v", *p.LoginUID)
	}
	pid := start(t, exec.Command("/bin/sh", "-c", "echo 4711 >/proc/self/loginuid && exec sleep 60"))
	var p Process
	eventually.Holds(t, "sleep", func() bool { p = FromPID(pid); return p.Comm == "sleep" || p.Exe == "" })
	if p.Comm != "sleep" {
		t.Skip("needs root and a kernel with audit")
	}
	if p.LoginUID == nil || *p.LoginUID != 4711 || p.AuditSession == nil {
		t.Errorf("login uid %v, session %v", p.LoginUID, p.AuditSession)
	}
	if *p.UID == 4711 {
		t.Error("the login uid is not the uid")
	}
}

func TestGone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if p := FromPID(pid); !reflect.DeepEqual(p, Process{PID: pid}) || p.Program() != "" {
		t.Errorf("got %+v", p)
	}
	for _, pid := range []int{0, -1} {
		if p := FromPID(pid); !reflect.DeepEqual(p, Process{PID: pid}) {
			t.Errorf("pid %d: %+v", pid, p)
		}
	}
}

// TestZombie: a dead process that is not reaped has ids, and no executable.
func TestZombie(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var p Process
	eventually.Holds(t, "its death", func() bool { p = FromPID(cmd.Process.Pid); return p.Exe == "" })
	if p.Program() != "true" || p.UID == nil {
		t.Errorf("got %+v", p)
	}
}

// fake writes a /proc made of files.
func fake(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// statOf returns a line of /proc/PID/stat.
func statOf(pid int, comm string, ppid, tty, start int) string {
	return strconv.Itoa(pid) + " (" + comm + ") S " + strconv.Itoa(ppid) + " 1 1 " + strconv.Itoa(tty) +
		strings.Repeat(" 0", 14) + " " + strconv.Itoa(start) + " 0 0\n"
}

func TestWholeScene(t *testing.T) {
	proc := fake(t, map[string]string{
		"90/stat":      statOf(90, "passwd", 80, 136<<8|3, 900),
		"90/status":    "Name:\tpasswd\nUid:\t0\t0\t7\t8\nGid:\t0\t0\t0\t0\n",
		"90/exe":       "-> /usr/bin/passwd (deleted)",
		"90/loginuid":  "1000",
		"90/sessionid": "7",
		"90/cgroup":    "0::/user.slice/user-1000.slice/session-7.scope\n",
		"80/stat":      statOf(80, "sudo", 70, 0, 800),
		"80/status":    "Uid:\t0\t0\t0\t0\n",
		"70/stat":      statOf(70, "bash", 60, 0, 700),
		"70/status":    "Uid:\t1000\t1000\t1000\t1000\n",
		"60/stat":      statOf(60, "younger", 1, 0, 5000),
	})
	p := read(proc, 90)
	n := func(v int) *int { return &v }
	want := Process{
		PID: 90, Parent: 80, StartTicks: 900, Comm: "passwd", Exe: "/usr/bin/passwd",
		UID: n(0), EUID: n(0), SavedUID: n(7), FileUID: n(8),
		LoginUID: n(1000), AuditSession: n(7), Terminal: "pts/3",
		Cgroup: "/user.slice/user-1000.slice/session-7.scope", Unit: "session-7.scope", Session: "7",
		// 60 began after its child: its pid was reused, and it is no ancestor.
		Ancestors: []Ancestor{{80, "sudo", n(0)}, {70, "bash", n(1000)}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
}

func TestLoopOfParents(t *testing.T) {
	proc := fake(t, map[string]string{"5/stat": statOf(5, "a", 6, 0, 1), "6/stat": statOf(6, "b", 5, 0, 1)})
	if p := read(proc, 5); len(p.Ancestors) != maxAncestors {
		t.Errorf("%d ancestors", len(p.Ancestors))
	}
}

func TestUserName(t *testing.T) {
	root := fake(t, map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n+::0:0:::\n" +
		"broken\n:x:7:7:::\nadmin:x:1000:1000::/home/admin:/bin/sh\nalias:x:1000:1000:::\n-nis:x:8:8:::\nlast:x:9:9::/:/bin/sh"})
	for uid, want := range map[int]string{0: "root", 1000: "admin", 7: "", 8: "", 9: "last", 1: "", -1: ""} {
		if got := UserName(root, uid); got != want {
			t.Errorf("uid %d is %q, want %q", uid, got, want)
		}
	}
	if got := UserName(t.TempDir(), 0); got != "" {
		t.Errorf("without a file: %q", got)
	}
	outside := fake(t, map[string]string{"etc/passwd": "-> ../../../../../../../../etc/passwd"})
	if got := UserName(outside, 0); got != "" {
		t.Errorf("through a link out of the root: %q", got)
	}
}

func BenchmarkFromPID(b *testing.B) {
	for b.Loop() {
		FromPID(os.Getpid())
	}
}

func TestOpener(t *testing.T) {
	chain := func(program string, above ...string) Process {
		p := Process{PID: 100, Comm: program}
		for i, name := range above {
			p.Ancestors = append(p.Ancestors, Ancestor{PID: 99 - i, Program: name})
		}
		return p
	}
	for _, tt := range []struct {
		name string
		of   Process
		want int
	}{
		{"login on a console", chain("login"), 100},
		{"su in a shell", chain("su", "bash", "sshd", "sshd"), 100},
		{"sshd's dialogue, Debian 12", chain("sshd", "sshd", "sshd"), 99},
		{"sshd's dialogue, Debian 13", chain("sshd-session", "sshd-session", "sshd"), 99},
		{"sshd below its listener", chain("sshd", "sshd"), 100},
	} {
		if got := tt.of.Opener(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
