package broker

import (
	"context"
	"errors"
	"os"

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
	answer, err := o.pam.Set(ctx, account.Name, c.files[0])
	if err != nil {
		return err
	}
	if answer.Verdict != pamworker.Done {
		return operator.Errorf(operator.Policy, "%s", printable.Clip(answer.Reason, 300))
	}
	outcome, err := o.announce(context.WithoutCancel(ctx), application, account.Name, c.origin, c.files)
	if err == nil {
		err = outcomeError(application, outcome)
	}
	if err != nil {
		return o.putBack(ctx, c, account, err)
	}
	o.wrong.forgive(account.Name)
	return nil
}

// lawful holds a password that an administrator gives somebody to the configuration's
// rules. The stack does not: it takes the worker that sets it for root.
func (o *operators) lawful(ctx context.Context, a config.Application, user string, token *os.File) error {
	if !o.engine.Config.Password.HasRules() {
		return nil
	}
	err := holdToRules(ctx, o.engine, a, user, token)
	if errors.Is(err, policy.ErrWeak) {
		return operator.Errorf(operator.Policy, "BAD PASSWORD: %v", err)
	}
	return err
}
