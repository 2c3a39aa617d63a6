package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// workerOutlives is how long after the new password was given a PAM worker, which is
	// better finished than cut off when its broker dies, may still change something.
	workerOutlives = 10 * time.Second
	// longAgo is after how long nobody asks what came of a change.
	longAgo = time.Minute
	// outcomePause is between two looks.
	outcomePause = 100 * time.Millisecond
)

// outcome tells an operator what became of a change whose dialogue broke off with the
// broker that led it. Their shell ends last here, too, so that it can say so.
func (o *operators) outcome(ctx context.Context, c *call) error {
	var given operator.Given
	err := json.Unmarshal(c.request.Args, &given)
	if age := time.Since(given.At); err != nil || age < 0 || age > longAgo {
		return operator.Errorf(operator.Usage, "outcome: not understood")
	}
	application, managed := o.engine.Config.Managing(c.name)
	if !managed {
		return errNotPermitted
	}
	d := newDialogue(c.process)
	d.orphan = true
	if !o.dialogues.begin(c.name, d) {
		return errElsewhere
	}
	defer o.dialogues.end(c.name, d)
	d.doors = o.doorsMeanwhile(ctx, c)
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
		case <-o.life.Done(): // nobody is served while this waits
			return operator.Errorf(operator.Unavailable, "shadowsync is restarting")
		case <-time.After(outcomePause):
		}
	}
}

// came tells what is on record of the change, as soon as that is the last word. What the
// store could not take is taken back here, too.
func (o *operators) came(ctx context.Context, c *call, d *dialogue, a config.Application, m shadowsync.AccountMemory, given time.Time) (known bool, err error) {
	switch {
	case stands(m, given):
		return true, o.stood(ctx, c, d, a, m.LastChange.SeenBy)
	case failed(m, c.name, given):
		back := shadowsync.Change{
			Account: c.name, OS: m.Baseline.OS, Fields: shadowsync.FieldsPassword, Over: m.Open.OS.Hash, Origin: c.origin,
		}
		err := o.putBack(ctx, c, back, outcomeError(a, openOutcome(m.Open)))
		var refusal *operator.Error
		if errors.As(err, &refusal) && refusal.Kind == operator.Unavailable {
			err = operator.Errorf(operator.Failed, "%s", refusal.Text) // the outcome is known: pcli takes the kind for ours
		}
		return true, err
	case time.Since(given) < workerOutlives:
		return false, nil
	case m.Open != nil:
		return true, outcomeError(a, openOutcome(m.Open))
	}
	return true, operator.Errorf(operator.Failed, "nothing was changed")
}

// failed tells whether the account's own change, given at that time, did not reach the store.
func failed(m shadowsync.AccountMemory, account string, given time.Time) bool {
	if m.Open == nil || m.Baseline == nil || m.Open.State == shadowsync.Queued {
		return false
	}
	by := m.Open.Origin
	return by.SeenBy == shadowsync.SeenByPcli && by.By == account && by.At.After(given)
}

func openOutcome(open *shadowsync.Change) shadowsync.Outcome {
	return shadowsync.Outcome{Account: open.Account, State: open.State, Verdict: open.Verdict, Reason: open.Reason}
}

// stood tells that the change stands. What ended with its broker before the PAM module could
// announce it was merely noticed by this one: the operator's word ends what the old password opened.
func (o *operators) stood(ctx context.Context, c *call, d *dialogue, a config.Application, seen shadowsync.SeenBy) error {
	if seen.Proven() || !o.ends(a, shadowsync.SeenByPcli) {
		o.dialogues.again(c.name) // that waited for us
		o.farewell(ctx, c, d, o.ends(a, seen))
		return nil
	}
	account := shadowsync.Account{Name: c.name, UID: c.uid}
	ended, survivors, err := o.dialogues.EndBut(ctx, account, sessions.Keep{Process: c.process})
	o.audit(ctx, c, c.name, fmt.Sprintf("not announced: %d sessions ended, %d survived", len(ended), len(survivors)))
	if err == nil {
		select {
		case d.ended <- survivors:
		default: // another end was told of
		}
	}
	o.farewell(ctx, c, d, true)
	_, _, last := o.dialogues.EndBut(context.WithoutCancel(ctx), account, sessions.Keep{})
	return errors.Join(err, last)
}

// stands tells whether both sides have a password that was set after that time.
func stands(m shadowsync.AccountMemory, given time.Time) bool {
	return m.Open == nil && m.LastChange != nil && m.LastChange.At.After(given)
}
