package systemd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

// playWorker answers a packet that contains a path with the result of a write below it, and any
// other packet with a description of itself.
func playWorker() {
	packet := make([]byte, 4096)
	for {
		n, err := unix.Read(0, packet)
		if err != nil || n == 0 {
			return
		}
		_, _ = unix.Write(0, []byte(answer(string(packet[:n]))))
	}
}

func answer(request string) string {
	kind, argument, _ := strings.Cut(request, " ")
	switch kind {
	case "write":
		if err := os.WriteFile(argument, nil, 0o600); err != nil {
			return err.Error()
		}
		return "written"
	case "self":
		status, _ := os.ReadFile("/proc/self/status")
		var core syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_CORE, &core)
		text, _ := json.Marshal(map[string]any{
			"uid": os.Geteuid(), "gid": os.Getegid(), "args": os.Args[1:], "core": core.Max,
			"caps": strings.Contains(string(status), "CapBnd:\t0000000000000000"), "bound": strings.Contains(string(status), "NoNewPrivs:\t1"),
		})
		return string(text)
	case "capabilities":
		status, _ := os.ReadFile("/proc/self/status")
		var sets []string
		for line := range strings.Lines(string(status)) {
			// Newer versions of systemd set CapInh= to the bounding set, which means nothing here.
			if strings.HasPrefix(line, "Cap") && !strings.HasPrefix(line, "CapInh") {
				sets = append(sets, strings.Join(strings.Fields(line), ""))
			}
		}
		return strings.Join(sets, " ")
	case "give":
		return fmt.Sprint(os.Chown(argument, ownerUID, ownerUID))
	case "denied":
		return "possible: " + strings.Join(possible(), ", ")
	}
	return "what?"
}

// possible lists what the worker can do but must not be able to.
func possible() []string {
	var list []string
	try := func(what string, err error) {
		if err == nil {
			list = append(list, what)
		}
	}
	_, err := net.Listen("tcp", "127.0.0.1:0")
	try("network", err)
	_, err = os.ReadFile("/etc/shadow")
	try("shadow", err)
	try("namespace", unix.Unshare(unix.CLONE_NEWUSER))
	try("setuid", unix.Setresuid(0, 0, 0))
	return list
}

// socketPair returns both ends of a connection of the kind that a worker has as standard input.
func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	timeout := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fds[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func ask(t *testing.T, worker *os.File, request string) string {
	t.Helper()
	packet := make([]byte, 4096)
	if _, err := worker.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	n, err := worker.Read(packet)
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return string(packet[:n])
}

const (
	storeFolder = "/var/lib/appliance"
	ownerUID    = 4711
)

// installOwner creates the owner of a store, and a broker whose end also ends the worker.
func installOwner(t *testing.T) {
	t.Helper()
	install(t)
	must(t, "systemctl", "start", BrokerUnit)
	must(t, "useradd", "--uid", strconv.Itoa(ownerUID), "--user-group", "appliance")
	must(t, "install", "-d", "-o", "appliance", storeFolder, storeFolder+"/deep")
}

func startWorker(t *testing.T, bus *Bus) *os.File {
	t.Helper()
	ours, theirs := socketPair(t)
	err := bus.StartWorker(within(t, patience), WorkerUnit{
		Name: "conductor", UID: ownerUID, GID: ownerUID,
		Binary: DefaultBinary, Args: []string{"worker", "100%n $HOME ; x", ""}, Stdin: theirs,
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	return ours
}

func TestWorkerOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installOwner(t)
	var bus Bus
	worker := startWorker(t, &bus)
	const self = `{"args":["worker","100%n $HOME ; x",""],"bound":true,"caps":true,"core":0,"gid":4711,"uid":4711}`
	if got := ask(t, worker, "self"); got != self {
		t.Errorf("the worker is %s, want %s", got, self)
	}
	for path, want := range map[string]string{
		storeFolder + "/a": "written", storeFolder + "/deep/a": "written",
		"/etc/a": "permission denied",
	} {
		if got := ask(t, worker, "write "+path); !strings.HasSuffix(got, want) {
			t.Errorf("write of %s: %s, want %s", path, got, want)
		}
	}
	if got := ask(t, worker, "denied"); got != "possible: " {
		t.Error(got)
	}

	second := startWorker(t, &bus) // it replaces the first
	if n, err := worker.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the first worker's end: %d, %v", n, err)
	}
	ask(t, second, "self")
	must(t, "systemctl", "kill", "-s", "KILL", workerName("conductor", 0))
	if n, err := second.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("a killed worker's end: %d, %v", n, err)
	}
	expectNoWorker(t)

	third := startWorker(t, &bus)
	if err := bus.StopWorker(within(t, patience), "conductor"); err != nil {
		t.Error(err)
	}
	if n, _ := third.Read(make([]byte, 1)); n != 0 {
		t.Error("a stopped worker still talks")
	}
	expectNoWorker(t)
	if err := bus.StopWorker(within(t, patience), "conductor"); err != nil {
		t.Errorf("stopped twice: %v", err)
	}

	startWorker(t, &bus)
	must(t, "systemctl", "stop", BrokerUnit)
	expectNoWorker(t)
	succeedsStuckWorker(t)
}

