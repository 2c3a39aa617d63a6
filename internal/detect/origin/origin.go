// Package origin finds the person behind a process: facts from /proc, read while the process lives,
// that show who changed a password.
//
// It does not guess. A fact that cannot be read is empty or nil: the process is gone, the kernel
// keeps no audit ids, or /proc is mounted with hidepid. All facts are about one process even if
// another gets its pid meanwhile, because they are read through one open folder of /proc, which
// stays that process's.
//
// What a process says about itself is not evidence. The environment (SUDO_USER) is not read at all.
// Comm may be anything the process likes. The ids, the terminal, the cgroup and the executable come
// from the kernel. Texts are not quoted; the caller must quote them before showing them.
//
//	origin.go     Process: the facts about one
//	peer.go       the process at the other end of a connection
//	parse.go      the files of /proc
//	scan.go       all processes
//	namespace.go  user namespaces
//	session.go    where a login session came from
//	users.go      names of uids
package origin

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/boot"
)

// unset is the login uid and the audit session of a process outside any login:
// (uid_t)-1, see audit_setloginuid(3).
const unset = "4294967295"

// maxAncestors bounds the number of ancestors: passwd, sudo, its monitor, a shell, su, sshd …
const maxAncestors = 16

// Process is what /proc says about a process; proc(5) describes the files.
type Process struct {
	PID int
	// Unpinned: the facts may belong to another process that got the pid meanwhile.
	Unpinned bool
	// Parent is the pid of the process that started it, or that adopted it.
	Parent int
	// StartTicks is when it began, in clock ticks since boot. Together with PID it is unique. 0:
	// the process was gone.
	StartTicks uint64
	// Comm is the name of its main thread, at most 15 bytes, which the process may set itself.
	Comm string
	// Exe is the path of its executable as that process's root sees it, without
	// " (deleted)". Reading it needs the rights of ptrace(2).
	Exe string
	// UID, EUID, SavedUID and FileUID are the four user ids of credentials(7).
	UID, EUID, SavedUID, FileUID *int
	// Namespace is the uid map of its user namespace; nil: the same namespace as this process.
	Namespace []Extent
	// LoginUID is the user who logged in, unchanged by su or sudo. Children inherit it, and only
	// root can change it. Nil outside a login.
	LoginUID *int
	// AuditSession is the kernel's number of that login; logind uses the same number.
	AuditSession *int
	// Terminal is the controlling terminal, "pts/3" or "tty1"; if it has none, the terminal on
	// standard input.
	Terminal string
	// Cgroup is the path in systemd's hierarchy.
	Cgroup string
	// Unit is the system unit in Cgroup: "128T.service", "session-3.scope".
	Unit string
	// Session is logind's id of the login session with that scope: "3", "c1".
	Session string
	// Ancestors are its parents, nearest first, without pid 1. Without a login uid, the uid of a
	// shell above sudo says more than root's.
	Ancestors []Ancestor
}

// Ancestor is a parent, grandparent and so on of a process.
type Ancestor struct {
	PID     int
	Program string
	UID     *int
}

// Program returns the base name of the executable, or Comm if that could not be read.
func (p Process) Program() string {
	if p.Exe != "" {
		return filepath.Base(p.Exe)
	}
	return p.Comm
}

// Invoker returns the uid of the nearest ancestor that is not root's: the person behind sudo(8) or
// su(1). Nil: there is none, or /proc does not show it.
func (p Process) Invoker() *int {
	for _, a := range p.Ancestors {
		if a.UID != nil && *a.UID != 0 {
			return a.UID
		}
	}
	return nil
}

// Opener returns the pid of the process that opens the login session after this process has talked
// to PAM. sshd(8) runs the PAM dialogue in a child that has exited by then, so this is the highest
// ancestor of the same program below the listener, which opens no session.
func (p Process) Opener() int {
	pid := p.PID
	for i, a := range p.Ancestors {
		if a.Program != p.Program() || i+1 == len(p.Ancestors) {
			break
		}
		pid = a.PID
	}
	return pid
}

// FromPID reads the facts about a process. If it is gone, only PID is set.
func FromPID(pid int) Process { return read("/proc", pid) }

// Began returns when a process with these StartTicks began; zero if they are 0. A tick has 10 ms
// (USER_HZ of proc_pid_stat(5), the same on every architecture of Go), whatever the kernel's own is.
func Began(ticks uint64) time.Time {
	if ticks == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ticks)*10*time.Millisecond - boot.Elapsed())
}

// Started returns the StartTicks of the process that has this pid now; 0: no process has it.
func Started(pid int) uint64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	st, _ := parseStat(string(text))
	return st.start
}

// RealUID returns the real uid of the process that has this pid now, whatever its effective uid is;
// nil: no process has it, or /proc does not show it.
func RealUID(pid int) *int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return nil
	}
	var p Process
	p.setIDs(string(text))
	return p.UID
}

func read(proc string, pid int) Process {
	p, ppid := readOne(proc, pid, (*Process).readRest)
	for len(p.Ancestors) < maxAncestors && ppid > 1 {
		parent, next := readOne(proc, ppid, nil)
		if parent.StartTicks == 0 || parent.StartTicks > p.StartTicks {
			break // gone, or another process holds its pid
		}
		p.Ancestors = append(p.Ancestors, Ancestor{ppid, parent.Program(), parent.UID})
		ppid = next
	}
	return p
}

// readOne returns what identifies a process, what rest adds to that, and its parent.
func readOne(proc string, pid int, rest func(*Process, *os.Root, stat)) (p Process, ppid int) {
	p.PID = pid
	dir, err := os.OpenRoot(filepath.Join(proc, strconv.Itoa(pid)))
	if err != nil {
		return p, 0
	}
	defer dir.Close()
	exe := link(dir, "exe") // first: a process that exits loses it first
	st, ok := parseStat(file(dir, "stat"))
	if !ok {
		return p, 0
	}
	p.Parent, p.StartTicks, p.Comm = st.ppid, st.start, st.comm
	p.Exe = strings.TrimSuffix(exe, " (deleted)")
	p.setIDs(file(dir, "status"))
	if rest != nil {
		rest(&p, dir, st)
	}
	return p, st.ppid
}

// readRest adds facts that matter only for the process itself, not for its ancestors.
func (p *Process) readRest(dir *os.Root, st stat) {
	p.LoginUID = parseID(file(dir, "loginuid"))
	p.AuditSession = parseID(file(dir, "sessionid"))
	if p.Terminal = terminalName(st.tty); p.Terminal == "" {
		p.Terminal = terminalOfLink(link(dir, "fd/0"))
	}
	p.Cgroup = parseCgroup(file(dir, "cgroup"))
	p.Unit, p.Session = unitOf(p.Cgroup)
}

// file returns the content of a file below dir, or "".
func file(dir *os.Root, name string) string {
	content, err := dir.ReadFile(name)
	if err != nil {
		return "" // ESRCH once the process is gone
	}
	return string(content)
}

// link returns the target of a symbolic link below dir, or "".
func link(dir *os.Root, name string) string {
	target, err := dir.Readlink(name)
	if err != nil {
		return ""
	}
	return target
}
