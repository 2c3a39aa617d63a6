package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// judgeWithin is less than the second for which the PAM module waits for a
// judgement: what it gives up is not on record.
const judgeWithin = 800 * time.Millisecond

// judgedWithin is when the answer goes, recorded or not: the state may be somebody
// else's for a moment, and an answer that comes too late lets a refused password through
// and has the module ask nothing for half a minute.
const judgedWithin = 900 * time.Millisecond

// Each judgement is a process of its own. An account has one at a time, and all of them
// mostJudged: else a user with many a passwd could leave the others' unjudged.
const mostJudged = 4

const notJudged = "not judged: it took too long or failed; the journal tells why"

// judge holds a new password against the configuration's rules before it is
// stored, and says what passwd shall print: a refusal begins with "BAD PASSWORD".
//
// Root is exempt, as from pam_pwquality: recovery must work. That the module says so is
// not enough, the kernel must know the process as root's own. An exemption
// is on record, and so is a password that could not be judged in time.
func (b *Broker) judge(ctx context.Context, peer socket.Peer, user string, exempt bool, token []*os.File) string {
	a, managed := b.engine.Load().Config.Managing(user)
	if !managed || len(token) == 0 || !b.engine.Load().Config.Password.HasRules() {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, judgedWithin)
	defer cancel()
	by := b.who(peer)
	if b.errands.of(by.Unit) != nil {
		return "" // it was judged before the stack was asked
	}
	exempt = exempt && by.UID != nil && *by.UID == 0
	if !exempt {
		if !b.judged.begin(user, math.MaxInt) {
			return "BAD PASSWORD: another change of this password is under way"
		}
		defer b.judged.end(user)
	}
	err := b.inTurn(ctx, func(ctx context.Context) error { return holdToRules(ctx, b.engine.Load(), a, user, token[0]) })
	name := printable.Quote(user)
	switch {
	case err == nil:
		b.vouchers.give(user, peer.PID)
		return ""
	case !errors.Is(err, policy.ErrWeak):
		b.log.Warn("a new password could not be judged", "account", user, "error", err)
		b.auditJudgement(ctx, a, user, by, notJudged)
		return ""
	case exempt:
		b.vouchers.give(user, peer.PID)
		b.auditJudgement(ctx, a, user, by, "exempted: the configuration's rules refuse it, and root is not held to them")
		return fmt.Sprintf("shadowsync: %s: the password rules refuse it (%v); root's word counts, and that is on record", name, err)
	}
	if now := time.Now(); b.refused.wait(user, now) == 0 { // or a user could fill the trail
		b.refused.fail(user, now)
		b.auditJudgement(ctx, a, user, by, "refused: by the configuration's rules")
	}
	return fmt.Sprintf("BAD PASSWORD: %v", err)
}

// inTurn runs one judgement within its time, of which the wait for a turn is a part.
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

// holdToRules has a worker judge a new password of an account by the configuration's
// rules. An error that is not policy.ErrWeak says that it was not judged.
func holdToRules(ctx context.Context, e *engine.Engine, a config.Application, user string, token *os.File) error {
	snapshot, err := e.Accounts.Read(ctx, []string{user})
	if err != nil {
		return err
	}
	memory, err := e.State.Load(ctx, a.Name, []string{user})
	if err != nil {
		return err
	}
	rules := policy.RulesOf(e.Config.Password)
	return rules.CheckFile(ctx, token, snapshot.Accounts[user].Credential, memory.Accounts[user].Record)
}

// auditJudgement puts a judgement on record. Who waits for the answer waits for that no
// longer than ctx; it is recorded all the same.
func (b *Broker) auditJudgement(ctx context.Context, a config.Application, user string, by shadowsync.Origin, result string) {
	event := shadowsync.Event{
		At: time.Now(), Application: a.Name, Account: user, Action: "judged", Reason: result, Origin: by,
	}
	recorded := make(chan struct{})
	b.keepers[a.Name].background.Go(func() {
		defer close(recorded)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
		defer cancel()
		if err := b.engine.Load().Record(ctx, event); err != nil {
			b.log.Error("a judgement could not be put on record", "account", user, "error", err)
		}
	})
	select {
	case <-recorded:
	case <-ctx.Done():
	}
}
