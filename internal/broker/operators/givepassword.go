package operators

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// givePassword sets the password of another account as root would, but the PAM stack's rules apply.
// The notes say what else about the account matters to whoever logs in with it.
//
// Each refusal tells something about the account: that the person used the password before, or did
// not. So an operator who is refused too often has to wait. Root may read the history anyway.
func (o *Server) givePassword(ctx context.Context, c *call, account shadowsync.Account) (notes []string, err error) {
	if len(c.files) != 1 {
		return nil, operator.Errorf(operator.Usage, "a password is needed")
	}
	if account.Name == c.name {
		return nil, operator.Errorf(operator.NotPermitted, "your own password is changed with the current one%s", c.atPrompt(": set password"))
	}
	if c.root() {
		return o.give(ctx, c, account)
	}
	if wait := o.given.Begin(c.name, time.Now()); wait > 0 {
		return nil, operator.Errorf(operator.Unavailable, "too many passwords for others were refused; try again in %s", max(wait, time.Second).Round(time.Second))
	}
	if notes, err = o.give(ctx, c, account); err == nil {
		o.given.Spare(c.name)
	}
	return notes, err
}

func (o *Server) give(ctx context.Context, c *call, account shadowsync.Account) (notes []string, err error) {
	application, _ := o.engine.Config.Managing(account.Name)
	if err := o.stores(application).Takes(ctx, account.Name); err != nil {
		return nil, err
	}
	if err := o.lawful(ctx, application, account.Name, c.files[0]); err != nil {
		return nil, err
	}
	former, err := o.present(ctx, account.Name) // read as late as possible: this may have to be put back
	if err != nil {
		return nil, err
	}
	e, err := o.setAsRoot(ctx, c, account.Name)
	if e == nil || err != nil && !o.done(ctx, former, c.files[0]) {
		return nil, err
	}
	if err := o.persist(ctx, c, e, application, former, c.files[0]); err != nil {
		return nil, err
	}
	o.forgive(account.Name)
	return o.keepMarks(ctx, c, application, former), nil
}

// keepMarks sets must-change again if it was set: pam_unix(8) clears it with every new password,
// and whoever gets a password from an administrator must still choose one of their own. It returns
// notes about that and about a lock.
func (o *Server) keepMarks(ctx context.Context, c *call, a config.Application, former shadowsync.Account) (notes []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answering)
	defer cancel()
	name := former.Name
	if former.MustChange {
		by := c.origin
		by.At = time.Now() // not before the change that it completes
		wanted := former.Credential
		wanted.LastChange, wanted.MustChange = shadowsync.NoDay, true
		change := shadowsync.Change{Account: name, OS: wanted, Fields: shadowsync.FieldLastChange | shadowsync.FieldMustChange, Origin: by}
		if _, err := o.stores(a).Set(ctx, change); err != nil {
			o.Log.Error("must-change was lost", "account", name, "error", err)
			o.audit(ctx, c, name, "must-change was cleared: "+err.Error())
			notes = append(notes, name+" need not change it at the next login any more: must-change was lost"+c.atPrompt(" (expire password "+name+")"))
		} else {
			notes = append(notes, name+" must still set a new one at the next login, as before")
		}
	}
	now, err := o.present(ctx, name)
	switch {
	case err != nil:
	case !now.LetsIn(shadowsync.DayOf(time.Now())):
		notes = append(notes, name+" is still locked"+c.atPrompt(": unlock user "+name))
	case former.Locked:
		notes = append(notes, name+" was locked; the new password has unlocked it")
	}
	return notes
}

// setAsRoot lets the PAM stack set the password that came with the call. An error with an errand
// means that the stack may have set it.
func (o *Server) setAsRoot(ctx context.Context, c *call, user string) (*Errand, error) {
	worker := o.PAM.Start(ctx, "")
	defer worker.Close()
	e := o.Errands.Begin(worker.Unit(), c.origin)
	defer o.Errands.End(worker.Unit())
	answer, err := o.inTurn(ctx, func() (pamworker.Answer, error) { return worker.Set(ctx, user, c.files[0]) })
	if err == nil && answer.Verdict != pamworker.Done {
		return nil, operator.Errorf(operator.Policy, "%s", printable.Clip(answer.Reason, 300))
	}
	return e, err
}

// age gives an account with a new password the configured ageing. If that fails, the password stays
// in force.
func (o *Server) age(ctx context.Context, c *call, a config.Application, user string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answering)
	defer cancel()
	by := c.origin
	by.At = time.Now() // not before the change that it completes
	account, err := o.present(ctx, user)
	aged, fields := o.engine.Config.Password.Aged(account.Credential)
	if err == nil && aged != account.Credential {
		_, err = o.stores(a).Set(ctx, shadowsync.Change{Account: user, OS: aged, Fields: fields, Origin: by})
	}
	if err != nil {
		o.Log.Error("a new password does not age as configured", "account", user, "error", err)
		o.audit(ctx, c, user, "the ageing was not set: "+err.Error())
	}
}

// lawful checks a new password against the configuration's rules. The PAM stack cannot be relied on
// for that: the worker that sets another account's password is root to it, and the stack may not
// call our module at all.
func (o *Server) lawful(ctx context.Context, a config.Application, user string, token *os.File) error {
	if !o.engine.Config.Password.HasRules() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	err := o.engine.HoldToRules(ctx, a.Name, user, token)
	if errors.Is(err, policy.ErrWeak) {
		return operator.Errorf(operator.Policy, "BAD PASSWORD: %v", err)
	}
	if err == nil {
		o.Vouch(user)
	}
	return err
}
