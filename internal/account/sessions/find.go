package sessions

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Keep says what End leaves alone. The zero value: nothing.
type Keep struct {
	// Session is a logind session that stays as a whole, of any user.
	Session string
	// Process stays with its ancestors and descendants, and so does its session if that belongs to
	// the account. If it has exited, its session and its ancestors stay.
	Process origin.Process
}

// scene is one snapshot of the machine's processes, for one account.
type scene struct {
	places
	logind    *systemd.Logins
	sub       func() origin.SubUIDs
	processes map[int]origin.Process // all processes, by pid
	mine      []origin.Process       // to end: the account's and their descendants, oldest first
	guests    []origin.Process       // to end: other users' in the account's own sessions, by logind
	seen      map[string]bool        // sessions in which this or an earlier look saw a process of mine
	jobs      []origin.Process       // in the account's background sessions, oldest first
	keep      []string               // logind sessions that stay
	manager   []int                  // the pids of the user's own systemd: itself and its (sd-pam)
}

// look finds what an account has open.
func look(ctx context.Context, logind *systemd.Logins, uid int, keep Keep) (*scene, error) {
	if logind == nil {
		logind = &systemd.Logins{}
	}
	var all []origin.Process
	var refused error
	var work sync.WaitGroup
	work.Go(func() { all, refused = origin.Scan() }) // a process of a session that logind does not list counts
	logins, err := logind.All(ctx)
	work.Wait()
	if err = errors.Join(err, refused); err != nil {
		return nil, err
	}
	s := newScene(uid, logins, all, keep, subUIDs())
	s.logind = logind
	return s, nil
}

// again takes a new snapshot. A session's data from logind is valid for the session's life, and
// logind is slow while sessions end, so it is asked only if there is a new session.
func (s *scene) again(ctx context.Context, keep Keep) (*scene, error) {
	all, err := origin.Scan()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if _, known := s.logins[p.Session]; p.Session != "" && !known {
			next, err := look(ctx, s.logind, s.uid, keep)
			if err == nil {
				next.follow(s)
			}
			return next, err
		}
	}
	next := newScene(s.uid, s.logins, all, keep, s.sub)
	next.logind = s.logind
	next.follow(s)
	return next, nil
}

// follow leaves out the leaders of sessions in which an earlier look saw processes of the account
// that have all ended since: sshd(8) or login(1), which waited for them and now closes the session.
// That takes a while, and lets nobody do anything. A leader whose session has not shown any process
// of the account yet may be about to start the first one.
func (s *scene) follow(earlier *scene) {
	serving := maps.Clone(s.seen)
	maps.Copy(s.seen, earlier.seen)
	s.guests = slices.DeleteFunc(s.guests, func(p origin.Process) bool {
		return s.leads(p) && s.seen[p.Session] && !serving[p.Session]
	})
}

// leads reports whether a process opened the session that it is in.
func (s *scene) leads(p origin.Process) bool { return s.logins[p.Session].Leader == p.PID }

// leaders returns the leaders of the sessions that end.
func (s *scene) leaders() []origin.Process {
	return slices.DeleteFunc(slices.Clone(s.guests), func(p origin.Process) bool { return !s.leads(p) })
}

// visitors reports whether others than its leader are in a session of the account, such as root's
// shell from sudo(8): they need not end when the account's processes end.
func (s *scene) visitors() bool {
	return slices.ContainsFunc(s.guests, func(p origin.Process) bool { return !s.leads(p) })
}

// subUIDs returns a function that reads the subordinate uids once, when they are first needed.
func subUIDs() func() origin.SubUIDs {
	return sync.OnceValue(func() origin.SubUIDs { return origin.ReadSubUIDs("/") })
}

func newScene(uid int, logins map[string]systemd.Login, all []origin.Process, keep Keep, sub func() origin.SubUIDs) *scene {
	s := &scene{places: places{uid: uid, logins: logins}, sub: sub, processes: make(map[int]origin.Process, len(all)), seen: map[string]bool{}}
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
		if s.own(p) && s.logins[p.Session].Background {
			s.jobs = append(s.jobs, p)
		}
		if !s.holds(p) || p.PID == os.Getpid() || tree[p.PID] || p.Session != "" && slices.Contains(s.keep, p.Session) || s.needed(p) {
			continue
		}
		// A child is younger than its parent, so its parent was classified before it.
		switch {
		case s.theirs(p), taken[p.Parent] && s.processes[p.Parent].Cgroup == p.Cgroup:
			taken[p.PID], s.seen[p.Session] = true, true
			s.mine = append(s.mine, p)
		case s.own(p):
			s.guests = append(s.guests, p)
		}
	}
	return s
}

// open reports whether anything is left to end.
func (s *scene) open() bool { return len(s.mine)+len(s.guests) > 0 }

// theirs reports whether a process runs for the account. One that has the account's uid as any of
// its four uids can take it on again, and so can one in a user namespace of the account.
func (s *scene) theirs(p origin.Process) bool { return slices.Contains(p.Accounts(s.sub), s.uid) }

// spare records the sessions to keep, and returns the other processes to keep.
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
		held = keep.Process // the process that serves its terminal may still send its last output
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

// stays reports whether logind must leave a session of the account alone. A session without any
// process may be one that the kept process is just opening.
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

// below returns the pids of all descendants of a process.
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

// managerOf finds a user's own systemd and its (sd-pam) among all processes, oldest first. They are
// the first of their unit; any other process of it with process 1 as its parent was left behind
// there.
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

// needed reports whether a process is the user's own systemd while one of the user's sessions,
// which depends on it, is kept.
func (s *scene) needed(p origin.Process) bool {
	return slices.Contains(s.manager, p.PID) && s.keepsOwn()
}

func (s *scene) keepsOwn() bool {
	return slices.ContainsFunc(s.keep, func(id string) bool { return s.logins[id].UID == s.uid && s.logins[id].ID != "" })
}

// hasManager reports whether the user's own systemd runs and no kept session needs it.
func (s *scene) hasManager() bool {
	return !s.keepsOwn() && slices.ContainsFunc(s.mine, func(p origin.Process) bool { return p.Unit == userManager(s.uid) })
}

// list returns the scene as sessions: logind's, and one for each tree of processes outside them. A
// session without processes has ended, even while logind still cleans up after it.
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
			// It comes and goes with the logins; if there are none, it lingers.
			if !withLogin && !managed {
				managed = true
				sessions = append(sessions, shadowsync.Session{ID: p.Unit, Kind: "manager", Since: startOf(p)})
			}
		default:
			sessions = append(sessions, s.stray(p))
		}
	}
	return oldestFirst(sessions)
}

func oldestFirst(sessions []shadowsync.Session) []shadowsync.Session {
	slices.SortFunc(sessions, func(a, b shadowsync.Session) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return sessions
}

func (s *scene) isMine(pid int) bool {
	return slices.ContainsFunc(s.mine, func(p origin.Process) bool { return p.PID == pid })
}

// stray returns a tree of processes as a session, named after what started it: su, sudo, sshd.
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

// startOf returns when a process began, to the second.
func startOf(p origin.Process) time.Time { return origin.Began(p.StartTicks).Truncate(time.Second) }
