// Package origin finds out who is behind a process: the facts that tell who
// changed a password, taken from /proc while the process lives.
//
// It promises not to guess. A fact that cannot be read is empty or nil: the
// process is gone, the kernel keeps no audit ids, /proc is mounted with hidepid.
// All facts are of one process even if its pid is given to another meanwhile, for
// they are read through one open folder of /proc, which stays that process's.
//
// What a process says about itself is not evidence. Environment (SUDO_USER) is
// not read at all; Comm may be anything the process likes; the ids, the terminal, the
// cgroup and the executable come from the kernel. Texts are as found: who shows them
// quotes them.
package origin

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// unset is the login uid and the audit session of a process outside any login:
// (uid_t)-1, see audit_setloginuid(3).
const unset = "4294967295"

// maxAncestors bounds the way up: passwd, sudo, its monitor, a shell, su, sshd …
const maxAncestors = 16

// Process is what /proc tells about a process; proc(5) names the files.
type Process struct {
	PID int
	// Parent is the pid of the process that started it, or of who took it over.
	Parent int
	// StartTicks is when it began, in clock ticks since boot: with PID it names
	// a process for good. 0: the process was gone.
	StartTicks uint64
	// Comm is the name of its main thread, at most 15 bytes, which the process may set itself.
	Comm string
	// Exe is the path of its executable as that process's root sees it, without
	// " (deleted)". Reading it needs the rights of ptrace(2).
	Exe string
	// UID and EUID are the real and the effective user id.
	UID, EUID *int
	// LoginUID is who logged in, whatever became of them by su or sudo; only
	// root can change it, and inherited since. Nil outside a login.
	LoginUID *int
	// AuditSession is the kernel's number of that login; logind's are the same.
	AuditSession *int
	// Terminal is the controlling terminal, "pts/3" or "tty1"; without one,
	// that on standard input.
	Terminal string
	// Cgroup is the path in systemd's hierarchy.
	Cgroup string
	// Unit is the system unit in Cgroup: "128T.service", "session-3.scope".
	Unit string
	// Session is logind's name of the login session of that scope: "3", "c1".
	Session string
	// Ancestors are its parents, nearest first, without pid 1: where there is no login uid, the
	// uid of a shell above sudo says more than root's.
	Ancestors []Ancestor
}

// Ancestor is a parent of a process, or a parent's.
type Ancestor struct {
	PID     int
	Program string
	UID     *int
}

// Program is the base name of the executable, or Comm if that could not be read.
func (p Process) Program() string {
	if p.Exe != "" {
		return filepath.Base(p.Exe)
	}
	return p.Comm
}

// Invoker is the uid of the nearest parent that is not root's: the person behind
// sudo(8) or su(1). Nil: there is none, or /proc does not tell.
func (p Process) Invoker() *int {
	for _, a := range p.Ancestors {
		if a.UID != nil && *a.UID != 0 {
			return a.UID
		}
	}
	return nil
}

// Opener is the pid of who opens the session of a login whose dialogue this process has:
// sshd(8) leads PAM's in a child that is gone by then. The listener, on top, opens none.
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

// FromPID reads the facts about a process. For one that is gone, only PID is set.
func FromPID(pid int) Process { return read("/proc", pid) }

// Started is the StartTicks of the process that has this pid now, 0 if none has.
func Started(pid int) uint64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	st, _ := parseStat(string(text))
	return st.start
}

func read(proc string, pid int) Process {
	p, ppid := readOne(proc, pid, (*Process).readRest)
	for len(p.Ancestors) < maxAncestors && ppid > 1 {
		parent, next := readOne(proc, ppid, nil)
		if parent.StartTicks == 0 || parent.StartTicks > p.StartTicks {
			break // gone, or its pid is somebody else's already
		}
		p.Ancestors = append(p.Ancestors, Ancestor{ppid, parent.Program(), parent.UID})
		ppid = next
	}
	return p
}

// readOne gives what identifies a process, what rest adds to that, and its parent.
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
	p.UID, p.EUID = parseUIDs(file(dir, "status"))
	if rest != nil {
		rest(&p, dir, st)
	}
	return p, st.ppid
}

// readRest adds what is of interest for the process itself, not for its ancestors.
func (p *Process) readRest(dir *os.Root, st stat) {
	p.LoginUID = parseID(file(dir, "loginuid"))
	p.AuditSession = parseID(file(dir, "sessionid"))
	if p.Terminal = terminalName(st.tty); p.Terminal == "" {
		p.Terminal = terminalOfLink(link(dir, "fd/0"))
	}
	p.Cgroup = parseCgroup(file(dir, "cgroup"))
	p.Unit, p.Session = unitOf(p.Cgroup)
}

// file gives the content of a file below dir, or nothing.
func file(dir *os.Root, name string) string {
	content, err := dir.ReadFile(name)
	if err != nil {
		return "" // ESRCH once the process is gone
	}
	return string(content)
}

// link gives where a symbolic link below dir points to, or nothing.
func link(dir *os.Root, name string) string {
	target, err := dir.Readlink(name)
	if err != nil {
		return ""
	}
	return target
}
