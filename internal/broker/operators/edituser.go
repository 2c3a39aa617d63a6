package operators

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// editUser changes one field of an account.
func (o *Server) editUser(ctx context.Context, c *call) error {
	var e operator.Edit
	if err := json.Unmarshal(c.request.Args, &e); err != nil {
		return operator.Errorf(operator.Usage, "edit user: not understood")
	}
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	var notes []string
	switch e.Field {
	case operator.FieldEnabled:
		return o.enable(ctx, c, e.Value)
	case operator.FieldPassword:
		notes, err = o.givePassword(ctx, c, account)
	case operator.FieldFullName, operator.FieldShell, operator.FieldRole:
		err = o.editPerson(ctx, c, account.Name, e)
	default:
		err = operator.Errorf(operator.Usage, "there is no such field")
	}
	result := string(e.Field) + ": done"
	if e.Field == operator.FieldPassword && policy.TooSoon(account.Credential, shadowsync.DayOf(time.Now())) {
		result += ", within the minimum age"
	}
	if err != nil {
		result = printable.Clip(string(e.Field), 32) + ": failed: " + err.Error()
	}
	o.audit(ctx, c, account.Name, result)
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

func (o *Server) enable(ctx context.Context, c *call, value string) error {
	switch value {
	case "true":
		return o.unlock(ctx, c)
	case "false":
		return o.lock(ctx, c)
	}
	return operator.Errorf(operator.Usage, "enabled must be true or false")
}

func (o *Server) editPerson(ctx context.Context, c *call, name string, e operator.Edit) error {
	switch {
	case e.Field == operator.FieldFullName && fullName(e.Value):
		return o.Accounts.Run(ctx, "usermod", "--comment", e.Value, "--", name)
	case e.Field == operator.FieldFullName:
		return operator.Errorf(operator.Usage, "the full name must be one line without colons and commas")
	case e.Field == operator.FieldShell && slices.Contains(o.engine.Config.Users.Shells, e.Value):
		if p := c.people[name]; !config.IsPcli(p.Shell) && p.Shell != "" { // remove gives it back
			if err := o.engine.State.NoteShell(ctx, state.FormerShell{Account: name, UID: p.UID, Shell: p.Shell}); err != nil {
				return err
			}
		}
		return o.Accounts.Run(ctx, "usermod", "--shell", e.Value, "--", name)
	case e.Field == operator.FieldShell:
		return operator.Errorf(operator.Usage, "the shell must be one of %s", strings.Join(o.engine.Config.Users.Shells, ", "))
	}
	return o.editRole(ctx, c, name, operator.Role(e.Value))
}

// editRole moves an account between the groups of the roles.
func (o *Server) editRole(ctx context.Context, c *call, name string, role operator.Role) error {
	application, _ := o.engine.Config.Managing(name)
	group, err := o.groupOf(c, role, application)
	if err != nil {
		return err
	}
	if role != operator.RoleAdmin {
		done, err := o.mayRemove(ctx, c, name)
		if err != nil {
			return err
		}
		defer done()
		for _, admin := range o.adminGroups(application) {
			if slices.Contains(c.people[name].Groups, admin) {
				if err := o.Accounts.Run(ctx, "gpasswd", "--delete", name, admin); err != nil {
					return err
				}
			}
		}
	}
	if group == "" || slices.Contains(c.people[name].Groups, group) {
		return nil
	}
	before := o.engine.Protect.Of(ctx, name)[name]
	if err := o.Accounts.Run(ctx, "gpasswd", "--add", name, group); err != nil {
		return err
	}
	if before.Why != "" { // it was protected before, and only root may edit it
		return nil
	}
	if err := o.powerless(ctx, name, group); err != nil {
		return errors.Join(err, o.Accounts.Run(context.WithoutCancel(ctx), "gpasswd", "--delete", name, group))
	}
	return nil
}
