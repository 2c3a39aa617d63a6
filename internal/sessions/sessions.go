package sessions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// limit bounds the end of everything.
	limit = 1900 * time.Millisecond
	// patience is how long a process may take over its own end before it is killed.
	patience = 500 * time.Millisecond
	// pause is the longest between two looks at what is left; they follow at once when all
	// that was seen has ended.
	pause = 100 * time.Millisecond
)

// Sessions ends what passwords opened on this machine. The zero value is ready.
type Sessions struct {
	Bus *systemd.Bus // to stop user managers; nil: one of its own
}

var _ shadowsync.Sessions = Sessions{}

// List returns an account's sessions, oldest first.
func (Sessions) List(ctx context.Context, account shadowsync.Account) ([]shadowsync.Session, error) {
	s, err := look(ctx, account.UID, Keep{})
	if err != nil {
		return nil, fmt.Errorf("cannot list the sessions of %s: %w", account.Name, err)
	}
	return s.list(), nil
}

// End ends every session of the account but the one that l keeps, looks again, and
// tells which ended and which survived. It never touches uid 0.
func (s Sessions) End(ctx context.Context, account shadowsync.Account, l shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return s.EndBut(ctx, account, kept(l))
}

// kept is what an end leaves alone. A process that has the pid of the one that made the
// change, but is younger than the change, is another.
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

// EndBut is End with more to keep.
func (s Sessions) EndBut(ctx context.Context, account shadowsync.Account, keep Keep) (ended, survivors []shadowsync.Session, err error) {
	if account.UID == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Second) // the last look included
	defer cancel()
	before, err := look(ctx, account.UID, keep)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot end the sessions of %s: %w", account.Name, err)
	}
	var work sync.WaitGroup
	var refused [2]error
	asking, enough := context.WithCancel(ctx)
	stays := func(id string) bool { return before.stays(id, keep) }
	work.Go(func() { _, _, refused[0] = systemd.Logind{}.EndBut(asking, account, stays) })
	if before.hasManager() {
		work.Go(func() { refused[1] = s.stopManager(asking, account.UID) })
	}
	after, err := endProcesses(ctx, before, keep)
	enough() // what they were asked to end has ended, or had its time; they tidy up by themselves
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
		return ended, nil, nil // what was refused on the way helped itself
	}
	return ended, survivors, errors.Join(append(refused[:], err)...)
}

// stopManager stops the user's own systemd. A lingering one stays stopped until the
// next boot or login.
func (s Sessions) stopManager(ctx context.Context, uid int) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	bus := s.Bus
	if bus == nil {
		bus = &systemd.Bus{}
	}
	return bus.Stop(ctx, userManager(uid))
}

// process names one for good.
type process struct {
	pid   int
	start uint64
}

// endProcesses ends the account's processes wherever they are, and those that come while it does:
// the old password may still be being typed. logind ends what stands in the account's
// own sessions besides. It returns the last look: nothing is left there, or time is up.
func endProcesses(ctx context.Context, s *scene, keep Keep) (last *scene, err error) {
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
		awaitEnds(slices.Concat(s.mine, s.guests), pause)
		if s, err = s.again(ctx, keep); err != nil {
			return nil, errors.Join(err, joined(refused))
		}
	}
	return s, joined(refused)
}

// end asks a process to end, once, or kills it. One that is stopped hears
// nothing until it is continued.
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

// ListAll returns the sessions of several uids, from one look.
func ListAll(ctx context.Context, uids []int) (map[int][]shadowsync.Session, error) {
	logins, err := systemd.Logind{}.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list the sessions: %w", err)
	}
	all, err := origin.Scan()
	if err != nil {
		return nil, err
	}
	busy := map[int]bool{}
	for _, login := range logins {
		busy[login.UID] = true
	}
	for _, p := range all {
		busy[*p.UID], busy[*p.EUID] = true, true
	}
	lists := map[int][]shadowsync.Session{}
	for _, uid := range uids {
		if busy[uid] { // most accounts have nothing open
			lists[uid] = newScene(uid, logins, all, Keep{}).list()
		}
	}
	return lists, nil
}
