package operators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// deleteUser removes an account that operators created: from the list of managed accounts, from the
// OS and from the store. A store that does not let us delete records keeps a locked one. The home
// stays unless the call asks for its removal.
func (o *Server) deleteUser(ctx context.Context, c *call) error {
	var d operator.Deletion
	if len(c.request.Args) > 0 && json.Unmarshal(c.request.Args, &d) != nil {
		return operator.Errorf(operator.Usage, "delete user: not understood")
	}
	account, done, err := o.removable(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	application, _ := o.engine.Config.Managing(account.Name)
	notes, err := o.remove(ctx, c, account, application, d)
	result := "done"
	if d.RemoveHome {
		result += ", with its home"
	}
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, account.Name, result)
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

func (o *Server) remove(ctx context.Context, c *call, account shadowsync.Account, a config.Application, d operator.Deletion) ([]string, error) {
	if !slices.Contains(a.Listed, account.Name) {
		return nil, operator.Errorf(operator.NotPermitted, "%s is named in the configuration: only root may remove it", account.Name)
	}
	if account.UID < firstUID {
		return nil, operator.Errorf(operator.NotPermitted, "%s is an account of the system", account.Name)
	}
	if err := o.change(ctx, c, account, shutting(account), lockFields); err != nil {
		return nil, err
	}
	_, survivors, err := o.Dialogues.EndBut(ctx, account, sessions.Keep{})
	if err != nil || len(survivors) > 0 {
		return nil, errors.Join(operator.Errorf(operator.Failed, "%s is locked, but still has sessions open", account.Name), err)
	}
	err = errors.Join(config.RemoveAccount("/", o.File, a.Name, account.Name), o.Relist(a.Name))
	var notes []string
	if err == nil {
		notes, err = o.userdel(ctx, c, c.people[account.Name], d)
	}
	if err != nil {
		return nil, errors.Join(err, config.AddAccount("/", o.File, a.Name, account.Name), o.Relist(a.Name))
	}
	if err := o.departed(ctx, c, a.Name, account.Name); err != nil {
		o.Log.Warn("the deletion of an account could not be recorded", "account", account.Name, "error", err)
		notes = append(notes, "its history could not be closed: a new account with the name "+account.Name+" inherits it")
	}
	for _, h := range o.engine.Config.Holders(a) {
		if err := o.Keepers[h.Name].Forget(ctx, account.Name); err != nil {
			o.Log.Warn("a record is left in the credential store", "application", h.Name, "account", account.Name, "error", err)
			notes = append(notes, h.Name+"'s credential store keeps a locked record of "+account.Name)
		}
	}
	return notes, nil
}

// departed reconciles once more an account that the OS no longer has, with a configuration that
// still lists it. A later account of that name may get the same uid; only this record tells the two
// apart.
func (o *Server) departed(ctx context.Context, c *call, application, name string) error {
	e := o.engine.With(o.engine.Config)
	var errs []error
	for _, h := range e.Holders(application) {
		e.Reconciler(h.Name).Application.Accounts = []string{name}
		_, err := e.Reconcile(ctx, h.Name, shadowsync.Request{Force: true, Origin: c.origin})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// userdel removes the account, and its home only if that is wanted and in the folder for operators'
// accounts. It returns notes about what is left.
func (o *Server) userdel(ctx context.Context, c *call, p shadowfile.Person, wanted operator.Deletion) (notes []string, err error) {
	ours := p.Home == filepath.Join(o.engine.Config.Users.Home, p.Name)
	d := accountworker.Departure{Name: p.Name, UID: p.UID, Home: wanted.RemoveHome && ours}
	for name, other := range c.people {
		if name != p.Name && other.UID == p.UID {
			d.UID = -1
		}
	}
	left, err := o.Accounts.Remove(ctx, d)
	if err != nil {
		return nil, err
	}
	if left != "" {
		notes = append(notes, "left behind: "+left)
	}
	switch {
	case !d.Home && ours:
		notes = append(notes, fmt.Sprintf("kept: the home %s of uid %d; create user %s take-home gives it to a new account of that name", p.Home, p.UID, p.Name))
	case !d.Home:
		notes = append(notes, fmt.Sprintf("left behind: the home %s, and what uid %d owns elsewhere", printable.Clip(p.Home, 200), p.UID))
	}
	return notes, nil
}
