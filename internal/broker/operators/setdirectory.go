package operators

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// setDirectoryPassword is the dialogue of an account of a directory, whose own PAM modules prove and set
// the password. No store of ours and no rule of the configuration has a part in it.
func (o *Server) setDirectoryPassword(ctx context.Context, c *call) error {
	return o.changing(ctx, c, func(ctx context.Context, d *dialogue, current *os.File) error {
		err := o.renew(ctx, c, d, func(fresh *os.File) (weak string, err error) { return o.tryInDirectory(ctx, c, d, current, fresh) })
		if err != nil {
			return err
		}
		ends := slices.Contains(o.engine.Config.Sessions.EndOn, shadowsync.SeenByPcli)
		if ends {
			if survivors, err := o.endBut(ctx, c, c.account(), c.own()); err == nil { // otherwise the farewell says that it is not known
				d.tell(survivors)
			}
		}
		o.farewell(ctx, c, d, ends)
		if ends {
			_, _ = o.endBut(ctx, c, c.account(), sessions.Keep{}) // it is on record
		}
		return nil
	})
}

// own is the caller's shell, as what stays when the caller's other sessions end.
func (c *call) own() sessions.Keep {
	return sessions.Keep{Session: c.origin.Session, Process: c.process}
}

// endBut ends the sessions of an account that belongs to no application, and audits how that went.
func (o *Server) endBut(ctx context.Context, c *call, account shadowsync.Account, keep sessions.Keep) (survivors []shadowsync.Session, err error) {
	ctx = context.WithoutCancel(ctx)
	ended, survivors, err := o.Dialogues.EndBut(ctx, account, keep)
	if err != nil {
		o.Log.Error("the sessions of an account could not be ended", "account", account.Name, "error", err)
	}
	if len(ended)+len(survivors) > 0 || err != nil {
		o.audit(ctx, c, account.Name, EndReason(len(ended), len(survivors), err))
	}
	return survivors, err
}

// EndReason says in the audit how the end of sessions went.
func EndReason(ended, survivors int, err error) string {
	reason := shadowsync.LogoutReason(ended, survivors)
	if err != nil {
		reason += "; whether others stay open is not known: " + printable.Clip(err.Error(), 200)
	}
	return reason
}

// tryInDirectory has the directory set one new password. For a weak one it returns the reason.
func (o *Server) tryInDirectory(ctx context.Context, c *call, d *dialogue, current, fresh *os.File) (weak string, err error) {
	worker := o.workerFor(ctx, d, "")
	defer worker.Close()
	answer, err := o.inTurn(ctx, func() (pamworker.Answer, error) { return worker.Change(ctx, c.name, c.uid, current, fresh) })
	reason := printable.Clip(answer.Reason, 300)
	found := keepsOld
	switch {
	case errors.Is(err, errBusy):
		return "", err
	case err == nil && answer.Verdict == pamworker.Done:
		found = hasNew
	case err != nil:
		found = unknown // the directory is silent: asking at once would only take longer
	case answer.Given: // it may have taken the password before it failed
		found = o.findOut(ctx, c, current, fresh)
	}
	switch {
	case found == hasNew:
		o.audit(ctx, c, c.name, "done: the directory has the new password")
		return "", nil
	case found == unknown:
		return "", o.findOutLater(ctx, c, current, fresh)
	case answer.Verdict == pamworker.Weak:
		return reason, nil
	case answer.Verdict == pamworker.Refused:
		o.audit(ctx, c, c.name, "refused: "+reason)
		return "", operator.Errorf(operator.Policy, "%s", reason)
	}
	return "", o.unproven(ctx, c, answer, nil)
}

// finding is which of two passwords a directory has.
type finding int

const (
	unknown finding = iota
	hasNew
	keepsOld
)

// findOut has the new password proven, and then the old one. Each is proven as a change of it begins: at
// the directory, and not by what sssd(8) remembers of an earlier login.
func (o *Server) findOut(ctx context.Context, c *call, current, fresh *os.File) finding {
	for _, candidate := range []struct {
		token *os.File
		means finding
	}{{fresh, hasNew}, {current, keepsOld}} {
		answer, err := o.inTurn(ctx, func() (pamworker.Answer, error) {
			worker := o.PAM.Start(ctx, "")
			defer worker.Close()
			return worker.Begin(ctx, c.name, c.uid, candidate.token)
		})
		if err == nil && answer.Verdict == pamworker.Done {
			return candidate.means
		}
		if err != nil {
			break // the directory is silent
		}
	}
	return unknown
}

// How often, and for how long, a directory is asked what became of a change. A wrong password may count
// there, so the pauses grow.
const (
	firstPause = 5 * time.Second
	lookFor    = time.Hour
)

const notKnown = "it is not known whether the directory has the new password"

// findOutLater tells the operator that the outcome is not known, and finds it out in the background. The
// broker keeps the sealed passwords until then, unread; if it ends meanwhile, nothing is found.
func (o *Server) findOutLater(ctx context.Context, c *call, current, fresh *os.File) error {
	o.audit(ctx, c, c.name, notKnown+": it did not answer in time")
	old, err := duplicate(current)
	if err == nil {
		var last *os.File
		if last, err = duplicate(fresh); err == nil {
			go o.keepAsking(c, old, last)
		} else {
			_ = old.Close()
		}
	}
	if err != nil {
		o.Log.Error("what became of a change cannot be found out", "account", c.name, "error", err)
	}
	return operator.Errorf(operator.Unavailable, "%s: it did not answer in time; at the next login try the new one, then the old one", notKnown)
}

// keepAsking asks until the directory tells, and audits what was found.
func (o *Server) keepAsking(c *call, current, fresh *os.File) {
	defer current.Close()
	defer fresh.Close()
	ctx, cancel := context.WithTimeout(o.Life, lookFor)
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			o.audit(ctx, c, c.name, notKnown+": nothing was found out")
			return
		}
		switch o.findOut(ctx, c, current, fresh) {
		case hasNew:
			o.audit(ctx, c, c.name, "found: the directory has taken the new password")
			if slices.Contains(o.engine.Config.Sessions.EndOn, shadowsync.SeenByPcli) {
				_, _ = o.endBut(ctx, c, c.account(), sessions.Keep{}) // it is on record
			}
			return
		case keepsOld:
			o.audit(ctx, c, c.name, "found: the directory still has the old password")
			return
		}
	}
}

// duplicate returns another descriptor of a sealed password.
func duplicate(token *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(token.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("cannot keep a sealed password: %w", err)
	}
	return os.NewFile(uintptr(fd), token.Name()), nil
}
