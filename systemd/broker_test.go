package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

const probeResult = "/var/lib/shadowsync/probe"

// playBroker tries everything that the broker needs and everything that it must not be able to do,
// and writes down the deviations. Then it acts as a broker with nothing to do.
func playBroker() {
	stop, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	var report strings.Builder
	for _, p := range append(needed(), denied()...) {
		if err := p.try(); err != nil {
			fmt.Fprintf(&report, "%s: %v\n", p.what, err)
		}
	}
	_ = os.WriteFile(probeResult, []byte(report.String()), 0o600)
	interval, _ := KeepAliveInterval()
	_ = Ready("keep-alive every " + interval.String() + "\nREADY=0")
	<-stop.Done()
	_ = Stopping()
}

type probe struct {
	what string
	try  func() error
}

func needed() []probe {
	return []probe{
		{"all sockets", func() error {
			sockets := handedOver()
			if sockets[RootSocket] == nil || sockets[OperatorSocket] == nil || sockets[FactorSocket] == nil || len(sockets) != 3 {
				return fmt.Errorf("handed over: %v", sockets)
			}
			return nil
		}},
		{"replace a file of /etc with another group", func() error {
			if err := os.WriteFile("/etc/probe.tmp", nil, 0o640); err != nil {
				return err
			}
			return errors.Join(os.Chown("/etc/probe.tmp", 0, 42), os.Rename("/etc/probe.tmp", "/etc/probe"), os.Remove("/etc/probe"))
		}},
		{"write a guard", func() error { return writeFile("/run/systemd/system/probe.conf", nil) }},
		{"make an entry of /run/shadowsync", func() error { return os.WriteFile("/run/shadowsync/kept", nil, 0o644) }},
		{"see other processes", func() error {
			_, comm := os.ReadFile("/proc/1/comm")
			_, login := os.ReadFile("/proc/1/loginuid")
			_, group := os.ReadFile("/proc/1/cgroup")
			_, boot := os.ReadFile("/proc/sys/kernel/random/boot_id")
			return errors.Join(comm, login, group, boot)
		}},
		{"memfd", func() error {
			fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err == nil {
				_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
			}
			return err
		}},
		{"fanotify", func() error {
			fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
			if err != nil {
				return err
			}
			return unix.FanotifyMark(fd, unix.FAN_MARK_ADD|unix.FAN_MARK_ONLYDIR, unix.FAN_CLOSE_WRITE|unix.FAN_EVENT_ON_CHILD, unix.AT_FDCWD, "/etc")
		}},
		{"inotify", func() error {
			fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
			if err == nil {
				_, err = unix.InotifyAddWatch(fd, "/etc", unix.IN_MOVED_TO)
			}
			return err
		}},
		{"run a child", func() error { return exec.Command(DefaultBinary, "worker").Run() }},
		{"reach systemd", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err := new(Bus).Unit(ctx, BrokerUnit)
			return err
		}},
		{"delay a shutdown", func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return new(Inhibitor).Hold(ctx, "probe")
		}},
	}
}

func denied() []probe {
	fails := func(what string, do func() error) probe {
		return probe{what, func() error {
			if do() == nil {
				return errors.New("was possible")
			}
			return nil
		}}
	}
	return []probe{
		fails("write to /usr", func() error { return os.WriteFile("/usr/probe", nil, 0o644) }),
		fails("write to /run", func() error { return os.WriteFile("/run/probe", nil, 0o644) }),
		fails("write to /run/lock", func() error { return os.WriteFile("/run/lock/probe", nil, 0o644) }),
		fails("write to /run/systemd", func() error { return os.WriteFile("/run/systemd/probe", nil, 0o644) }),
		fails("write to /etc/pam.d", func() error { return os.WriteFile("/etc/pam.d/probe", nil, 0o644) }),
		fails("write to /etc/systemd", func() error { return os.WriteFile("/etc/systemd/system/probe.service", nil, 0o644) }),
		fails("read a file of mode 0000", func() error { _, err := os.ReadFile("/etc/mode0000"); return err }),
		fails("see homes", func() error { _, err := os.Stat("/home/probe"); return err }),
		fails("a network socket", func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err }),
		fails("mount", func() error { return unix.Mount("none", "/mnt", "tmpfs", 0, "") }),
		fails("a namespace", func() error { return unix.Unshare(unix.CLONE_NEWUSER) }),
		fails("executable memory", func() error {
			_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			return err
		}),
	}
}