// succeedsStuckWorker: if a unit of the same name does not go away, a worker can still start, even
// if the time was up before that was known. (A unit with a file stands for one with a process that
// hangs in the kernel: systemd refuses both in the same way.)
func succeedsStuckWorker(t *testing.T) {
	t.Helper()
	must(t, "sh", "-c", "printf '[Service]\nExecStart=/bin/sleep inf\n' > /run/systemd/system/"+workerName("conductor", 0)+"; systemctl daemon-reload")
	var bus Bus
	_, theirs := socketPair(t)
	w := WorkerUnit{Name: "conductor", UID: ownerUID, GID: ownerUID, Binary: DefaultBinary, Args: []string{"worker"}, Stdin: theirs}
	short := within(t, existsFor/2)
	if err := bus.StartWorker(short, w); err == nil {
		t.Error("it was started beside the unit of its name at once")
	}
	ask(t, startWorker(t, &bus), "self")
	must(t, "systemctl", "is-active", workerName("conductor", 1))
	ask(t, startWorker(t, &bus), "self") // and is replaced like others
	if err := bus.StopWorker(within(t, patience), "conductor"); err != nil {
		t.Error(err)
	}
	must(t, "sh", "-c", "rm /run/systemd/system/"+workerName("conductor", 0)+"; systemctl daemon-reload")
	expectNoWorker(t)
}

func expectNoWorker(t *testing.T) {
	t.Helper()
	eventually.Holds(t, "the worker to be gone without trace", func() bool {
		return must(t, "systemctl", "list-units", "--all", "--no-legend", "--plain", "shadowsync-store-*") == ""
	})
}

// A worker for a foreign file in root's folder has three capabilities, and is otherwise in the same sandbox.
func TestFolderWorkerOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installOwner(t)
	ours, theirs := socketPair(t)
	var bus Bus
	err := bus.StartWorker(within(t, patience), WorkerUnit{
		Name: "conductor", Capabilities: []uintptr{unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER},
		Binary: DefaultBinary, Args: []string{"worker"}, Stdin: theirs,
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	const none, three = "0000000000000000", "000000000000000b"
	for _, test := range [][2]string{
		{"self", `{"args":["worker"],"bound":true,"caps":false,"core":0,"gid":0,"uid":0}`},
		{"capabilities", "CapPrm:" + three + " CapEff:" + three + " CapBnd:" + three + " CapAmb:" + none},
		{"write " + storeFolder + "/a", "written"}, // a folder of another user
		{"give " + storeFolder + "/a", "<nil>"},
		{"write " + storeFolder + "/a", "written"}, // a file of another user
		{"denied", "possible: shadow"},             // the worker confines itself to its folder
	} {
		if got := ask(t, ours, test[0]); got != test[1] {
			t.Errorf("%s: %s, want %s", test[0], got, test[1])
		}
	}
}

// A store's folder may be created, and mounted over, after the worker's start: the worker sees the
// same mounts as the application.
func TestWorkerSeesLaterMountsOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installOwner(t)
	var bus Bus
	worker := startWorker(t, &bus)
	must(t, "mount", "-t", "tmpfs", "-o", "uid=4711", "tmpfs", storeFolder)
	if got := ask(t, worker, "write "+storeFolder+"/later"); got != "written" {
		t.Errorf("a folder mounted later: %s", got)
	}
	if _, err := os.Stat(storeFolder + "/later"); err != nil {
		t.Errorf("it was written elsewhere: %v", err)
	}
	must(t, "mount", "-o", "remount,bind,ro", storeFolder)
	if got := ask(t, worker, "write "+storeFolder+"/denied"); !strings.HasSuffix(got, "read-only file system") {
		t.Errorf("a mount made read-only: %s", got)
	}
}

