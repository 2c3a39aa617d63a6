package origin

import (
	"fmt"
	"os"
	"strconv"
)

// Scan reads, for every process, what the kernel tells of it without the rights
// of ptrace(2): the ids, the terminal, the cgroup and what is in it. Exe, LoginUID,
// AuditSession and Ancestors stay empty. Processes that come or go meanwhile may be missing.
func Scan() ([]Process, error) { return scan("/proc") }

func scan(proc string) ([]Process, error) {
	folder, err := os.Open(proc)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes: %w", err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes: %w", err)
	}
	var all []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := brief(proc, pid); ok {
			all = append(all, p)
		}
	}
	return all, nil
}

func brief(proc string, pid int) (Process, bool) {
	dir, err := os.OpenRoot(fmt.Sprintf("%s/%d", proc, pid))
	if err != nil {
		return Process{}, false
	}
	defer dir.Close()
	st, ok := parseStat(file(dir, "stat"))
	if !ok {
		return Process{}, false
	}
	p := Process{PID: pid, Parent: st.ppid, StartTicks: st.start, Comm: st.comm, Terminal: terminalName(st.tty)}
	p.UID, p.EUID = parseUIDs(file(dir, "status"))
	p.Cgroup = parseCgroup(file(dir, "cgroup"))
	p.Unit, p.Session = unitOf(p.Cgroup)
	return p, p.UID != nil && p.EUID != nil && st.state != 'Z'
}
