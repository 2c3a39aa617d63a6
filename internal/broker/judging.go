package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// judgeWithin is less than the second that the PAM module waits for a judgement: a judgement that
// the module gives up is not audited.
const judgeWithin = 800 * time.Millisecond

// judgedWithin is when the answer is sent even if the audit entry is not written yet, because
// another process may hold the state for a moment. A late answer would let a refused password
// through and silence the module for half a minute.
const judgedWithin = 900 * time.Millisecond

// mostJudged bounds the concurrent judgements. Each is a process of its own, and an account has one
// at a time: otherwise a user with many passwd processes could keep the passwords of others from
// being judged.
const mostJudged = 4

const notJudged = "not judged: it took too long or failed; the journal tells why"

// unjudged is what passwd prints then. pcli has more time.
const unjudged = "the password rules could not be checked in time; try again, or use set password in pcli"

// judge checks a new password against the configuration's rules before it is
// stored, and returns what passwd prints.
//
// Root is exempt, as from pam_pwquality, so that recovery works. The module's word is not
// enough for that: the kernel must report the process as root's own. An exemption is audited,
// and so is a password that could not be judged in time. That password is refused: otherwise
// a user could evade the rules by making the check slow.
func (b *Broker) judge(ctx context.Context, e *engine.Engine, peer socket.Peer, user string, exempt bool, token []*os.File) module.Answer {
	a, managed := e.Config.Managing(user)
	if !managed || len(token) == 0 || !e.Config.Password.HasRules() {
		return says("")
	}
	ctx, cancel := context.WithTimeout(ctx, judgedWithin)
	defer cancel()
	by := who(e, peer)
	if b.errands.Of(by.Unit) != nil {
		return says("") // it was judged before the PAM stack was asked
	}
	exempt = exempt && by.UID != nil && *by.UID == 0
	if !exempt {
		if !b.judged.begin(user, math.MaxInt) {
			return refuses("another change of this password is under way")
		}
		defer b.judged.end(user)
	}
	err := b.inTurn(ctx, func(ctx context.Context) error { return e.HoldToRules(ctx, a.Name, user, token[0]) })
	name := printable.Quote(user)
	switch {
	case err == nil:
		b.vouchers.give(user, peer.PID)
		return says("")
	case !errors.Is(err, policy.ErrWeak):
		b.log.Warn("a new password could not be judged", "account", user, "error", err)
		b.auditJudgement(ctx, e, a, user, by, notJudged)
		if exempt {
			return says("")
		}
		return refuses(unjudged)
	case exempt:
		b.vouchers.give(user, peer.PID)
		b.auditJudgement(ctx, e, a, user, by, "exempted: the configuration's rules refuse it, but do not bind root")
		return says(fmt.Sprintf("shadowsync: %s: the password rules refuse it (%v); accepted because you are root; recorded in the audit", name, err))
	}
	if now := time.Now(); b.refused.Wait(user, now) == 0 { // otherwise a user could fill the trail
		b.refused.Fail(user, now)
		b.auditJudgement(ctx, e, a, user, by, "refused: by the configuration's rules")
	}
	return refuses(err.Error())
}

// refuses words a refusal as pam_pwquality does.
func refuses(why string) module.Answer {
	return module.Answer{Kind: module.Refuses, Text: "BAD PASSWORD: " + why}
}

// inTurn runs one judgement within judgeWithin, which includes the wait for a free slot.
func (b *Broker) inTurn(ctx context.Context, judge func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, judgeWithin)
	defer cancel()
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
		return judge(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// auditJudgement records a judgement. The caller waits no longer than ctx; the entry is written all
// the same.
func (b *Broker) auditJudgement(ctx context.Context, e *engine.Engine, a config.Application, user string, by shadowsync.Origin, result string) {
	event := shadowsync.Event{
		At: time.Now(), Application: a.Name, Account: user, Action: "judged", Reason: result, Origin: by,
	}
	recorded := make(chan struct{})
	b.keepers[a.Name].Go(func() {
		defer close(recorded)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keeper.SettleWithin)
		defer cancel()
		if err := e.Audit(ctx, event); err != nil {
			b.log.Error("a judgement could not be recorded", "account", user, "error", err)
		}
	})
	select {
	case <-recorded:
	case <-ctx.Done():
	}
}
