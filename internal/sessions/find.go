package sessions

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Keep is what an end of sessions leaves alone. The zero value: nothing.
type Keep struct {
	// Session is a logind session, whole, whoever's it is.
	Session string
	// Process is one with all above and below it, and its session if that is the account's own.
	// Of one that is gone, that session and what was above it stay.
	Process origin.Process
}

// scene is one look at the machine, for one account.
type scene struct {
	places
	processes map[int]origin.Process // all there are, by pid
	mine      []origin.Process       // the account's, and what they started, oldest first; none kept
	guests    []origin.Process       // others' in the account's own sessions, which logind ends
	keep      []string               // logind sessions that stay
	manager   []int                  // the pids of the user's own systemd itself
}

// look finds what an account has open.
func look(ctx context.Context, uid int, keep Keep) (*scene, error) {
	logins, err := systemd.Logind{}.All(ctx)
	if err != nil {
		return nil, err
	}
	all, err := origin.Scan()
	if err != nil {
		return nil, err
	}
	return newScene(uid, logins, all, keep), nil
}

// again looks once more. What logind said of a session holds for as long as that lives;
// busy with the ends of others as it is, it is asked again only about one that is new.
func (s *scene) again(ctx context.Context, keep Keep) (*scene, error) {
	all, err := origin.Scan()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if _, known := s.logins[p.Session]; p.Session != "" && !known {
			return look(ctx, s.uid, keep)
		}
	}
	return newScene(s.uid, s.logins, all, keep), nil
}

func newScene(uid int, logins map[string]systemd.Login, all []origin.Process, keep Keep) *scene {
	s := &scene{places: places{uid: uid, logins: logins}, processes: make(map[int]origin.Process, len(all))}
	for _, p := range all {
		s.processes[p.PID] = p
	}
	s.booted = s.processes[1].Unit == "init.scope"
	tree := s.spare(keep)
	slices.SortFunc(all, func(a, b origin.Process) int {
		return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
	})
	s.manager = managerOf(uid, all)
	taken := map[int]bool{}
	for _, p := range all {
		if !s.holds(p) || p.PID == os.Getpid() || tree[p.PID] || p.Session != "" && slices.Contains(s.keep, p.Session) || s.needed(p) {
			continue
		}
		// A child is younger than its parent, so its parent was judged before it.
		switch {
		case s.theirs(p), taken[p.Parent] && s.processes[p.Parent].Cgroup == p.Cgroup:
			taken[p.PID] = true
			s.mine = append(s.mine, p)
		case s.own(p):
			s.guests = append(s.guests, p)
		}
	}
	return s
}

// open tells whether anything is left to end.
func (s *scene) open() bool { return len(s.mine)+len(s.guests) > 0 }

// theirs tells whether a process has the account's uid, real or effective.
func (s *scene) theirs(p origin.Process) bool { return *p.UID == s.uid || *p.EUID == s.uid }

// spare notes the sessions to keep, and returns the processes to keep besides.
func (s *scene) spare(keep Keep) map[int]bool {
	if keep.Session != "" {
		s.keep = append(s.keep, keep.Session)
	}
	tree := map[int]bool{}
	if keep.Process.PID == 0 {
		return tree
	}
	held, there := s.processes[keep.Process.PID]
	if there = there && held.StartTicks == keep.Process.StartTicks; !there {
		held = keep.Process // who serves its terminal may have its last lines to send yet
	}
	if s.own(held) {
		s.keep = append(s.keep, held.Session)
	}
	for p := s.processes[held.Parent]; p.PID > 1 && !tree[p.PID] && p.StartTicks <= held.StartTicks; p = s.processes[p.Parent] {
		tree[p.PID] = true
	}
	if there {
		tree[held.PID] = true
		for _, pid := range s.below(held.PID) {
			tree[pid] = true
		}
	}
	return tree
}

