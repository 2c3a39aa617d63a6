package systemd

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// webExposure is the maximum exposure of the page's sandbox, in tenths.
const webExposure = "12"

//go:embed sysusers/shadowsync-web.conf
var webSysusers string

const (
	webProgram = DefaultBinary + "-web"
	webAddress = "127.0.0.1:8443"
	pageSocket = "/run/shadowsync/web.sock"
)

// playWeb answers each connection with the deviations from what the page needs and from what it must not
// be able to do. One that sends "end" ends it.
func playWeb() {
	listeners, err := activation.Listeners()
	if err != nil || len(listeners) != 1 {
		os.Exit(2)
	}
	for {
		conn, err := listeners[0].Accept()
		if err != nil {
			os.Exit(3)
		}
		for _, p := range append(neededByWeb(), deniedToWeb()...) {
			if err := p.try(); err != nil {
				fmt.Fprintf(conn, "%s: %v\n", p.what, err)
			}
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		word, _ := io.ReadAll(conn)
		_ = conn.Close()
		switch string(word) {
		case "end":
			return
		case "fail":
			os.Exit(4)
		}
	}
}

func neededByWeb() []probe {
	return []probe{
		{"its account", func() error {
			if groups, err := os.Getgroups(); os.Getuid() == 0 || err != nil || len(groups) > 1 {
				return fmt.Errorf("uid %d, groups %v, %v", os.Getuid(), groups, err)
			}
			return nil
		}},
		{"its credentials", func() error {
			for _, name := range []string{"web.crt", "web.key"} {
				text, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name))
				if err != nil || len(text) == 0 {
					return fmt.Errorf("%q, %v", text, err)
				}
			}
			return nil
		}},
		{"the broker's socket", func() error {
			conn, err := net.Dial("unixpacket", pageSocket)
			if err == nil {
				err = conn.Close()
			}
			return err
		}},
		{"memfd", func() error {
			fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err == nil {
				_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
			}
			return err
		}},
		{"the time zone", func() error { _, err := os.ReadFile("/etc/localtime"); return err }},
		{"threads", func() error {
			there, all := make(chan struct{}), make(chan struct{})
			for range 20 {
				go func() {
					runtime.LockOSThread() // each has one of its own, at the same time
					there <- struct{}{}
					<-all
				}()
			}
			for range 20 {
				<-there
			}
			close(all)
			return nil
		}},
	}
}

func deniedToWeb() []probe {
	fails := func(what string, do func() error) probe {
		return probe{what, func() error {
			if do() == nil {
				return errors.New("was possible")
			}
			return nil
		}}
	}
	sees := func(path string) probe {
		return fails("see "+path, func() error { _, err := os.Stat(path); return err })
	}
	lists := func(path string) probe {
		return fails("list "+path, func() error { _, err := os.ReadDir(path); return err })
	}
	writes := func(path string) probe {
		return fails("write "+path, func() error { return os.WriteFile(path, nil, 0o600) })
	}
	connects := func(path string) probe {
		return fails("reach "+path, func() error {
			conn, err := net.Dial("unix", path)
			if err == nil {
				conn.Close()
			}
			return err
		})
	}
	return []probe{
		lists("/root"), lists("/srv"), lists("/boot"), lists("/sys"), sees("/etc/passwd"), sees("/etc/shadowsync"), sees("/usr/bin"), sees("/var/lib"), sees("/home/probe"),
		sees("/run/shadowsync/operator.sock"), sees("/run/systemd/private"), sees("/run/dbus"), sees("/proc/1/comm"), sees("/proc/sys/kernel"),
		writes("/probe"), writes("/etc/probe"), writes("/run/probe"), writes("/usr/sbin/probe"), writes("/run/shadowsync/probe"), writes(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "web.crt")),
		connects("/run/dbus/system_bus_socket"), connects("/run/systemd/journal/socket"),
		fails("see a network", func() error {
			links, err := net.Interfaces()
			if err == nil && len(links) > 1 {
				return nil
			}
			return errors.New("none")
		}),
		fails("a network socket", func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err }),
		fails("run a program", func() error { return exec.Command("/bin/sh", "-c", "true").Run() }),
		fails("mount", func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "") }),
		fails("a namespace", func() error { return unix.Unshare(unix.CLONE_NEWUSER) }),
		fails("executable memory", func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		}),
		fails("trace a process", func() error { return unix.PtraceAttach(os.Getppid()) }),
		fails("a larger core", func() error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}) }),
	}
}

