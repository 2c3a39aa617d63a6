package origin

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

// Scan reads, for every process, what the kernel shows without the rights of ptrace(2): the ids,
// the terminal, the cgroup with its unit and session, and the user namespace unless the process is
// root's. Exe, LoginUID, AuditSession and Ancestors stay empty. Processes that start or end
// meanwhile may be missing.
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

// UIDs returns every uid that a process runs for, as Accounts does, at a third of the cost of Scan.
func UIDs() (map[int]bool, error) { return uids("/proc") }

func uids(proc string) (map[int]bool, error) {
	list, err := pids(proc)
	found := make(map[int]bool)
	sub := sync.OnceValue(func() SubUIDs { return ReadSubUIDs("/") })
	for _, pid := range list {
		for _, uid := range accountsOf(proc, pid, sub) {
			found[uid] = true
		}
	}
	return found, err
}

// accountsOf returns nil for a process that has ended meanwhile.
func accountsOf(proc string, pid int, sub func() SubUIDs) []int {
	dir, err := os.OpenRoot(fmt.Sprintf("%s/%d", proc, pid))
	if err != nil {
		return nil
	}
	defer dir.Close()
	var p Process
	p.setIDs(file(dir, "status"))
	if p.UID != nil && *p.UID != 0 {
		p.Namespace = namespaceOf(dir)
	}
	return p.Accounts(sub)
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
	p.setIDs(file(dir, "status"))
	if p.UID != nil && *p.UID != 0 {
		p.Namespace = namespaceOf(dir)
	}
	p.Cgroup = parseCgroup(file(dir, "cgroup"))
	p.Unit, p.Session = unitOf(p.Cgroup)
	return p, p.UID != nil && p.EUID != nil && st.state != 'Z'
}
