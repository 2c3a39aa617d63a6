package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// limit bounds the time to end everything.
	limit = 1900 * time.Millisecond
	// patience is how long a process may take to end by itself before it is killed.
	patience = 500 * time.Millisecond
	// byItself is how long a session has to close after the end of the account's processes in it
	// before logind is asked to end it. Asked at once, logind and systemd would do the same work a
	// second time, beside the processes that are ending.
	byItself = 100 * time.Millisecond
	// pause is the longest time between two looks at what is left; the next look follows at once
	// when everything that was seen has ended.
	pause = 100 * time.Millisecond
)

// Sessions ends what passwords opened on this machine. The zero value is ready to use.
type Sessions struct {
	Bus    *systemd.Bus    // to stop user managers; nil: a new one
	Logins *systemd.Logins // keeps what logind said for the next call; nil: nothing is kept
	// Later runs what is left when all has ended that the account could use: leaders of sessions are
	// still closing them. Nil: an end includes that.
	Later func(rest func())
	Pages websession.Store // the sessions of pages
}

var _ shadowsync.Sessions = Sessions{}

// List returns an account's sessions, oldest first.
func (s Sessions) List(ctx context.Context, account shadowsync.Account) ([]shadowsync.Session, error) {
	present, err := look(ctx, s.Logins, account.UID, Keep{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the sessions of %s: %w", account.Name, err)
	}
	atPages, err := s.Pages.Of(account.UID)
	return oldestFirst(append(present.list(), atPages...)), err
}

// Foresee asks logind about the present sessions, so that a later call asks only about new ones. If
// that fails, the later call reports why.
func (s Sessions) Foresee(ctx context.Context) {
	if s.Logins != nil {
		_, _ = s.Logins.All(ctx)
	}
}

// End ends every session of the account except the one that l keeps, looks again, and returns which
// sessions ended and which survived. It never touches uid 0.
func (s Sessions) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return s.EndBut(ctx, account, kept(l))
}

// kept returns what End leaves alone. A process that has the pid of the one that made the change,
// but started after the change, is a different process.
func kept(l shadowsync.Logout) Keep {
	if l.Keep != shadowsync.ProcessSession(l.Origin.PID) {
		return Keep{Session: l.Keep}
	}
	p := origin.FromPID(l.Origin.PID)
	if p.StartTicks == 0 || startOf(p).After(l.Origin.At) {
		return Keep{}
	}
	return Keep{Process: p}
}

// EndBut is End with a process or a session to keep.
func (s Sessions) EndBut(ctx context.Context, account shadowsync.Account, keep Keep) (ended, survivors []shadowsync.Session, err error) {
	if account.UID == 0 {
		return nil, nil, nil
	}
	early, _, _ := s.Pages.EndBut(account.UID, keep.Session) // first: they run nothing that must end, and can change something
	ended, survivors, err = s.endProcesses(ctx, account, keep)
	late, open, atPages := s.Pages.EndBut(account.UID, keep.Session) // and those that began meanwhile
	return slices.Concat(early, late, ended), slices.Concat(open, survivors), errors.Join(atPages, err)
}

// endProcesses is EndBut for what runs on this machine.
func (s Sessions) endProcesses(ctx context.Context, account shadowsync.Account, keep Keep) (ended, survivors []shadowsync.Session, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit+time.Second) // includes the last look
	defer cancel()
	before, err := look(ctx, s.Logins, account.UID, keep)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot end the sessions of %s: %w", account.Name, err)
	}
	var work sync.WaitGroup
	var refused [2]error
	asking, enough := context.WithCancel(ctx)
	stays := func(id string) bool { return before.stays(id, keep) }
	work.Go(func() {
		if before.visitors() || !over(asking, byItself) {
			_, _, refused[0] = systemd.Logind{}.EndBut(asking, account, stays)
		}
	})
	if before.hasManager() {
		work.Go(func() { refused[1] = s.stopManager(asking, account.UID) })
	}
	after, err := endAll(ctx, before, keep)
	enough() // the processes have ended or time is up; logind and systemd clean up by themselves
	work.Wait()
	if after == nil {
		return nil, before.list(), fmt.Errorf("cannot tell whether the sessions of %s ended: %w", account.Name, err)
	}
	survivors = after.list()
	for _, session := range before.list() {
		if !slices.ContainsFunc(survivors, func(left shadowsync.Session) bool { return left.ID == session.ID }) {
			ended = append(ended, session)
		}
	}
	if len(survivors) == 0 {
		s.close(ctx, account, before.leaders())
		return ended, nil, nil // everything ended, so earlier errors do not matter
	}
	return ended, survivors, errors.Join(append(refused[:], err)...)
}