// stays tells whether logind has to leave a session of the account's alone. One that nothing
// stood in yet may be the kept process's, which opens it just then.
func (s *scene) stays(id string, keep Keep) bool {
	if slices.Contains(s.keep, id) {
		return true
	}
	if keep.Process.PID == 0 {
		return false
	}
	for _, p := range s.processes {
		if p.Session == id {
			return s.processes[keep.Process.PID].Session == id
		}
	}
	return true
}

// below returns the pids of everything that a process started.
func (s *scene) below(top int) []int {
	children := map[int][]int{}
	for pid, p := range s.processes {
		children[p.Parent] = append(children[p.Parent], pid)
	}
	all := slices.Clone(children[top])
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// managerOf finds a user's own systemd and its (sd-pam) among all processes, oldest first. They
// are the first of their unit; what else of it has process 1 for a parent was left behind there.
func managerOf(uid int, all []origin.Process) []int {
	var found []int
	for _, p := range all {
		if p.Unit != userManager(uid) {
			continue
		}
		if len(found) == 0 && p.Parent == 1 || len(found) == 1 && p.Parent == found[0] && p.Comm == "(sd-pam)" {
			found = append(found, p.PID)
		}
	}
	return found
}

// needed tells whether a process is the user's own systemd while one of the
// user's sessions is kept, which stands on it.
func (s *scene) needed(p origin.Process) bool {
	return slices.Contains(s.manager, p.PID) && s.keepsOwn()
}

func (s *scene) keepsOwn() bool {
	return slices.ContainsFunc(s.keep, func(id string) bool { return s.logins[id].UID == s.uid && s.logins[id].ID != "" })
}

// hasManager tells whether the user's own systemd, which nothing needs any longer, runs.
func (s *scene) hasManager() bool {
	return !s.keepsOwn() && slices.ContainsFunc(s.mine, func(p origin.Process) bool { return p.Unit == userManager(s.uid) })
}

// list is the scene as sessions: logind's, and besides them one for each tree of
// processes. A session in which nothing runs any longer has ended, though logind
// still tidies up after it.
func (s *scene) list() []shadowsync.Session {
	var sessions []shadowsync.Session
	inhabited := map[string]bool{}
	for _, p := range slices.Concat(s.mine, s.guests) {
		inhabited[p.Session] = true
	}
	for id, login := range s.logins {
		if login.UID == s.uid && login.Opened && inhabited[id] && !slices.Contains(s.keep, id) {
			sessions = append(sessions, login.Session)
		}
	}
	withLogin, managed := len(sessions) > 0, false
	for _, p := range s.mine {
		switch {
		case s.own(p), s.isMine(p.Parent):
		case p.Unit == userManager(s.uid):
			// It comes and goes with the logins; alone, it lingers.
			if !withLogin && !managed {
				managed = true
				sessions = append(sessions, shadowsync.Session{ID: p.Unit, Kind: "manager", Since: startOf(p)})
			}
		default:
			sessions = append(sessions, s.stray(p))
		}
	}
	slices.SortFunc(sessions, func(a, b shadowsync.Session) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return sessions
}

func (s *scene) isMine(pid int) bool {
	return slices.ContainsFunc(s.mine, func(p origin.Process) bool { return p.PID == pid })
}

// stray is a tree of processes as a session, named after what started it: su, sudo, sshd.
func (s *scene) stray(top origin.Process) shadowsync.Session {
	kind := top.Comm
	if parent, ok := s.processes[top.Parent]; ok && parent.PID != 1 {
		kind = parent.Comm
	}
	return shadowsync.Session{
		ID: shadowsync.ProcessSession(top.PID), Kind: kind, Terminal: top.Terminal,
		Remote: s.logins[top.Session].Remote, Since: startOf(top),
	}
}

// startOf is when a process began. The kernel shows ticks of 10 ms to everybody,
// whatever its own are (USER_HZ), counted since the boot, sleep included.
func startOf(p origin.Process) time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Time{}
	}
	up := time.Duration(now.Nano())
	return time.Now().Add(time.Duration(p.StartTicks)*10*time.Millisecond - up).Truncate(time.Second)
}
