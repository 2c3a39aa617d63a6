package operators

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// Each proof starts a unit, and PID 1 starts units one after the other for the whole machine. So
// proofs are limited before a unit is started, whatever their result: per account and place, so that
// whoever knows the password cannot keep its owner from proving it, per account, and for all together.
const (
	proofsAtOnce        = 12 // for each account and place
	proofEvery          = 5 * time.Second
	accountProofsAtOnce = 24
	accountProofEvery   = time.Second
	placeProofsAtOnce   = 16 // at pages, where one place can try all accounts
	placeProofEvery     = 5 * time.Second
	networkProofsAtOnce = 24 // at pages, where one subscriber of IPv6 may have 2^16 places
	networkProofEvery   = 2 * time.Second
	allProofsAtOnce     = 36
	anyProofEvery       = 500 * time.Millisecond

	// mostTransactions run at a time; mostAhead dialogues have a worker while they wait for the new
	// password.
	mostTransactions = 8
	mostAhead        = 8
	// queueFor is how long an operator waits for a free slot.
	queueFor = 5 * time.Second
)

// shortestHash is the length of the shortest hash of crypt(5), that of DES. Anything shorter is a
// mark, such as "*".
const shortestHash = 13

var errBusy = operator.Errorf(operator.Unavailable, "too many passwords are being changed; try again in a moment")

// provable refuses the dialogue if no password could be proven; otherwise it returns the present
// hash. That of a directory's account is not here.
func (o *Server) provable(ctx context.Context, c *call) (hash string, err error) {
	if c.realm == factor.LDAP {
		return "", nil
	}
	account, err := o.present(ctx, c.name)
	switch {
	case err != nil:
		return "", err
	case account.Locked:
		return "", operator.Errorf(operator.NotAuthenticated, "your password is locked; an administrator can unlock it")
	case len(account.Hash) < shortestHash:
		return "", operator.Errorf(operator.NotAuthenticated, "your account has no password that could be checked; an administrator can set one")
	}
	return account.Hash, nil
}

// anywhere begins the names under which the proofs of an account are counted.
func anywhere(account string) string { return account + " from " }

// counted is the name under which the caller's proofs are counted.
func counted(c *call) string { return anywhere(c.name) + placeOf(c) }

func placeOf(c *call) string {
	place, _ := factor.PlaceOf(c.origin.Remote)
	return place
}

// waitError is a refusal that passes with time.
type waitError struct{ refusal *operator.Error }

func (e *waitError) Error() string { return e.refusal.Text }
func (e *waitError) Unwrap() error { return e.refusal }

// patience refuses an account that failed too often from where the caller is.
func (o *Server) patience(c *call) error {
	if wait := o.wrong.Wait(counted(c), time.Now()); wait > 0 {
		return &waitError{operator.Errorf(operator.NotAuthenticated, "too many failures; try again in %s", wait.Round(time.Second))}
	}
	return nil
}

// bound is a budget of proofs, and the name for which it is spent.
type bound struct {
	budget *limit.Budget
	name   string
}

// bounds are the budgets of a proof of the caller's.
func (o *Server) bounds(c *call) []bound {
	return append(o.whereabouts(c), bound{&o.proofs, counted(c)}, bound{&o.ofAccount, c.name}, bound{&o.allProofs, ""})
}

// whereabouts are the budgets of where somebody at a page comes from.
func (o *Server) whereabouts(c *call) (all []bound) {
	if c.page == nil {
		return nil
	}
	place, network := factor.PlaceOf(c.origin.Remote)
	if network != "" {
		all = append(all, bound{&o.ofNetwork, network})
	}
	return append(all, bound{&o.ofPlace, place})
}

// spend takes one proof from each budget, before the unit is started.
func (o *Server) spend(c *call) error {
	now := time.Now()
	for _, b := range o.bounds(c) {
		if wait := b.budget.Spend(b.name, now); wait > 0 {
			return &waitError{operator.Errorf(operator.Unavailable, "too many attempts in a short time; try again in %s", max(wait, time.Second).Round(time.Second))}
		}
	}
	return nil
}

