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
	list, err := pids(proc)
	var all []Process
	for _, pid := range list {
		if p, ok := brief(proc, pid); ok {
			all = append(all, p)
		}
	}
	return all, err
}

// UIDs returns every uid that a process has, the real or the effective one, at a
// third of the price of Scan.
func UIDs() (map[int]bool, error) { return uids("/proc") }

func uids(proc string) (map[int]bool, error) {
	list, err := pids(proc)
	found := make(map[int]bool)
	for _, pid := range list {
		status, err := os.ReadFile(fmt.Sprintf("%s/%d/status", proc, pid))
		if err != nil {
			continue // it ended meanwhile
		}
		if real, effective := parseUIDs(string(status)); real != nil && effective != nil {
			found[*real], found[*effective] = true, true
		}
	}
	return found, err
}

func pids(proc string) ([]int, error) {
	folder, err := os.Open(proc)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes: %w", err)
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes: %w", err)
	}
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	return list, nil
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
