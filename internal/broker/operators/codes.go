package operators

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// codeNeed is what an account with a second factor must have shown before an operation. The zero value is
// the rule: in each new shell, one code.
type codeNeed int

const (
	inShell  codeNeed = iota // a code, since this shell was started
	recently                 // a code in this shell, not longer ago than lately
	byItself                 // nothing: the operation asks for it, or gives nothing away
)

// lately is how long a code opens what administrators do to others.
const lately = 5 * time.Minute

// shellsKept is how many shells are remembered before those that have ended are forgotten.
const shellsKept = 256

// shells remembers which shells have shown a code. A shell is a process, by its pid and start, so
// that no other process can take its place. After a restart of the broker each is asked again.
type shells struct {
	mu    sync.Mutex
	shown map[shellID]showing
}

type shellID struct {
	pid   int
	start uint64
	uid   int
}

// showing is when a code was shown, and of which generation of the factor: a code of one that was
// reset or renewed since opens nothing.
type showing struct {
	at         time.Time
	generation int64
}

// shellOf returns the caller's shell; false if it cannot be told from others. Where the kernel does not
// pin the pid of a peer, a process that began after the request has got the pid of the real one.
func shellOf(c *call) (shellID, bool) {
	p := c.process
	known := p.PID > 0 && p.StartTicks > 0 && !(p.Unpinned && origin.Began(p.StartTicks).After(c.arrived))
	return shellID{p.PID, p.StartTicks, c.uid}, known
}

// remember notes that the caller's shell has shown a code.
func (s *shells) remember(c *call, generation int64, now time.Time) {
	one, known := shellOf(c)
	if !known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown == nil {
		s.shown = map[shellID]showing{}
	}
	if len(s.shown) >= shellsKept {
		for other := range s.shown {
			if origin.Started(other.pid) != other.start {
				delete(s.shown, other)
			}
		}
	}
	s.shown[one] = showing{now, generation}
}

// hold reports whether the caller's shell has shown what an operation needs.
func (s *shells) hold(c *call, generation int64, need codeNeed, now time.Time) bool {
	one, known := shellOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	last, shown := s.shown[one]
	return known && shown && last.generation == generation && (need != recently || now.Sub(last.at) <= lately)
}

// The errors for a request that comes too early.
var (
	errCode   = operator.Errorf(operator.CodeNeeded, "a verification code is needed")
	errComply = operator.Errorf(operator.NotAuthenticated, "a second factor is required of your account; enrol one first, with 'enrol 2fa'")
	errEnrol  = operator.Errorf(operator.NotAuthenticated, "your second factor was reset; enrol a new one first, with 'enrol 2fa'")
)

// admit refuses a request of an account whose second factor was not shown. Root has none here.
func (o *Server) admit(ctx context.Context, c *call, need codeNeed) error {
	if need == byItself || c.root() {
		return nil
	}
	r, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
		return err
	case r.State == factor.Enrolled && !o.shown(c, r.Generation, need):
		return errCode
	case r.State != factor.Enrolled && r.Ticket != nil:
		return errEnrol
	}
	duty, err := o.duty(ctx, c, r)
	if err == nil && duty.Must {
		return errComply
	}
	return err
}

// shown reports whether the caller has shown the code that is needed: in this shell, or in this session of a
// page. At a page, who administers others shows one with each request.
func (o *Server) shown(c *call, generation int64, need codeNeed) bool {
	if c.page == nil {
		return o.shells.hold(c, generation, need, time.Now())
	}
	return c.page.session.Generation == generation && (need != recently || c.page.shown)
}

// factors are the second factors of the system. Wrong codes are counted for all shells together.
func (o *Server) factors() *factor.Factors { return o.engine.Factors(o.WrongCodes) }

// ownFactor returns what is kept of the caller's second factor. Without one, a caller is refused who may have
// been renamed, because the uid has that of another name, or whose factor the state may have lost, because the
// list names it or is damaged.
func (o *Server) ownFactor(ctx context.Context, c *call) (r factor.Record, err error) {
	other := factor.Record{}
	if r, err = o.factors().Of(ctx, c.subject()); err == nil && !r.Asked() && !c.root() {
		if err = o.engine.Recorded(ctx, c.subject()); err == nil {
			other, err = o.engine.FactorOfUID(ctx, c.uid)
		}
	}
	switch {
	case err != nil:
		return r, o.codeError(c, err)
	case other.Asked():
		return r, operator.Errorf(operator.NotAuthenticated, "your uid has the second factor of the account %s; an administrator can reset it", other.Account)
	}
	return r, nil
}

// takeCode checks a code of the caller's and uses it up. From then on the caller's shell has shown one.
func (o *Server) takeCode(ctx context.Context, c *call, file *os.File) (factor.Taken, error) {
	attempt, err := attemptOf(c, file)
	if err != nil {
		return factor.Taken{}, err
	}
	defer socket.Wipe(attempt.Code)
	taken, err := o.factors().Check(ctx, attempt)
	if err != nil {
		return taken, o.codeError(c, err)
	}
	return taken, o.rememberShell(ctx, c)
}

// rememberShell notes that the caller's shell has just shown a code.
func (o *Server) rememberShell(ctx context.Context, c *call) error {
	r, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
	case c.page != nil:
		c.page.session.Generation, c.page.shown = r.Generation, true
	default:
		o.shells.remember(c, r.Generation, time.Now())
	}
	return err
}

// attemptOf reads a code. It is the one secret of operators that this process reads; the caller wipes
// it.
func attemptOf(c *call, file *os.File) (factor.Attempt, error) {
	code, err := socket.ReadSecret(file, operator.MaxCode)
	if err != nil {
		return factor.Attempt{}, operator.Errorf(operator.CodeRefused, "%v", factor.ErrForm)
	}
	return factor.Attempt{Subject: c.subject(), Code: code, Source: c.origin.Remote, Origin: c.origin}, nil
}

// tell is a refusal that the operator may be told, in its own words.
func tell(kind operator.Kind, err error) error { return operator.Errorf(kind, "%v", err) }

// codeError is what an operator is told about an error of the package factor. By how much the clocks
// differ is for root alone, in the audit.
func (o *Server) codeError(c *call, err error) error {
	var slow *factor.SlowError
	switch {
	case errors.As(err, &slow):
		return &waitError{operator.Errorf(operator.NotAuthenticated, "%v", slow)}
	case errors.Is(err, factor.ErrExpired):
		return tell(operator.NotAuthenticated, factor.ErrExpired)
	case errors.Is(err, factor.ErrNotEnrolled):
		return operator.Errorf(operator.Conflict, "no second factor is enrolled%s", c.atPrompt("; 'enrol 2fa' enrols one"))
	case errors.Is(err, factor.ErrNotBegun):
		return operator.Errorf(operator.Conflict, "no enrolment was begun; begin again")
	case errors.Is(err, factor.ErrEnrolled):
		return operator.Errorf(operator.Conflict, "a second factor is enrolled already; an administrator can reset it")
	}
	if told := mailError(err); told != nil {
		return told
	}
	if text, told := factor.Told(err); told {
		return operator.Errorf(operator.CodeRefused, "%s", text)
	}
	o.Log.Error("a second factor could not be checked", "account", c.name, "error", err)
	return operator.Errorf(operator.Unavailable, "the second factor cannot be checked now; nothing was changed")
}