// startWeb installs the page's units with this program, and lets its socket listen.
func startWeb(t *testing.T) {
	t.Helper()
	install(t)
	must(t, "chmod", "0711", webProgram)
	must(t, "mkdir", "-p", "/home/probe", "/run/shadowsync")
	write(t, "/usr/lib/sysusers.d/shadowsync-web.conf", webSysusers)
	must(t, "systemd-sysusers", "shadowsync-web.conf")
	write(t, "/root/web.crt", "certificate")
	write(t, "/root/web.key", "key")
	write(t, "/etc/systemd/system/"+WebUnit+".d/50-web.conf", "[Service]\nLoadCredential=web.crt:/root/web.crt\nLoadCredential=web.key:/root/web.key\nSetCredential=web.crt:unreadable\nSetCredential=web.key:unreadable\n")
	// The page is a static program; this one needs its linker and libraries.
	const libraries = "/lib /usr/lib -/lib64"
	write(t, "/etc/systemd/system/"+WebUnit+".d/60-linker.conf", "[Service]\nBindReadOnlyPaths="+libraries+"\nExecPaths="+libraries+"\n")
	must(t, "systemctl", "daemon-reload")
	if err := os.Remove(pageSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	l, err := net.Listen("unixpacket", pageSocket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(pageSocket, 0o666); err != nil {
		t.Fatal(err)
	}
	must(t, "systemctl", "start", WebSocketUnit)
}

// visit returns what the page says, after it has heard a word.
func visit(t *testing.T, word string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", webAddress, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("the page: %v", err)
	}
	_, _ = io.WriteString(conn, word)
	return string(said)
}

// The sandbox lets the page do everything it needs, and no more.
func TestWebOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	startWeb(t)
	if state := show(t, WebUnit, "ActiveState"); state != "inactive" {
		t.Errorf("the page is %s before anybody asked for it", state)
	}
	if said := visit(t, ""); said != "" {
		t.Errorf("in the page's sandbox:\n%s", said)
	}
	if out, code := run(t, "systemd-analyze", "security", "--no-pager", "--threshold="+webExposure, WebUnit); code != 0 {
		t.Errorf("the page's sandbox:\n%s", out)
	}
	visit(t, "end")
	// A certificate that cannot be read leaves something for the program to say so.
	must(t, "mv", "/root/web.crt", "/root/away")
	if said := visit(t, "end"); said != "" {
		t.Errorf("without its certificate:\n%s", said)
	}
	if result := show(t, WebUnit, "Result"); result != "success" {
		t.Errorf("the page ended with %s", result)
	}
}

// A page that fails again and again keeps its socket, and waits before each start.
func TestFailingWebOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	startWeb(t)
	must(t, "rm", webProgram)
	conn, err := net.Dial("tcp", webAddress)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually.Holds(t, "a second try", func() bool { return show(t, WebUnit, "NRestarts") >= "2" })
	if took := time.Since(began); took < 8*time.Second {
		t.Errorf("two starts after %v", took)
	}
	states := []string{show(t, WebSocketUnit, "ActiveState"), show(t, WebSocketUnit, "Result")}
	if !slices.Equal(states, []string{"active", "success"}) {
		t.Errorf("the socket of a page that cannot start is %q", states)
	}
	conn.Close()
	must(t, "cp", insideProgram, webProgram)
	if said := visit(t, "fail"); said != "" {
		t.Errorf("after it could start again:\n%s", said)
	}
	if said := visit(t, "end"); said != "" {
		t.Errorf("after it failed:\n%s", said)
	}
}

// Each relaxation of the page's sandbox has a comment above it, and no unit starts it at boot.
func TestWebUnits(t *testing.T) {
	text, err := unitFiles.ReadFile("units/" + WebUnit)
	if err != nil {
		t.Fatal(err)
	}
	for _, relaxed := range []string{"RestrictAddressFamilies=AF_UNIX", "SystemCallFilter=memfd_create"} {
		before, _, found := strings.Cut(string(text), "\n"+relaxed+"\n")
		last := before[strings.LastIndexByte(before, '\n')+1:]
		if !found || !strings.HasPrefix(last, "# ") {
			t.Errorf("%s has no comment above it, or is not there", relaxed)
		}
	}
	if strings.Contains(string(text), "[Install]") {
		t.Error("the page could be started without its socket")
	}
}
