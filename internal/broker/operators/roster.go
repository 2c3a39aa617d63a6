package operators

import (
	"context"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// alone waits until no other change of accounts or roles is in progress: otherwise two
// administrators who lock each other at once would each find the other one open.
func (o *Server) alone(ctx context.Context) (done func(), err error) {
	select {
	case o.roster <- struct{}{}:
		o.Dialogues.altering.Store(true)
		return func() {
			o.Dialogues.altering.Store(false) // first: whoever comes next sets it again
			<-o.roster
		}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mayRemove keeps operators from locking themselves, or everybody, out. On success the caller holds
// the lock and must call done.
func (o *Server) mayRemove(ctx context.Context, c *call, name string) (done func(), err error) {
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

// removable returns the account that a call may lock or remove. On success the caller holds the
// lock and must call done.
func (o *Server) removable(ctx context.Context, c *call) (account shadowsync.Account, done func(), err error) {
	if account, err = o.changeable(ctx, c); err == nil {
		done, err = o.mayRemove(ctx, c, account.Name)
	}
	return account, done, err
}

// dispensable refuses the asker's own account and the last open administrator.
func (o *Server) dispensable(ctx context.Context, c *call, name string) error {
	if name == c.name {
		return operator.Errorf(operator.NotPermitted, "only root may do that to your own account")
	}
	application, _ := o.engine.Config.Managing(name)
	administrators, err := o.administrators(ctx, application.Name)
	if err != nil {
		return err
	}
	if open, managed := administrators[c.name]; managed && !open {
		return errNotPermitted // it was locked while this call waited for the lock
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

// administrators lists the managed accounts that administer the application, by their present
// groups, and whether each is open: a locked administrator can undo nothing.
func (o *Server) administrators(ctx context.Context, application string) (map[string]bool, error) {
	people, err := o.people.read(ctx, o.engine.Root())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range o.engine.Config.Firsts() {
		names = append(names, slices.DeleteFunc(slices.Clone(a.Accounts), func(name string) bool {
			p, there := people[name]
			return !there || !slices.Contains(scopeOf(o.engine.Config, p, p.UID), application)
		})...)
	}
	snapshot, err := o.engine.Accounts.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	administrators := make(map[string]bool, len(names))
	for _, name := range names {
		account, there := snapshot.Accounts[name]
		administrators[name] = there && account.LetsIn(shadowsync.DayOf(time.Now()))
	}
	return administrators, nil
}
