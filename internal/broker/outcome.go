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
		switch m := all[c.name]; {
		case stands(m, given.At):
			return o.stood(ctx, c, d, application, m.LastChange.SeenBy)
		case time.Since(given.At) < workerOutlives:
		case m.Open != nil:
			return outcomeError(application, shadowsync.Outcome{Account: c.name, State: m.Open.State, Verdict: m.Open.Verdict, Reason: m.Open.Reason})
		default:
			return operator.Errorf(operator.Failed, "nothing was changed")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(outcomePause):
		}
	}
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
