package operators

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// shut is the expiry date of a locked account: in the past for every clock, and not 0, which some
// programs read as "never" (shadow(5), field 8).
const shut shadowsync.Day = 1

// lockFields are what locking and unlocking changes. All other fields keep their value of that
// moment, so a password set meanwhile stays.
const lockFields = shadowsync.FieldLocked | shadowsync.FieldExpire

func (o *Server) disconnect(ctx context.Context, c *call) error {
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	return o.endAll(ctx, c, account)
}

// endAll ends the sessions of an account, except the shell that asks for it.
func (o *Server) endAll(ctx context.Context, c *call, account shadowsync.Account) error {
	ended, survivors, err := o.Dialogues.EndBut(ctx, account, sessions.Keep{Process: c.process})
	o.audit(ctx, c, account.Name, shadowsync.LogoutReason(len(ended), len(survivors)))
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Ended{
		Ended: named(account.Name, ended), Survivors: named(account.Name, survivors), Doors: o.doors(ctx, c, account, o.Accounts.Doors),
	})
}

func named(user string, list []shadowsync.Session) []operator.Session {
	all := make([]operator.Session, 0, len(list))
	for _, s := range list {
		all = append(all, operator.Session{User: user, Session: s})
	}
	return all
}

// doors returns lines about what stays open: background sessions, and ways in that need no
// password, which list lists.
func (o *Server) doors(ctx context.Context, c *call, account shadowsync.Account, list func(ctx context.Context, name string, uid int, home string) ([]sessions.Door, error)) []string {
	doors, err := list(ctx, account.Name, account.UID, c.people[account.Name].Home)
	if err != nil {
		o.Log.Warn("ways in cannot be listed", "account", account.Name, "error", err)
		return []string{"whether other ways in stay open could not be found out"}
	}
	alone, err := o.Dialogues.ListLeftAlone(ctx, account)
	if err != nil {
		o.Log.Warn("background sessions cannot be listed", "account", account.Name, "error", err)
		return []string{"whether background sessions stay open could not be found out"}
	}
	lines := make([]string, 0, len(alone)+len(doors))
	for _, l := range alone {
		lines = append(lines, l.Text())
	}
	for _, d := range doors {
		lines = append(lines, d.Text)
	}
	return lines
}

func (o *Server) lock(ctx context.Context, c *call) error {
	account, done, err := o.removable(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	if err := o.change(ctx, c, account, shutting(account), lockFields); err != nil {
		return err
	}
	ended, survivors, err := o.Dialogues.EndBut(ctx, account, sessions.Keep{})
	o.audit(ctx, c, account.Name, shadowsync.LogoutReason(len(ended), len(survivors)))
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: survived(survivors)})
}

// shutting is the credential with which an account permits no login, by keys neither.
func shutting(account shadowsync.Account) shadowsync.Credential {
	wanted := account.Credential
	wanted.Locked, wanted.Expire = true, shut
	return wanted
}

func (o *Server) unlock(ctx context.Context, c *call) error {
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	if account.Kind() != shadowsync.KindPassword {
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
	o.forgive(account.Name)
	var notes []string
	if err := o.Accounts.Forgive(ctx, account.Name); err != nil {
		o.Log.Warn("the failure counter could not be cleared", "account", account.Name, "error", err)
		notes = append(notes, "the failure counter could not be cleared")
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

// openExpiry is the account's expiry date. If that has passed, it is the latest recorded one that
// has not.
func (o *Server) openExpiry(ctx context.Context, account shadowsync.Account) (shadowsync.Day, error) {
	today := shadowsync.DayOf(time.Now())
	open := func(d shadowsync.Day) bool { return d == shadowsync.NoDay || d > today }
	if open(account.Expire) {
		return account.Expire, nil
	}
	memory, err := o.memory(ctx, []string{account.Name})
	if err != nil {
		return account.Expire, err
	}
	for _, entry := range memory[account.Name].RecordFor(account, true) {
		if open(entry.OS.Expire) {
			return entry.OS.Expire, nil
		}
	}
	return shadowsync.NoDay, nil
}

func (o *Server) expirePassword(ctx context.Context, c *call) error {
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

// change sets fields of an account on the OS side and in the store. If the store does not take
// them, the OS side is put back.
func (o *Server) change(ctx context.Context, c *call, account shadowsync.Account, wanted shadowsync.Credential, fields shadowsync.Fields) error {
	application, _ := o.engine.Config.Managing(account.Name)
	g := o.stores(application)
	err := g.Takes(ctx, account.Name)
	if err == nil {
		var outcomes []engine.Settled
		change := shadowsync.Change{Account: account.Name, OS: wanted, Fields: fields, Origin: c.origin}
		outcomes, err = g.Set(ctx, change)
		if left := slices.DeleteFunc(outcomes, func(s engine.Settled) bool { return o.took(s, fields) }); err == nil && len(left) > 0 {
			outcome := engine.Worst(left)
			change.OS = account.Credential
			if outcome.OS != nil {
				change.Over = outcome.OS.Hash
			}
			err = o.putBack(ctx, c, change, outcomeError(outcome))
		}
	}
	result := "done"
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, account.Name, result)
	return err
}

// took reports whether a store holds these fields, as far as it can, as the OS does. Other fields may
// still wait: an account is not left open because its password needs a login.
func (o *Server) took(outcome engine.Settled, fields shadowsync.Fields) bool {
	fields &= o.engine.Reconciler(outcome.Holder.Name).Store.Capabilities().Fields
	if outcome.State == shadowsync.InSync {
		return true
	}
	settled := outcome.State != shadowsync.Queued && outcome.OS != nil && outcome.Store != nil
	return settled && shadowsync.Equal(*outcome.OS, *outcome.Store, fields)
}

// errOvertaken: a password that someone else set is in force.
var errOvertaken = operator.Errorf(operator.Conflict, "another password was set meanwhile, and stays")

// putBack gives the OS side its former value, because the store could not take the new one; why is
// the reason. It returns what to tell the operator.
func (o *Server) putBack(ctx context.Context, c *call, back shadowsync.Change, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answering)
	defer cancel()
	application, _ := o.engine.Config.Managing(back.Account)
	_, err := o.stores(application).Set(ctx, back)
	switch {
	case errors.Is(err, shadowsync.ErrChanged):
		o.audit(ctx, c, back.Account, "not withdrawn: another password was set meanwhile")
		return errOvertaken
	case err != nil:
		o.Log.Error("the OS side could not be put back", "account", back.Account, "error", err)
		o.audit(ctx, c, back.Account, "not withdrawn: "+err.Error())
		return operator.Errorf(operator.Pending, "changed on the OS side alone: %v", why)
	}
	o.audit(ctx, c, back.Account, "withdrawn: the OS side has the former credential again")
	return undone(application, why)
}

// undone is the error that an operator gets after a change was taken back.
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
