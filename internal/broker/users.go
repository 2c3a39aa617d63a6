package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/policy"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// firstUID is below every account that operators make (login.defs(5), UID_MIN).
const firstUID = 1000

// createUser makes an account on both sides, or on neither.
func (o *operators) createUser(ctx context.Context, c *call) error {
	var u operator.NewUser
	if err := json.Unmarshal(c.request.Args, &u); err != nil || u.Name != c.request.User {
		return operator.Errorf(operator.Usage, "create user: not understood")
	}
	done, err := o.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	application, err := o.checkNew(c, &u)
	if err == nil {
		err = o.make(ctx, c, u, application)
	}
	result := "done"
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, printable.Clip(u.Name, 64), result)
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{})
}

// checkNew completes a wish for an account and holds it to the configuration.
func (o *operators) checkNew(c *call, u *operator.NewUser) (config.Application, error) {
	all := o.engine.Config
	usage := func(format string, args ...any) (config.Application, error) {
		return config.Application{}, operator.Errorf(operator.Usage, format, args...)
	}
	if u.Shell == "" && len(all.Users.Shells) > 0 {
		u.Shell = all.Users.Shells[0]
	}
	i := slices.IndexFunc(all.Applications, func(a config.Application) bool { return u.Application == "" || a.Name == u.Application })
	switch {
	case !newName(u.Name):
		return usage("%s is not a name for an account: up to 32 lower-case letters, digits, - and _", printable.Clip(u.Name, 64))
	case i < 0:
		return usage("no such application: %s", printable.Clip(u.Application, 64))
	case !fullName(u.FullName):
		return usage("the full name must be one line without colons and commas")
	case !slices.Contains(all.Users.Shells, u.Shell):
		return usage("the shell must be one of %s", strings.Join(all.Users.Shells, ", "))
	case len(c.files) != 1:
		return usage("a password is needed")
	}
	if _, taken := c.people[u.Name]; taken {
		return usage("there is an account of that name already")
	}
	if _, err := o.groupOf(u.Role); err != nil {
		return config.Application{}, err
	}
	return all.Applications[i], nil
}

// newName is stricter than useradd(8): nothing that a shell or a path could take for something else.
func newName(name string) bool {
	const first, rest = "abcdefghijklmnopqrstuvwxyz_", "0123456789-"
	return name != "" && len(name) <= 32 && strings.Trim(name, first+rest) == "" && strings.ContainsRune(first, rune(name[0]))
}

func fullName(name string) bool {
	return len(name) <= 128 && utf8.ValidString(name) && printable.Quote(name) == name && !strings.ContainsAny(name, ":,")
}

// powerful are groups whose members may become root by themselves, sudo or not.
// They are named whatever sudo says: it may come later than the account.
var powerful = []string{"root", "sudo", "wheel", "shadow", "disk", "docker", "lxd"}

// groupOf is the group that gives a role; none is needed for a user unless the
// configuration says so. One that protects its members is never given away.
func (o *operators) groupOf(role operator.Role) (string, error) {
	var groups []string
	switch role {
	case operator.RoleAdmin:
		groups = o.engine.Config.Roles.Admin
		if len(groups) == 0 {
			return "", operator.Errorf(operator.NotPermitted, "the configuration names no group of administrators")
		}
	case operator.RoleUser:
		groups = o.engine.Config.Roles.User
	default:
		return "", operator.Errorf(operator.Usage, "the role must be admin or user")
	}
	if len(groups) == 0 {
		return "", nil
	}
	if slices.Contains(o.engine.Config.Protected.Groups, groups[0]) || slices.Contains(powerful, groups[0]) {
		return "", operator.Errorf(operator.NotPermitted, "the group %s is protected", groups[0])
	}
	return groups[0], nil
}

// make carries out a checked wish, and undoes what it did if it does not get through.
func (o *operators) make(ctx context.Context, c *call, u operator.NewUser, a config.Application) (err error) {
	if err := o.lawful(ctx, a, u.Name, c.files[0]); err != nil {
		return err
	}
	group, _ := o.groupOf(u.Role) // checked
	args := []string{
		"useradd", "--create-home", "--home-dir", filepath.Join(o.engine.Config.Users.Home, u.Name),
		"--shell", u.Shell, "--comment", u.FullName, "-K", "UID_MIN=1000",
	}
	args = append(args, ageingFlags(o.engine.Config.Password)...)
	if group != "" {
		args = append(args, "--groups", group)
	}
	if err := o.accounts.Run(ctx, append(args, "--", u.Name)...); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			undo := context.WithoutCancel(ctx)
			err = errors.Join(err, o.accounts.Run(undo, "userdel", "--remove", "--", u.Name), config.RemoveAccount("/", o.file, a.Name, u.Name))
		}
	}()
	if err := o.powerless(ctx, u.Name, group, ""); err != nil {
		return err
	}
	if _, err := o.setAsRoot(ctx, c, u.Name); err != nil {
		return err
	}
	if !u.Enabled {
		if err := o.accounts.Run(ctx, "usermod", "--lock", "--expiredate", "1", "--", u.Name); err != nil {
			return err
		}
	}
	if err := config.AddAccount("/", o.file, a.Name, u.Name); err != nil {
		return err
	}
	if err := o.importNew(ctx, u.Name, a.Name); err != nil {
		return err
	}
	return o.relist(a.Name)
}

