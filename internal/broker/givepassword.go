package broker

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// givePassword sets another's password as root would, but held to the rules of the stack.
func (o *operators) givePassword(ctx context.Context, c *call, account shadowsync.Account) error {
	if len(c.files) != 1 {
		return operator.Errorf(operator.Usage, "a password is needed")
	}
	if account.Name == c.name {
		return operator.Errorf(operator.NotPermitted, "your own password is changed by: set password")
	}
	application, _ := o.engine.Config.Managing(account.Name)
	if err := o.keepers[application.Name].takes(ctx, account.Name); err != nil {
		return err
	}
	if err := o.lawful(ctx, application, account.Name, c.files[0]); err != nil {
		return err
	}
	former, err := o.present(ctx, account.Name) // as late as can be: it may have to be put back
	if err != nil {
		return err
	}
	e, err := o.setAsRoot(ctx, c, account.Name)
	if e == nil || err != nil && !o.done(ctx, former, c.files[0]) {
		return err
	}
	if err := o.persist(ctx, c, e, application, former, c.files[0]); err != nil {
		return err
	}
	o.wrong.forgive(account.Name)
	return nil
}

// setAsRoot has the stack set the password that came with the call. An error with an
// errand says that it is not known whether it did.
func (o *operators) setAsRoot(ctx context.Context, c *call, user string) (*errand, error) {
	worker := o.pam.Start(ctx)
	defer worker.Close()
	e := o.errands.begin(worker.Unit(), c.origin)
	defer o.errands.end(worker.Unit())
	answer, err := worker.Set(ctx, user, c.files[0])
	if err == nil && answer.Verdict != pamworker.Done {
		return nil, operator.Errorf(operator.Policy, "%s", printable.Clip(answer.Reason, 300))
	}
	return e, err
}

// age gives an account with a new password the ageing of the configuration. The password
// stands without it, too.
func (o *operators) age(ctx context.Context, c *call, a config.Application, user string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answering)
	defer cancel()
	by := c.origin
	by.At = time.Now() // not before what it completes
	account, err := o.present(ctx, user)
	aged, fields := o.engine.Config.Password.Aged(account.Credential)
	if err == nil && aged != account.Credential {
		_, err = o.keepers[a.Name].set(ctx, shadowsync.Change{Account: user, OS: aged, Fields: fields, Origin: by})
	}
	if err != nil {
		o.log.Error("a new password does not age as configured", "account", user, "error", err)
		o.audit(ctx, c, user, "the ageing was not set: "+err.Error())
	}
}

// lawful holds a new password to the configuration's rules. The stack need not: it takes
// the worker that sets another's for root, and whether it asks at all is not ours to say.
func (o *operators) lawful(ctx context.Context, a config.Application, user string, token *os.File) error {
	if !o.engine.Config.Password.HasRules() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	err := holdToRules(ctx, o.engine, a, user, token)
	if errors.Is(err, policy.ErrWeak) {
		return operator.Errorf(operator.Policy, "BAD PASSWORD: %v", err)
	}
	if err == nil {
		o.vouchers.give(user, 0)
	}
	return err
}
