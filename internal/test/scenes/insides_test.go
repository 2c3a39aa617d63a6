package scenes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// insides is a machine as the host's root sees it from outside.
type insides struct {
	t         *testing.T
	abort     bool   // abort the worker-proof that is caught, and the broker
	namespace string // the PID namespace of its processes
	root      string
}

func (s *stage) insides() *insides {
	s.t.Helper()
	return &insides{t: s.t, namespace: strings.TrimSpace(s.Must("readlink", "/proc/self/ns/pid")), root: s.Root()}
}

// processes lists the machine's processes by the host's pids.
func (m *insides) processes() map[string]string {
	found := map[string]string{}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		if namespace, err := os.Readlink(folder + "/ns/pid"); err == nil && namespace == m.namespace {
			line, _ := os.ReadFile(folder + "/cmdline") // the process may be gone
			found[filepath.Base(folder)] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return found
}

// flies runs an act and stops the worker in the middle of it. The clear text must be in the
// worker's memory, and otherwise only in the programs that it was typed into.
func (m *insides) flies(worker string, typedInto []string, act func()) {
	m.t.Helper()
	caught := make(chan []string, 1)
	go func() { caught <- m.catch(worker, machine.Patience) }()
	act()
	holders := <-caught
	if len(holders) == 0 {
		m.t.Errorf("the clear text was not found in %s: the search is blind", worker)
	}
	for _, line := range holders {
		if !slices.ContainsFunc(append(typedInto, worker), func(known string) bool { return strings.Contains(line, known) }) {
			m.t.Errorf("the clear text was in the memory of %s", line)
		}
	}
}

// isNowhere asserts that within a second the clear text is nowhere on the machine any more.
func (m *insides) isNowhere() {
	m.t.Helper()
	eventually.Within(m.t, time.Second, "the clear text is nowhere", func() bool {
		places := m.find()
		m.t.Logf("the clear text is in %q", places)
		return len(places) == 0
	})
}

// catch stops the worker while it holds the clear text, and returns the command line of every
// process that holds it.
func (m *insides) catch(worker string, patience time.Duration) (holders []string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		for pid, line := range m.processes() {
			if strings.Contains(line, worker) {
				holders = m.freeze(pid)
			}
		}
		if len(holders) > 0 {
			return holders
		}
	}
	return nil
}

// ends runs end and waits until the process has ended, as pidfd_open(2) tells.
func (m *insides) ends(process string, end func()) {
	m.t.Helper()
	pid, err := strconv.Atoi(process)
	if err != nil {
		m.t.Errorf("no pid: %v", err)
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		m.t.Errorf("cannot watch process %d: %v", pid, err)
		return
	}
	defer unix.Close(fd)
	end()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(machine.Patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			m.t.Errorf("process %d has not ended: %v", pid, err)
		}
		return
	}
}

func (m *insides) freeze(worker string) (holders []string) {
	if signal(worker, syscall.SIGSTOP) != nil {
		return nil
	}
	defer func() { _ = signal(worker, syscall.SIGCONT) }()
	if !inMemory(worker) {
		return nil
	}
	if m.abort {
		return m.aborts(worker)
	}
	for pid, line := range m.processes() {
		if inMemory(pid) {
			holders = append(holders, line)
		}
	}
	return holders
}

// aborts aborts the worker and then the broker: if the broker died first, the worker would be killed
// with it. It searches no other process, because meanwhile the broker could kill the worker as late.
func (m *insides) aborts(worker string) []string {
	m.ends(worker, func() { _, _ = signal(worker, syscall.SIGABRT), signal(worker, syscall.SIGCONT) })
	for pid, line := range m.processes() {
		if strings.Contains(line, "shadowsync daemon") {
			_ = signal(pid, syscall.SIGABRT)
		}
	}
	return []string{"the worker-proof that was aborted"}
}

// signal signals one process. It refuses 1, 0 and negative numbers: for kill(2) some of them mean several processes.
func signal(pid string, s syscall.Signal) error {
	n, err := strconv.Atoi(pid)
	if err == nil && n <= 1 {
		err = syscall.ESRCH
	}
	if err != nil {
		return err
	}
	return syscall.Kill(n, s)
}

// inMemory searches all memory that a process could have written to or shares with others.
func inMemory(pid string) bool {
	maps, err := os.ReadFile("/proc/" + pid + "/maps")
	if err != nil {
		return false // it has ended, and its memory is gone
	}
	memory, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return false
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 || rights[0] != 'r' || isPage(line, rights) {
			continue
		}
		if holdsCanary(io.NewSectionReader(memory, from, to-from)) {
			return true
		}
	}
	return false
}

// isPage reports whether a mapping is a file's, private and read-only: its content is in the file.
func isPage(line, rights string) bool {
	return rights[1] != 'w' && rights[3] == 'p' && strings.Contains(line, " /")
}

func holdsCanary(r io.Reader) bool {
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := r.Read(buffer[kept:])
		if bytes.Contains(buffer[:kept+n], []byte(canary)) {
			return true
		}
		if err != nil || n == 0 {
			return false
		}
		tail := min(kept+n, len(canary)-1)
		copy(buffer, buffer[kept+n-tail:kept+n])
		kept = tail
	}
}

// find returns every place on the machine where the canary is.
func (m *insides) find() (places []string) {
	first := ""
	for pid, line := range m.processes() {
		if inMemory(pid) {
			places = append(places, "the memory of "+line)
		}
		for _, file := range []string{"environ", "cmdline", "stat"} {
			if text, _ := os.ReadFile("/proc/" + pid + "/" + file); bytes.Contains(text, []byte(canary)) {
				places = append(places, file+" of "+line)
			}
		}
		places = append(places, inDescriptors(pid, line)...)
		if status, _ := os.ReadFile("/proc/" + pid + "/status"); bytes.Contains(status, []byte("NSpid:\t"+pid+"\t1\n")) {
			first = pid
		}
	}
	if first == "" {
		m.t.Fatal("the machine's first process is not among its processes")
	}
	top := "/proc/" + first + "/root"
	cores, _ := filepath.Glob(top + "/core*") // of a process whose working directory is /
	for _, core := range cores {
		places = append(places, inFiles(core)...)
	}
	for _, folder := range []string{"/etc", "/run", "/tmp", "/var", "/root", "/home", "/dev/shm"} {
		places = append(places, inFiles(top+folder)...)
	}
	return places
}

// inDescriptors searches the open files that have no name. It skips pipes and sockets.
func inDescriptors(pid, line string) (places []string) {
	descriptors, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, d := range descriptors {
		if target, _ := os.Readlink(d); !strings.HasPrefix(target, "/memfd:") && !strings.HasSuffix(target, "(deleted)") {
			continue
		}
		if f, err := os.Open(d); err == nil {
			if holdsCanary(f) {
				places = append(places, "a memory file of "+line)
			}
			f.Close()
		}
	}
	return places
}

func inFiles(top string) (places []string) {
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			places = append(places, "what cannot be searched: "+err.Error())
		}
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		if holdsCanary(f) {
			places = append(places, path)
		}
		return nil
	})
	return places
}
