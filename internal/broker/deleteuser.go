package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/shadowsync/shadowsync/internal/accountworker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/sessions"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// deleteUser removes an account that operators made: the OS's, from what is managed,
// and from the store. One that does not let us remove a record keeps a locked one.
func (o *operators) deleteUser(ctx context.Context, c *call) error {
	account, done, err := o.removable(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	application, _ := o.engine.Config.Managing(account.Name)
	notes, err := o.remove(ctx, c, account, application)
	result := "done"
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, account.Name, result)
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

func (o *operators) remove(ctx context.Context, c *call, account shadowsync.Account, a config.Application) ([]string, error) {
	if !slices.Contains(a.Listed, account.Name) {
		return nil, operator.Errorf(operator.NotPermitted, "%s is named in the configuration: only root may remove it", account.Name)
	}
	if account.UID < firstUID {
		return nil, operator.Errorf(operator.NotPermitted, "%s is an account of the system", account.Name)
	}
	if err := o.change(ctx, c, account, shutting(account), lockFields); err != nil {
		return nil, err
	}
	_, survivors, err := o.dialogues.EndBut(ctx, account, sessions.Keep{})
	if err != nil || len(survivors) > 0 {
		return nil, errors.Join(operator.Errorf(operator.Failed, "%s is locked, but still has sessions open", account.Name), err)
	}
	err = errors.Join(config.RemoveAccount("/", o.file, a.Name, account.Name), o.relist(a.Name))
	var notes []string
	if err == nil {
		notes, err = o.userdel(ctx, c, c.people[account.Name])
	}
	if err != nil {
		return nil, errors.Join(err, config.AddAccount("/", o.file, a.Name, account.Name), o.relist(a.Name))
	}
	if err := o.keepers[a.Name].forget(ctx, account.Name); err != nil {
		o.log.Warn("a record is left in the credential store", "account", account.Name, "error", err)
		notes = append(notes, a.Name+"'s credential store keeps a locked record of "+account.Name)
	}
	return notes, nil
}

// userdel removes the account, with its home only where operators' accounts have theirs. It
// tells what is left that another account would inherit.
func (o *operators) userdel(ctx context.Context, c *call, p shadowfile.Person) (notes []string, err error) {
	d := accountworker.Departure{Name: p.Name, UID: p.UID, Home: p.Home == filepath.Join(o.engine.Config.Users.Home, p.Name)}
	for name, other := range c.people {
		if name != p.Name && other.UID == p.UID {
			d.UID = -1
		}
	}
	left, err := o.accounts.Remove(ctx, d)
	if err != nil {
		return nil, err
	}
	if left != "" {
		notes = append(notes, "left behind: "+left)
	}
	if !d.Home {
		notes = append(notes, fmt.Sprintf("left behind: the home %s, and what uid %d owns elsewhere", printable.Clip(p.Home, 200), p.UID))
	}
	return notes, nil
}
