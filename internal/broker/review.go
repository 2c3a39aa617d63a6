package broker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// reviewWithin bounds one review.
	reviewWithin = 5 * time.Second
	// mostReviews may wait: each keeps a token in memory. What chpasswd(8) sets faster is only
	// counted.
	mostReviews = 16
	// mayWait is how long a review may wait: clear text is not kept for a long queue.
	mayWait = time.Second
)

// reviews judge passwords one at a time after passwd was answered, where no rule could refuse them
// before: the machine's rules exempt root, and the configuration's rules were not always asked.
type reviews struct {
	queue  chan review
	missed atomic.Int64
}

// review is the review of an announced password.
type review struct {
	application config.Application
	user        string
	by          shadowsync.Origin
	root        bool // set by root, whom the machine's rules do not bind
	vouched     bool // the configuration's rules were asked before
	token       []*os.File
	since       time.Time
}

// Why a password that a rule refuses is in force. The reason does not name the rule: that would
// reveal something about the password.
const (
	exemptFromMachine = "exempted: the machine's rules refuse it, but do not bind root"
	exemptFromOurs    = "exempted: the configuration's rules refuse it, and they were not asked before it was set"
	exemptFromAge     = "exempted: it was set within the minimum age, which does not bind root"
)

// reviewLater queues an announced password for review if one is due, and reports whether it did. The
// caller keeps the token.
func (b *Broker) reviewLater(e *engine.Engine, peer socket.Peer, by shadowsync.Origin, user string, token []*os.File) (queued bool) {
	a, managed := e.Config.Managing(user)
	vouched := b.vouchers.take(user, peer.PID)
	if !managed || by.SeenBy != shadowsync.SeenByPAM { // an operator's password was judged before
		return false
	}
	r := review{application: a, user: user, by: by, vouched: vouched, since: time.Now()}
	r.root = by.UID == nil || *by.UID == 0 // if the process is gone, it may have been root's
	if !r.root && (vouched || !e.Config.Password.HasRules()) {
		return false
	}
	var err error
	if r.token, err = socket.DuplicateAll(token); err != nil {
		b.log.Warn("a new password cannot be judged", "account", user, "error", err)
		b.reviews.missed.Add(1)
		return false
	}
	select {
	case b.reviews.queue <- r:
		return true
	default:
		socket.CloseAll(r.token)
		b.reviews.missed.Add(1)
		return false
	}
}

// reviewAll reviews queued passwords until ctx ends.
func (b *Broker) reviewAll(ctx context.Context) {
	for {
		select {
		case r := <-b.reviews.queue:
			if time.Since(r.since) < mayWait {
				b.review(ctx, r)
			} else {
				b.reviews.missed.Add(1)
			}
			socket.CloseAll(r.token)
		case <-ctx.Done():
			return
		}
		if len(b.reviews.queue) == 0 {
			b.recordMissed()
		}
	}
}

// dropReviews counts the reviews that are left when the broker ends.
func (b *Broker) dropReviews() {
	for len(b.reviews.queue) > 0 {
		socket.CloseAll((<-b.reviews.queue).token)
		b.reviews.missed.Add(1)
	}
	b.recordMissed()
}

// recordMissed audits in one record how many passwords were not reviewed.
func (b *Broker) recordMissed() {
	n := b.reviews.missed.Swap(0)
	if n == 0 {
		return
	}
	b.recordReview(b.engine.Load(), shadowsync.Event{
		Reason: fmt.Sprintf("not judged: %s, set faster than the rules could be checked", plural.Count(int(n), "new password")),
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPAM},
	})
}

// review audits which rules a password breaks although nothing refused it.
func (b *Broker) review(ctx context.Context, r review) {
	ctx, cancel := context.WithTimeout(ctx, reviewWithin)
	defer cancel()
	e := b.engine.Load()
	broken, err := exemptions(ctx, e, r)
	if err != nil {
		b.log.Warn("a new password could not be judged", "account", r.user, "error", err)
		broken = append(broken, notJudged)
	}
	for _, reason := range broken {
		b.recordReview(e, shadowsync.Event{Application: r.application.Name, Account: r.user, Reason: reason, Origin: r.by})
	}
}

// recordReview has its own context, so that it also records while the broker ends.
func (b *Broker) recordReview(e *engine.Engine, event shadowsync.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), reviewWithin)
	defer cancel()
	event.At, event.Action = time.Now(), "judged"
	if err := e.Audit(ctx, event); err != nil {
		b.log.Error("a judgement could not be recorded", "account", event.Account, "error", err)
	}
}

func exemptions(ctx context.Context, e *engine.Engine, r review) (reasons []string, err error) {
	before, err := about(ctx, e, r)
	if err != nil {
		return nil, err
	}
	if r.root && policy.TooSoon(before.Former, shadowsync.DayOf(r.by.At)) {
		reasons = append(reasons, exemptFromAge)
	}
	rules := e.Config.Password.Rules()
	if r.vouched {
		rules = policy.Rules{}
	}
	if len(r.token) == 0 {
		return append(reasons, notJudged), nil
	}
	broken, err := rules.Review(ctx, r.token[0], before)
	if broken.Machine {
		reasons = append(reasons, exemptFromMachine)
	}
	if broken.Configuration {
		reasons = append(reasons, exemptFromOurs)
	}
	return reasons, err
}

// about collects what was in force before the password, as far as the state records it of the present
// person: a judgement by what the former one of a name used would tell that to who reads the audit.
func about(ctx context.Context, e *engine.Engine, r review) (policy.Review, error) {
	snapshot, err := e.Accounts.Read(ctx, []string{r.user})
	if err != nil {
		return policy.Review{}, err
	}
	memory, err := e.Recall(ctx, r.application.Name, []string{r.user})
	if err != nil {
		return policy.Review{}, err
	}
	account, exists := snapshot.Accounts[r.user]
	m, about := memory[r.user], policy.Review{Account: r.user, Present: account.Hash}
	if r.root && e.Root() == "/" {
		about.Stack = filepath.Join("/", engine.RunDir)
	}
	if m.Baseline != nil {
		m.Record = slices.Insert(slices.Clone(m.Record), 0, shadowsync.Entry{Baseline: *m.Baseline})
	}
	before := slices.DeleteFunc(slices.Clone(m.RecordFor(account, exists)), func(e shadowsync.Entry) bool { return e.OS.Hash == about.Present })
	if len(before) > 0 {
		about.Former, about.Record = before[0].OS, before[1:]
	}
	return about, nil
}
