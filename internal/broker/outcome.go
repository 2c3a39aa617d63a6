package broker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/shadowsync/shadowsync/internal/operator"
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
			o.farewell(ctx, c, d)
			return nil
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

// stands tells whether both sides have a password that was set after that time.
func stands(m shadowsync.AccountMemory, given time.Time) bool {
	return m.Open == nil && m.LastChange != nil && m.LastChange.At.After(given)
}
