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
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// reviewWithin bounds one review.
	reviewWithin = 5 * time.Second
	// mostReviews may wait: each keeps a token in memory. What chpasswd(8) sets faster
	// than it can be reviewed is counted.
	mostReviews = 16
	// mayWait is for how long: a password in clear text is kept for no long queue.
	mayWait = time.Second
)

// reviews judge, one at a time and after passwd was answered, what nobody was refused
// for: the machine's rules let root pass, the configuration's whom they did not hear of.
type reviews struct {
	queue  chan review
	missed atomic.Int64
}

// review is about an announced password.
type review struct {
	application config.Application
	user        string
	by          shadowsync.Origin
	root        bool // who is held to no rule of the machine's
	vouched     bool // the configuration's rules were asked before
	token       []*os.File
	since       time.Time
}

// Why a password is in force that a rule refuses. It does not say which: that would tell
// of a password in force.
const (
	exemptFromMachine = "exempted: the machine's rules refuse it, and root is not held to them"
	exemptFromOurs    = "exempted: the configuration's rules refuse it, and they were not asked before it was set"
	exemptFromAge     = "exempted: it was set within the minimum age, and root is not held to that"
)

// reviewLater takes an announced password for a review, if one is due; it tells whether
// the token is still in use, and closed later.
func (b *Broker) reviewLater(peer socket.Peer, by shadowsync.Origin, user string, token []*os.File) (inUse bool) {
	a, managed := b.engine.Load().Config.Managing(user)
	vouched := b.vouchers.take(user, peer.PID)
	if !managed || by.SeenBy != shadowsync.SeenByPAM { // an operator's was judged before
		return false
	}
	r := review{application: a, user: user, by: by, vouched: vouched, token: token, since: time.Now()}
	r.root = by.UID == nil || *by.UID == 0 // it may have been root, who is gone
	if !r.root && (vouched || !b.engine.Load().Config.Password.HasRules()) {
		return false
	}
	select {
	case b.reviews.queue <- r:
		return true
	default:
		b.reviews.missed.Add(1)
		return false
	}
}

// reviewAll works until ctx ends.
func (b *Broker) reviewAll(ctx context.Context) {
	for {
		select {
		case r := <-b.reviews.queue:
			if time.Since(r.since) < mayWait {
				b.review(ctx, r)
			} else {
				b.reviews.missed.Add(1)
			}
			closeAll(r.token)
		case <-ctx.Done():
			return
		}
		if len(b.reviews.queue) == 0 {
			b.recordMissed()
		}
	}
}

// dropReviews counts what is left when the broker ends.
func (b *Broker) dropReviews() {
	for len(b.reviews.queue) > 0 {
		closeAll((<-b.reviews.queue).token)
		b.reviews.missed.Add(1)
	}
	b.recordMissed()
}

// recordMissed puts on record how many were not reviewed, with one record for all.
func (b *Broker) recordMissed() {
	n := b.reviews.missed.Swap(0)
	if n == 0 {
		return
	}
	b.recordReview(shadowsync.Event{
		Reason: fmt.Sprintf("not judged: %d new passwords, set faster than they could be held to the rules", n),
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPAM},
	})
}

// review puts on record what a password was not refused for.
func (b *Broker) review(ctx context.Context, r review) {
	ctx, cancel := context.WithTimeout(ctx, reviewWithin)
	defer cancel()
	exemptions, err := b.exemptions(ctx, r)
	if err != nil {
		b.log.Warn("a new password could not be judged", "account", r.user, "error", err)
		exemptions = append(exemptions, notJudged)
	}
	for _, reason := range exemptions {
		b.recordReview(shadowsync.Event{Application: r.application.Name, Account: r.user, Reason: reason, Origin: r.by})
	}
}

// recordReview does so also while the broker ends.
func (b *Broker) recordReview(e shadowsync.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), reviewWithin)
	defer cancel()
	e.At, e.Action = time.Now(), "judged"
	if err := b.engine.Load().Record(ctx, e); err != nil {
		b.log.Error("a judgement could not be put on record", "account", e.Account, "error", err)
	}
}

func (b *Broker) exemptions(ctx context.Context, r review) (reasons []string, err error) {
	about, err := b.about(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.root && policy.TooSoon(about.Former, shadowsync.DayOf(r.by.At)) {
		reasons = append(reasons, exemptFromAge)
	}
	rules := policy.RulesOf(b.engine.Load().Config.Password)
	if r.vouched {
		rules = policy.Rules{}
	}
	if len(r.token) == 0 {
		return append(reasons, notJudged), nil
	}
	broken, err := rules.Review(ctx, r.token[0], about)
	if broken.Machine {
		reasons = append(reasons, exemptFromMachine)
	}
	if broken.Configuration {
		reasons = append(reasons, exemptFromOurs)
	}
	return reasons, err
}

// about is what was before the password, as far as it is on record.
func (b *Broker) about(ctx context.Context, r review) (policy.Review, error) {
	snapshot, err := b.engine.Load().Accounts.Read(ctx, []string{r.user})
	if err != nil {
		return policy.Review{}, err
	}
	memory, err := b.engine.Load().State.Load(ctx, r.application.Name, []string{r.user})
	if err != nil {
		return policy.Review{}, err
	}
	m, about := memory.Accounts[r.user], policy.Review{Account: r.user, Present: snapshot.Accounts[r.user].Hash}
	if r.root && b.engine.Load().Root() == "/" {
		about.Stack = filepath.Join("/", engine.RunDir)
	}
	before := slices.Clone(m.Record)
	if m.Baseline != nil {
		before = slices.Insert(before, 0, shadowsync.Entry{Baseline: *m.Baseline})
	}
	before = slices.DeleteFunc(before, func(e shadowsync.Entry) bool { return e.OS.Hash == about.Present })
	if len(before) > 0 {
		about.Former, about.Record = before[0].OS, before[1:]
	}
	return about, nil
}