// close has logind end the sessions whose leaders have not closed them by themselves.
func (s Sessions) close(ctx context.Context, account shadowsync.Account, leaders []origin.Process) {
	ctx = context.WithoutCancel(ctx)
	rest := func() {
		until := time.Now().Add(byItself)
		open := map[string]bool{}
		for _, p := range leaders {
			if !AwaitEnd(p, time.Until(until)) {
				open[p.Session] = true
			}
		}
		if len(open) > 0 { // an error is not a survivor: the account has no process there
			_, _, _ = systemd.Logind{}.EndBut(ctx, account, func(id string) bool { return !open[id] })
		}
	}
	if s.Later == nil {
		rest()
		return
	}
	s.Later(rest)
}

// over waits for the given time, and reports whether ctx ended meanwhile.
func over(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-timer.C:
		return false
	}
}

// stopManager stops the user's own systemd. A lingering one stays stopped until the next boot or
// login.
func (s Sessions) stopManager(ctx context.Context, uid int) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	bus := s.Bus
	if bus == nil {
		bus = &systemd.Bus{}
	}
	return bus.Stop(ctx, userManager(uid))
}

// process identifies a process; its pid alone may be reused.
type process struct {
	pid   int
	start uint64
}

// endAll ends the account's processes wherever they run, and those that start meanwhile:
// somebody may be logging in with the old password just now. At the same time logind ends what runs
// in the account's own sessions. It returns the last look: either nothing is left, or the time is
// up.
func endAll(ctx context.Context, s *scene, keep Keep) (last *scene, err error) {
	start := time.Now()
	asked, refused := map[process]bool{}, map[process]error{}
	for s.open() && time.Since(start) < limit {
		for _, p := range s.mine {
			key := process{p.PID, p.StartTicks}
			if err := end(p, asked[key], time.Since(start) > patience); err != nil {
				refused[key] = fmt.Errorf("process %d: %w", p.PID, err)
			}
			asked[key] = true
		}
		s.awaitEnds(pause)
		if s, err = s.again(ctx, keep); err != nil {
			return nil, errors.Join(err, joined(refused))
		}
	}
	return s, joined(refused)
}

// end asks a process once to end, or kills it. SIGCONT comes last because a stopped process handles
// no signal before it continues.
func end(p origin.Process, asked, kill bool) error {
	switch {
	case kill:
		return send(p, unix.SIGKILL)
	case asked:
		return nil
	}
	return send(p, unix.SIGHUP, unix.SIGTERM, unix.SIGCONT)
}

func joined(refused map[process]error) error {
	var errs []error
	for _, err := range refused {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ListAll returns the sessions of several uids, from one snapshot.
func ListAll(ctx context.Context, uids []int) (map[int][]shadowsync.Session, error) {
	logins, err := systemd.Logind{}.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list the sessions: %w", err)
	}
	all, err := origin.Scan()
	if err != nil {
		return nil, err
	}
	busy, sub := map[int]bool{}, subUIDs()
	for _, login := range logins {
		busy[login.UID] = true
	}
	for _, p := range all {
		for _, uid := range p.Accounts(sub) {
			busy[uid] = true
		}
	}
	lists, err := websession.Store{}.All()
	for _, uid := range uids {
		if busy[uid] { // most accounts have nothing open
			lists[uid] = oldestFirst(append(lists[uid], newScene(uid, logins, all, Keep{}, sub).list()...))
		}
	}
	return lists, err
}

// Occupied returns the uids that have a process or a session of a page: nobody else has a session.
func Occupied() (map[int]bool, error) {
	occupied, err := origin.UIDs()
	if err != nil {
		return nil, err
	}
	atPages, err := websession.Store{}.All()
	for uid := range atPages {
		occupied[uid] = true
	}
	return occupied, err
}