// ageingFlags have useradd(8) give the account the ageing of the configuration.
func ageingFlags(p config.Password) (flags []string) {
	for _, field := range []struct {
		key  string
		days int
	}{{"PASS_MIN_DAYS", p.MinDays}, {"PASS_MAX_DAYS", p.MaxDays}, {"PASS_WARN_AGE", p.WarnDays}} {
		if field.days > 0 {
			flags = append(flags, "-K", fmt.Sprintf("%s=%d", field.key, field.days))
		}
	}
	return flags
}

// importNew takes the new account's baseline, as setup does, with the configuration
// that has it. The store gets the account if it takes any from us.
func (o *operators) importNew(ctx context.Context, name, application string) error {
	c, err := o.engine.Config.Relist("/", o.file)
	if err != nil {
		return err
	}
	e := o.engine.With(c)
	// Of others that have no baseline yet, which side is right is a person's to say.
	e.Reconciler(application).Application.Accounts = []string{name}
	report, err := e.Reconcile(ctx, application, shadowsync.Request{
		First: shadowsync.OSSide, Create: true, Force: true,
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPcli},
	})
	outcome, _ := report.For(name)
	switch {
	case err != nil:
		return err
	case outcome.State == shadowsync.InSync, outcome.State == shadowsync.NeedsLogin:
		return nil
	}
	return operator.Errorf(operator.Conflict, "%s's credential store does not take a new account: %s", application, printable.Quote(outcome.Reason))
}

// editUser changes one field of an account.
func (o *operators) editUser(ctx context.Context, c *call) error {
	var e operator.Edit
	if err := json.Unmarshal(c.request.Args, &e); err != nil {
		return operator.Errorf(operator.Usage, "edit user: not understood")
	}
	account, err := o.changeable(ctx, c)
	if err != nil {
		return err
	}
	switch e.Field {
	case operator.FieldEnabled:
		return o.enable(ctx, c, e.Value)
	case operator.FieldPassword:
		err = o.givePassword(ctx, c, account)
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
	return operator.SendResult(ctx, c.conn, operator.Result{})
}

func (o *operators) enable(ctx context.Context, c *call, value string) error {
	switch value {
	case "true":
		return o.unlock(ctx, c)
	case "false":
		return o.lock(ctx, c)
	}
	return operator.Errorf(operator.Usage, "enabled must be true or false")
}

func (o *operators) editPerson(ctx context.Context, c *call, name string, e operator.Edit) error {
	switch {
	case e.Field == operator.FieldFullName && fullName(e.Value):
		return o.accounts.Run(ctx, "usermod", "--comment", e.Value, "--", name)
	case e.Field == operator.FieldFullName:
		return operator.Errorf(operator.Usage, "the full name must be one line without colons and commas")
	case e.Field == operator.FieldShell && slices.Contains(o.engine.Config.Users.Shells, e.Value):
		return o.accounts.Run(ctx, "usermod", "--shell", e.Value, "--", name)
	case e.Field == operator.FieldShell:
		return operator.Errorf(operator.Usage, "the shell must be one of %s", strings.Join(o.engine.Config.Users.Shells, ", "))
	}
	return o.editRole(ctx, c, name, operator.Role(e.Value))
}

// editRole moves an account between the groups of the roles.
func (o *operators) editRole(ctx context.Context, c *call, name string, role operator.Role) error {
	group, err := o.groupOf(role)
	if err != nil {
		return err
	}
	if role != operator.RoleAdmin {
		done, err := o.mayRemove(ctx, c, name)
		if err != nil {
			return err
		}
		defer done()
		for _, admin := range o.engine.Config.Roles.Admin {
			if slices.Contains(c.people[name].Groups, admin) {
				if err := o.accounts.Run(ctx, "gpasswd", "--delete", name, admin); err != nil {
					return err
				}
			}
		}
	}
	if group == "" || slices.Contains(c.people[name].Groups, group) {
		return nil
	}
	before, err := o.accounts.SudoRules(ctx, name)
	if err == nil {
		err = o.accounts.Run(ctx, "gpasswd", "--add", name, group)
	}
	if err != nil {
		return err
	}
	if err := o.powerless(ctx, name, group, before); err != nil {
		return errors.Join(err, o.accounts.Run(context.WithoutCancel(ctx), "gpasswd", "--delete", name, group))
	}
	return nil
}

// powerless refuses an account, in a group or none, that sudo lets run something now
// and did not before.
func (o *operators) powerless(ctx context.Context, name, group, before string) error {
	rules, err := o.accounts.SudoRules(ctx, name)
	if err != nil || rules == "" || rules == before {
		return err
	}
	if group == "" {
		return operator.Errorf(operator.NotPermitted, "the rules of sudo let %s run commands: only root may create it", name)
	}
	return operator.Errorf(operator.NotPermitted, "the rules of sudo let %s, in the group %s, run commands: only root may do that", name, group)
}