// proven asks for the operator's current password, has it proven, and calls then with it.
func (o *Server) proven(ctx context.Context, c *call, then func(d *dialogue, current *os.File) error) error {
	if err := o.patience(c); err != nil {
		return err
	}
	hash, err := o.provable(ctx, c)
	if err != nil {
		return err
	}
	d := newDialogue(c.process)
	d.hash, d.page = hash, c.pageSession()
	defer o.Dialogues.leave(c.name, d)
	defer func() { go d.closeWorkers() }() // in the background: an unused worker need not be waited for
	current, err := o.current(ctx, c, d)
	if err != nil {
		return err
	}
	defer current.Close()
	c.proven = hash
	return then(d, current)
}

// unchanged refuses what rests on the proof of a password that is not in force any more: whoever sets
// another one ends what the old one began.
func (o *Server) unchanged(ctx context.Context, c *call) error {
	if c.proven == "" {
		return nil
	}
	account, err := o.present(ctx, c.name)
	if err == nil && account.Hash != c.proven {
		err = operator.Errorf(operator.NotAuthenticated, "your password was changed meanwhile; begin again")
	}
	return err
}

// current asks for the current password and has it proven. An unanswered prompt counts nowhere.
func (o *Server) current(ctx context.Context, c *call, d *dialogue) (*os.File, error) {
	current, err := o.secret(ctx, c, operator.Turn{Ask: operator.AskCurrent})
	if err != nil {
		return nil, err
	}
	if err := o.prove(ctx, c, d, current); err != nil {
		_ = current.Close()
		return nil, err
	}
	return current, nil
}

// prove has the machine's PAM stack prove the current password. It counts as a failure until it has
// succeeded, because the operator may kill the process that does it.
func (o *Server) prove(ctx context.Context, c *call, d *dialogue, current *os.File) error {
	first := o.Dialogues.enter(c.name, d)
	answer, err := o.tried(ctx, c, func() (pamworker.Answer, error) {
		if c.page != nil {
			return o.Proves(ctx, c.visitor(), d.hash, current)
		}
		stays := c.request.Op == operator.OpSetPassword && first && o.Dialogues.count() <= mostAhead
		worker := o.PAM.Start(ctx, d.hash)
		answer, err := worker.Prove(ctx, c.name, c.uid, current, stays)
		if worker.Begun() {
			d.next = worker
		} else {
			worker.Close()
		}
		return answer, err
	})
	if err == nil && answer.Verdict == pamworker.Done {
		return nil
	}
	return o.unproven(ctx, c, answer, err)
}

// tried has a password proven, within the limits.
func (o *Server) tried(ctx context.Context, c *call, transact func() (pamworker.Answer, error)) (answer pamworker.Answer, err error) {
	if err := o.patience(c); err != nil { // others may have failed meanwhile
		return answer, err
	}
	if err := o.spend(c); err != nil {
		return answer, err
	}
	answer, err = o.inTurn(ctx, func() (pamworker.Answer, error) {
		o.wrong.Fail(counted(c), time.Now())
		return transact()
	})
	if err == nil && answer.Verdict == pamworker.Done {
		o.wrong.Forgive(counted(c))
		for _, b := range o.whereabouts(c) {
			b.budget.Refund(b.name)
		}
	}
	return answer, err
}

// inTurn runs a transaction when a slot is free.
func (o *Server) inTurn(ctx context.Context, transact func() (pamworker.Answer, error)) (pamworker.Answer, error) {
	late := time.NewTimer(queueFor)
	defer late.Stop()
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
		return transact()
	case <-late.C:
		return pamworker.Answer{}, errBusy
	case <-ctx.Done():
		return pamworker.Answer{}, ctx.Err()
	}
}

// unproven is the error for a current password that was not proven.
func (o *Server) unproven(ctx context.Context, c *call, answer pamworker.Answer, err error) error {
	switch {
	case errors.Is(err, errBusy), errors.As(err, new(*waitError)):
		return err
	case err != nil:
		o.audit(ctx, c, c.name, "failed: the PAM stack did not answer")
		o.Log.Error("a password could not be checked", "account", c.name, "error", err)
		return operator.Errorf(operator.Unavailable, "the password could not be checked; nothing was changed")
	case answer.Verdict == pamworker.Wrong:
		o.audit(ctx, c, c.name, "refused: wrong current password: "+printable.Clip(answer.Reason, 200))
		return operator.Errorf(operator.NotAuthenticated, "the current password is not correct")
	}
	o.audit(ctx, c, c.name, "failed: "+printable.Clip(answer.Reason, 200))
	return operator.Errorf(operator.Failed, "%s", printable.Clip(answer.Reason, 200))
}
