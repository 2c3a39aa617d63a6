package operators

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// workerOutlives is how long after it got the new password a PAM worker may still change
	// something. It is not killed when its broker dies: it is safer to let it finish.
	workerOutlives = 10 * time.Second
	// longAgo is the age of a change after which its outcome cannot be asked for.
	longAgo = time.Minute
	// outcomePause is the pause between two looks.
	outcomePause = 100 * time.Millisecond

	nothingChanged = "nothing was changed"
)

// outcome tells an operator the outcome of a change whose broker died during the dialogue. The
// operator's shell ends last here, too, so that it can print the answer.
func (o *Server) outcome(ctx context.Context, c *call) error {
	var given operator.Given
	err := json.Unmarshal(c.request.Args, &given)
	if age := time.Since(given.At); err != nil || age < 0 || age > longAgo {
		return operator.Errorf(operator.Usage, "outcome: not understood")
	}
	application, managed := o.engine.Config.Managing(c.name)
	if c.realm == factor.LDAP {
		return operator.Errorf(operator.Unavailable, notKnown)
	}
	if !managed {
		return errNotPermitted
	}
	d := newDialogue(c.process)
	d.orphan = true
	if !o.Dialogues.begin(c.name, d) {
		return errElsewhere
	}
	defer o.Dialogues.end(c.name, d)
	if err := o.spend(c); err != nil { // the list of ways in starts a unit
		return err
	}
	for {
		all, err := o.memory(ctx, []string{c.name})
		if err != nil {
			return err
		}
		if known, err := o.came(ctx, c, d, application, all[c.name], given.At); known {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.Life.Done(): // do not delay the broker's restart
			return operator.Errorf(operator.Unavailable, "shadowsync is restarting")
		case <-time.After(outcomePause):
		}
	}
}

// came returns what the state records about the change, once that is final. It also takes back a
// change that the store could not take.
func (o *Server) came(ctx context.Context, c *call, d *dialogue, a config.Application, m shadowsync.AccountMemory, given time.Time) (known bool, err error) {
	switch {
	case stands(m, given):
		d.doors = o.doorsMeanwhile(ctx, c, d)
		return true, o.stood(ctx, c, d, a, m.LastChange.SeenBy)
	case failed(m, c.name, given):
		back := shadowsync.Change{
			Account: c.name, OS: m.Baseline.OS, Fields: shadowsync.FieldsPassword, Over: m.Open.OS.Hash, Origin: c.origin,
		}
		err := o.putBack(ctx, c, back, outcomeError(openOutcome(a, m.Open)))
		var refusal *operator.Error
		if errors.As(err, &refusal) && refusal.Kind == operator.Unavailable {
			err = operator.Errorf(operator.Failed, "%s", refusal.Text) // the outcome is known; pcli reads Unavailable as: the broker is unavailable
		}
		return true, err
	case time.Since(given) < workerOutlives:
		return false, nil
	case m.Open != nil:
		return true, outcomeError(openOutcome(a, m.Open))
	}
	return true, operator.Errorf(operator.Failed, nothingChanged)
}

// Became returns what became of a change that was begun at a page and whose end nobody has noted, in the words of
// pcli; empty: the password was changed again since. Born is when this broker began.
func (o *Server) Became(ctx context.Context, change websession.Change, born time.Time) (string, error) {
	o = o.with(o.Engine())
	if change.Realm == string(factor.LDAP) {
		return notKnown, nil
	}
	all, err := o.memory(ctx, []string{change.Account})
	if err != nil {
		return "", err
	}
	application, _ := o.engine.Config.Managing(change.Account)
	return became(application, all[change.Account], change.Began, born), nil
}

func became(a config.Application, m shadowsync.AccountMemory, began, born time.Time) string {
	const longest = visiting + workerOutlives
	switch {
	case stands(m, began) && m.LastChange.At.Sub(began) > longest:
		return ""
	case stands(m, began):
		return operator.Updated
	case !born.After(began), time.Since(born) < workerOutlives: // it is being made, or may be by a worker of the former broker
		return "it is not known yet whether the password was changed; look again in a moment"
	case m.Open != nil:
		if err := outcomeError(openOutcome(a, m.Open)); err != nil {
			return err.Error()
		}
	}
	return nothingChanged
}

// failed reports whether the account's own change, made after given, did not reach the store.
func failed(m shadowsync.AccountMemory, account string, given time.Time) bool {
	if m.Open == nil || m.Baseline == nil || m.Open.State == shadowsync.Queued {
		return false
	}
	by := m.Open.Origin
	return by.SeenBy == shadowsync.SeenByPcli && by.By == account && by.At.After(given)
}

func openOutcome(a config.Application, open *shadowsync.Change) engine.Settled {
	return engine.Settled{Holder: a, Outcome: shadowsync.Outcome{Account: open.Account, State: open.State, Verdict: open.Verdict, Reason: open.Reason}}
}

// stood tells that the change is in force. If the former broker died before the PAM module could
// announce the change, this broker only noticed it, which ends no sessions. The operator confirms
// it now, so the sessions that the old password opened end here.
func (o *Server) stood(ctx context.Context, c *call, d *dialogue, a config.Application, seen shadowsync.SeenBy) error {
	if seen.Announced() || !o.ends(a, shadowsync.SeenByPcli) {
		o.Dialogues.Again(c.name) // the session ends waited for this dialogue
		o.farewell(ctx, c, d, o.ends(a, seen))
		return nil
	}
	account := shadowsync.Account{Name: c.name, UID: c.uid}
	ended, survivors, err := o.Dialogues.EndBut(ctx, account, sessions.Keep{Process: c.process})
	o.audit(ctx, c, c.name, "not announced: "+shadowsync.LogoutReason(len(ended), len(survivors)))
	if err == nil {
		d.tell(survivors)
	}
	o.farewell(ctx, c, d, true)
	_, _, last := o.Dialogues.EndBut(context.WithoutCancel(ctx), account, sessions.Keep{})
	return errors.Join(err, last)
}

// stands reports whether both sides have a password that was set after given.
func stands(m shadowsync.AccountMemory, given time.Time) bool {
	return m.Open == nil && m.LastChange != nil && m.LastChange.At.After(given)
}