// A worker that cannot start returns an error and leaves nothing.
func TestWorkerThatCannotStartOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installOwner(t)
	var bus Bus
	for what, w := range map[string]WorkerUnit{
		"no such program": {UID: ownerUID, GID: ownerUID, Binary: "/usr/sbin/absent"},
		"no such user":    {UID: 999999, GID: ownerUID, Binary: DefaultBinary},
	} {
		_, theirs := socketPair(t)
		w.Name, w.Stdin = "conductor", theirs
		begun := time.Now()
		if err := bus.StartWorker(within(t, patience), w); err == nil || time.Since(begun) > patience/2 {
			t.Errorf("%s: %v after %v", what, err, time.Since(begun))
		} else {
			t.Logf("%s: %v", what, err)
		}
		expectNoWorker(t)
	}
}

func TestWorkerIsChecked(t *testing.T) {
	valid := WorkerUnit{Name: "json-1", Binary: "/usr/sbin/shadowsync", Stdin: os.Stdin}
	if err := valid.check(); err != nil {
		t.Error(err)
	}
	for what, spoil := range map[string]func(*WorkerUnit){
		"no name":  func(w *WorkerUnit) { w.Name = "" },
		"odd name": func(w *WorkerUnit) { w.Name = "a/../b" },
		"no input": func(w *WorkerUnit) { w.Stdin = nil },
		"relative": func(w *WorkerUnit) { w.Binary = "shadowsync" },
	} {
		w := valid
		spoil(&w)
		if w.check() == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

// A stop of the broker succeeds even if the broker starts a worker at that moment: the worker binds
// to the broker, and its start asks for the broker's.
func TestWorkerDoesNotKeepTheBrokerOnMachine(t *testing.T) {
	if !inside(t) {
		return
	}
	installOwner(t)
	write(t, "/run/systemd/system/"+BrokerUnit+".d/slow.conf", "[Service]\nExecStop=+/bin/sleep 2\nTimeoutStopSec=20s\n")
	must(t, "systemctl", "daemon-reload")
	stopped := make(chan error, 1)
	go func() { stopped <- exec.CommandContext(t.Context(), "systemctl", "stop", BrokerUnit).Run() }()
	eventually.Holds(t, "the broker to be stopping", func() bool { return show(t, BrokerUnit, "ActiveState") == "deactivating" })
	var bus Bus
	_, theirs := socketPair(t)
	err := bus.StartWorker(within(t, patience), WorkerUnit{Name: "conductor", UID: ownerUID, GID: ownerUID, Binary: DefaultBinary, Args: []string{"worker"}, Stdin: theirs})
	if err == nil {
		t.Error("a worker was started for a broker that ends")
	}
	if err := <-stopped; err != nil {
		t.Errorf("systemctl stop: %v", err)
	}
	if state := show(t, BrokerUnit, "ActiveState"); state != "inactive" {
		t.Errorf("the broker is %s", state)
	}
}