// The sandbox lets the broker do everything it needs, and no more.
func TestBrokerOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	must(t, "mkdir", "-p", "/home/probe")
	must(t, "install", "-m", "0", "/dev/null", "/etc/mode0000")
	must(t, "systemctl", "enable", "--now", RootSocketUnit, OperatorSocketUnit, FactorSocketUnit)
	if modes := must(t, "sh", "-c", "cd /run/shadowsync && stat -c %a . root.sock operator.sock factor.sock"); modes != "755\n600\n666\n600\n" {
		t.Errorf("modes of /run/shadowsync, root.sock, operator.sock, factor.sock: %q", modes)
	}
	if state := show(t, BrokerUnit, "ActiveState"); state != "inactive" {
		t.Errorf("the broker is %s before anybody spoke to it", state)
	}
	knock(t, "/run/shadowsync/root.sock")
	eventually.Holds(t, "the broker", func() bool { return show(t, BrokerUnit, "ActiveState") == "active" })

	if report, err := os.ReadFile(probeResult); err != nil || len(report) > 0 {
		t.Errorf("in the broker's sandbox: %v\n%s", err, report)
	}
	// The interval is half of two minutes. A second line in a status must not act as a message to
	// systemd.
	if status := show(t, BrokerUnit, "StatusText"); status != `keep-alive every 1m0s\nREADY=0` {
		t.Errorf("status %q", status)
	}
	must(t, "systemctl", "stop", BrokerUnit)
	if result := show(t, BrokerUnit, "Result"); result != "success" {
		t.Errorf("the broker ended with %s", result)
	}
	for _, kept := range []string{"kept", "root.sock", "operator.sock", "factor.sock"} {
		if !exists("/run/shadowsync/" + kept) {
			t.Errorf("/run/shadowsync/%s went with the broker", kept)
		}
	}
}

// knock connects, which starts the broker, and sends nothing.
func knock(t *testing.T, path string) {
	t.Helper()
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
}

// A broker that crashes again and again keeps its sockets, so that no client waits on a dead one.
func TestCrashLoopOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	install(t)
	script(t, DefaultBinary, "#!/bin/sh\nexit 1\n")
	write(t, "/run/systemd/system/shadowsync.service.d/fast.conf", "[Service]\nRestartSec=10ms\n")
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "start", RootSocketUnit, OperatorSocketUnit)
	knock(t, "/run/shadowsync/root.sock")
	eventually.Holds(t, "30 crashes", func() bool {
		return len(show(t, BrokerUnit, "NRestarts")) > 1 && show(t, BrokerUnit, "NRestarts") >= "30"
	})
	states := []string{show(t, RootSocketUnit, "ActiveState"), show(t, OperatorSocketUnit, "ActiveState")}
	if !slices.Equal(states, []string{"active", "active"}) {
		t.Errorf("after a crash loop the sockets are %q", states)
	}
	must(t, "cp", "--remove-destination", insideProgram, DefaultBinary) // a unit may still run the former one
	eventually.Holds(t, "the mended broker", func() bool { return show(t, BrokerUnit, "ActiveState") == "active" })
}

// handedOver returns the sockets that systemd handed over, by name, or none if systemd did not
// start the process. Children do not get them.
func handedOver() map[string]*os.File {
	sockets := map[string]*os.File{}
	for _, file := range activation.Files(true) {
		sockets[file.Name()] = file
	}
	return sockets
}
