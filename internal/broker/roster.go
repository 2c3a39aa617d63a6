package broker

import (
	"context"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// alone waits for its turn at what decides who there is and who may do what: two
// administrators who lock each other at once would find the other still there.
func (o *operators) alone(ctx context.Context) (done func(), err error) {
	select {
	case o.roster <- struct{}{}:
		return func() { <-o.roster }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mayRemove keeps operators from locking themselves, or everybody, out. Where they may,
// it is their turn until done.
func (o *operators) mayRemove(ctx context.Context, c *call, name string) (done func(), err error) {
	if done, err = o.alone(ctx); err != nil {
		return nil, err
	}
	if !c.root() {
		err = o.dispensable(ctx, c, name)
	}
	if err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// removable is the account that a call is for, where it may be shut or removed; it is the
// caller's turn until done.
func (o *operators) removable(ctx context.Context, c *call) (account shadowsync.Account, done func(), err error) {
	if account, err = o.changeable(ctx, c); err == nil {
		done, err = o.mayRemove(ctx, c, account.Name)
	}
	return account, done, err
}

// dispensable tells whether administrators are left without an account.
func (o *operators) dispensable(ctx context.Context, c *call, name string) error {
	if name == c.name {
		return operator.Errorf(operator.NotPermitted, "only root may do that to your own account")
	}
	administrators, err := o.administrators(ctx)
	if err != nil {
		return err
	}
	if open, managed := administrators[c.name]; managed && !open {
		return errNotPermitted // locked while this waited for its turn
	}
	_, is := administrators[name]
	delete(administrators, name)
	for _, open := range administrators {
		is = is && !open
	}
	if is {
		return operator.Errorf(operator.NotPermitted, "only root may do that to the last administrator")
	}
	return nil
}

// administrators are the managed accounts that are one by the groups as they are now, and
// whether each is open: a locked one can undo nothing.
func (o *operators) administrators(ctx context.Context) (map[string]bool, error) {
	people, err := o.people.read(ctx, o.engine.Root())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range o.engine.Config.Applications {
		names = append(names, slices.DeleteFunc(slices.Clone(a.Accounts), func(name string) bool {
			p, there := people[name]
			return !there || roleOf(o.engine.Config, p, p.UID) != operator.RoleAdmin
		})...)
	}
	snapshot, err := o.engine.Accounts.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	administrators := make(map[string]bool, len(names))
	for _, name := range names {
		account, there := snapshot.Accounts[name]
		administrators[name] = there && opens(account.Credential, shadowsync.DayOf(time.Now()))
	}
	return administrators, nil
}

// opens tells whether a credential lets somebody in at all.
func opens(c shadowsync.Credential, today shadowsync.Day) bool {
	return !c.Locked && (c.Expire == shadowsync.NoDay || c.Expire > today)
}
