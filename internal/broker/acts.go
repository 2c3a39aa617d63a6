package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// shut is the expiry of a locked account: past for every clock, and not 0, which
// some programs take for "never" (shadow(5), field 8).
const shut shadowsync.Day = 1

// lockFields are what locking and unlocking changes. The rest is left as it is by then:
// a password that somebody sets meanwhile stays.
const lockFields = shadowsync.FieldLocked | shadowsync.FieldExpire

func (o *operators) disconnect(ctx context.Context, c *call) error {
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	ended, survivors, err := o.dialogues.EndBut(ctx, account, sessions.Keep{Process: c.process})
	o.audit(ctx, c, account.Name, fmt.Sprintf("%d sessions ended, %d survived", len(ended), len(survivors)))
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Ended{
		Ended: named(account.Name, ended), Survivors: named(account.Name, survivors), Doors: o.doors(ctx, c, account),
	})
}

func named(user string, list []shadowsync.Session) []operator.Session {
	all := make([]operator.Session, 0, len(list))
	for _, s := range list {
		all = append(all, operator.Session{User: user, Session: s})
	}
	return all
}

// doors are lines about the ways in that stay open.
func (o *operators) doors(ctx context.Context, c *call, account shadowsync.Account) []string {
	doors, err := o.accounts.Doors(ctx, account.Name, account.UID, c.people[account.Name].Home)
	if err != nil {
		o.log.Warn("ways in cannot be listed", "account", account.Name, "error", err)
		return []string{"whether other ways in stay open could not be found out"}
	}
	lines := make([]string, 0, len(doors))
	for _, d := range doors {
		lines = append(lines, d.Text)
	}
	return lines
}

func (o *operators) lock(ctx context.Context, c *call) error {
	account, done, err := o.removable(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	if err := o.change(ctx, c, account, shutting(account), lockFields); err != nil {
		return err
	}
	ended, survivors, err := o.dialogues.EndBut(ctx, account, sessions.Keep{})
	o.audit(ctx, c, account.Name, fmt.Sprintf("%d sessions ended, %d survived", len(ended), len(survivors)))
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: survived(survivors)})
}

// shutting is the credential of an account that lets nobody in, by keys neither.
func shutting(account shadowsync.Account) shadowsync.Credential {
	wanted := account.Credential
	wanted.Locked, wanted.Expire = true, shut
	return wanted
}

func (o *operators) unlock(ctx context.Context, c *call) error {
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	if account.Locked && account.Hash == "" || account.Hash == "!" || account.Hash == "*" {
		return operator.Errorf(operator.Conflict, "%s has no password: set one instead", account.Name)
	}
	wanted := account.Credential
	wanted.Locked = false
	if wanted.Expire, err = o.openExpiry(ctx, account); err != nil {
		return err
	}
	if err := o.change(ctx, c, account, wanted, lockFields); err != nil {
		return err
	}
	o.wrong.forgive(account.Name)
	var notes []string
	if err := o.accounts.Forgive(ctx, account.Name); err != nil {
		o.log.Warn("the failure counter could not be cleared", "account", account.Name, "error", err)
		notes = append(notes, "the failure counter could not be cleared")
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

// openExpiry is the account's expiry, or, where that shuts it today, the latest on
// record that does not.
func (o *operators) openExpiry(ctx context.Context, account shadowsync.Account) (shadowsync.Day, error) {
	today := shadowsync.DayOf(time.Now())
	open := func(d shadowsync.Day) bool { return d == shadowsync.NoDay || d > today }
	if open(account.Expire) {
		return account.Expire, nil
	}
	memory, err := o.memory(ctx, []string{account.Name})
	if err != nil {
		return account.Expire, err
	}
	for _, entry := range memory[account.Name].Record {
		if open(entry.OS.Expire) {
			return entry.OS.Expire, nil
		}
	}
	return shadowsync.NoDay, nil
}

func (o *operators) expirePassword(ctx context.Context, c *call) error {
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	wanted := account.Credential
	wanted.LastChange, wanted.MustChange = shadowsync.NoDay, true
	if err := o.change(ctx, c, account, wanted, shadowsync.FieldLastChange|shadowsync.FieldMustChange); err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{})
}

// change sets fields of an account's OS side to what is wanted and brings the store along.
// Either both sides change, or the OS side is put back.
func (o *operators) change(ctx context.Context, c *call, account shadowsync.Account, wanted shadowsync.Credential, fields shadowsync.Fields) error {
	application, _ := o.engine.Config.Managing(account.Name)
	k := o.keepers[application.Name]
	err := k.takes(ctx, account.Name)
	if err == nil {
		var outcome shadowsync.Outcome
		change := shadowsync.Change{Account: account.Name, OS: wanted, Fields: fields, Origin: c.origin}
		outcome, err = k.set(ctx, change)
		if err == nil && !took(outcome, fields&o.engine.Reconciler(application.Name).Store.Capabilities().Fields) {
			change.OS = account.Credential
			if outcome.OS != nil {
				change.Over = outcome.OS.Hash
			}
			err = o.putBack(ctx, c, change, outcomeError(application, outcome))
		}
	}
	result := "done"
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, account.Name, result)
	return err
}

// took tells whether the store holds fields as the OS does. Others may have to wait: a
// password that needs a login is no reason to leave its account open.
func took(outcome shadowsync.Outcome, fields shadowsync.Fields) bool {
	if outcome.State == shadowsync.InSync {
		return true
	}
	settled := outcome.State != shadowsync.Queued && outcome.OS != nil && outcome.Store != nil
	return settled && shadowsync.Equal(*outcome.OS, *outcome.Store, fields)
}

// errOvertaken: somebody else's password is in force.
var errOvertaken = operator.Errorf(operator.Conflict, "another password was set meanwhile, and holds")

// putBack gives the OS side what it had, so that what the store could not take, for the
// given reason, is on neither side. It returns what to tell the operator.
func (o *operators) putBack(ctx context.Context, c *call, back shadowsync.Change, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answering)
	defer cancel()
	application, _ := o.engine.Config.Managing(back.Account)
	_, err := o.keepers[application.Name].set(ctx, back)
	switch {
	case errors.Is(err, shadowsync.ErrChanged):
		o.audit(ctx, c, back.Account, "not withdrawn: another password was set meanwhile")
		return errOvertaken
	case err != nil:
		o.log.Error("the OS side could not be put back", "account", back.Account, "error", err)
		o.audit(ctx, c, back.Account, "not withdrawn: "+err.Error())
		return operator.Errorf(operator.Pending, "changed on the OS side alone: %v", why)
	}
	o.audit(ctx, c, back.Account, "withdrawn: the OS side has the former credential again")
	return undone(application, why)
}

// undone is what an operator is told of a change that was taken back.
func undone(a config.Application, why error) error {
	kind := operator.Unavailable
	var refusal *operator.Error
	if errors.As(why, &refusal) && refusal.Kind != operator.Pending {
		kind = refusal.Kind
	}
	if kind == operator.Policy { // they can choose another
		return operator.Errorf(kind, "%s; nothing was changed", refusal.Text)
	}
	return operator.Errorf(kind, "%s's credential store did not take it; nothing was changed", a.Name)
}

func survived(list []shadowsync.Session) []string {
	lines := make([]string, 0, len(list))
	for _, s := range list {
		lines = append(lines, fmt.Sprintf("still open: session %s (%s)", s.ID, s.Kind))
	}
	return lines
}
