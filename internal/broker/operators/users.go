package operators

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

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/newcomer"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// firstUID is the lowest uid of accounts that operators create (login.defs(5), UID_MIN).
const firstUID = 1000

// createUser creates an account on both sides, or on neither.
func (o *Server) createUser(ctx context.Context, c *call) error {
	var u operator.NewUser
	if err := json.Unmarshal(c.request.Args, &u); err != nil || u.Name != c.request.User {
		return operator.Errorf(operator.Usage, "create user: not understood")
	}
	done, err := o.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	var notes []string
	application, err := o.checkName(c, u)
	if err == nil && u.Check {
		if err = o.couldCreate(ctx, u, application); err == nil {
			return operator.SendResult(ctx, c.conn, operator.Result{})
		}
	}
	if err == nil {
		err = o.checkNew(c, &u, application)
	}
	if err == nil {
		notes, err = o.make(ctx, c, u, application)
	}
	result := strings.Join(append([]string{"done"}, notes...), ": ")
	if err != nil {
		result = "failed: " + err.Error()
	}
	o.audit(ctx, c, printable.Clip(u.Name, 64), result)
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.Result{Notes: notes})
}

// checkName checks the name of a new account against the configuration and the accounts there are.
// It returns the application that will manage it.
func (o *Server) checkName(c *call, u operator.NewUser) (config.Application, error) {
	all := o.engine.Config
	usage := func(format string, args ...any) (config.Application, error) {
		return config.Application{}, operator.Errorf(operator.Usage, format, args...)
	}
	if !newName(u.Name) {
		return usage("%s is not a name for an account: up to 32 lower-case letters, digits, - and _", printable.Clip(u.Name, 64))
	}
	if groups := slices.Concat(all.AdminGroups(), all.Roles.User, all.Protected.Groups); slices.Contains(groups, u.Name) {
		return usage("%s is the name of a group of the configuration", u.Name)
	}
	if _, taken := c.people[u.Name]; taken {
		return usage("an account of that name exists already")
	}
	return o.applicationFor(c, u)
}

// applicationFor is the application that will manage a new account: the one that the asker names,
// else their own, else the only one that they administer.
func (o *Server) applicationFor(c *call, u operator.NewUser) (config.Application, error) {
	own, _ := o.engine.Config.Managing(c.name)
	var may []config.Application
	var names []string
	for _, a := range o.engine.Config.Firsts() {
		switch {
		case !slices.Contains(c.scope, a.Name), u.Application != "" && a.Name != u.Application:
			continue
		case u.Application == "" && a.Name == own.Name:
			return a, nil
		}
		may, names = append(may, a), append(names, a.Name)
	}
	switch len(may) {
	case 1:
		return may[0], nil
	case 0:
		return config.Application{}, operator.Errorf(operator.Usage, "no such application: %s", printable.Clip(u.Application, 64))
	}
	return config.Application{}, operator.Errorf(operator.Usage, "which application will manage it (%s)? create user %s application %s",
		strings.Join(names, ", "), u.Name, names[0])
}

// couldCreate returns why an account that passed checkName could not be created all the same.
func (o *Server) couldCreate(ctx context.Context, u operator.NewUser, a config.Application) error {
	if err := o.stores(a).Accepts(ctx, u.Name); err != nil {
		if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
			return operator.Errorf(operator.Conflict, "%s's credential store takes no new accounts: create %s in %s first", a.Name, u.Name, a.Name)
		}
		return err
	}
	arrival := o.arrival(u)
	refused, err := o.Accounts.Refuses(ctx, arrival)
	if err == nil {
		err = mayNotBe(arrival, refused)
	}
	return err
}

// checkNew fills in the other defaults of a new account and checks them.
func (o *Server) checkNew(c *call, u *operator.NewUser, a config.Application) error {
	all := o.engine.Config
	if u.Shell == "" && len(all.Users.Shells) > 0 {
		u.Shell = all.Users.Shells[0]
	}
	switch {
	case !fullName(u.FullName):
		return operator.Errorf(operator.Usage, "the full name must be one line without colons and commas")
	case !slices.Contains(all.Users.Shells, u.Shell):
		return operator.Errorf(operator.Usage, "the shell must be one of %s", strings.Join(all.Users.Shells, ", "))
	case len(c.files) != 1:
		return operator.Errorf(operator.Usage, "a password is needed")
	}
	_, err := o.groupOf(c, u.Role, a)
	return err
}

// newName is stricter than useradd(8): it allows nothing that a shell or a path could misread.
func newName(name string) bool {
	const first, rest = "abcdefghijklmnopqrstuvwxyz_", "0123456789-"
	return name != "" && len(name) <= 32 && strings.Trim(name, first+rest) == "" && strings.ContainsRune(first, rune(name[0]))
}

func fullName(name string) bool {
	return len(name) <= 128 && utf8.ValidString(name) && printable.Quote(name) == name && !strings.ContainsAny(name, ":,")
}

// adminGroups are the groups that make an account of an application its administrator.
func (o *Server) adminGroups(a config.Application) []string {
	return slices.Concat(o.engine.Config.Roles.Admin, a.Admins)
}

// groupOf is the group that gives a role. The user role needs none unless the configuration names
// one. It never gives a group that protects its members, or one that administers applications
// beyond the giver's scope.
func (o *Server) groupOf(c *call, role operator.Role, a config.Application) (string, error) {
	var groups []string
	switch role {
	case operator.RoleAdmin:
		groups = o.adminGroups(a)
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
	i := slices.IndexFunc(groups, func(group string) bool { return c.within(given(o.engine.Config, group, a)) })
	switch {
	case i < 0:
		return "", operator.Errorf(operator.NotPermitted, "every group of that role administers another application, too")
	case o.engine.Protect.Group(groups[i]):
		return "", operator.Errorf(operator.NotPermitted, "the group %s is protected", groups[i])
	}
	return groups[i], nil
}

// make creates a checked account, and undoes its steps if one fails.
func (o *Server) make(ctx context.Context, c *call, u operator.NewUser, a config.Application) (notes []string, err error) {
	if err := o.lawful(ctx, a, u.Name, c.files[0]); err != nil {
		return notes, err
	}
	group, _ := o.groupOf(c, u.Role, a) // checkNew has checked it
	flags := append([]string{"--shell", u.Shell, "--comment", u.FullName, "-K", "UID_MIN=1000"}, ageingFlags(o.engine.Config.Password)...)
	if group != "" {
		flags = append(flags, "--groups", group)
	}
	arrival := o.arrival(u)
	arrival.Flags = flags
	made, refused, err := o.Accounts.Create(ctx, arrival)
	if err == nil {
		err = mayNotBe(arrival, refused)
	}
	if err != nil {
		return notes, err
	}
	defer func() {
		if err != nil {
			undo := context.WithoutCancel(ctx)
			err = errors.Join(err, o.Accounts.Undo(undo, arrival, made), config.RemoveAccount("/", o.File, a.Name, u.Name))
		}
	}()
	if made.Taken {
		notes = append(notes, fmt.Sprintf("what was in %s, of uid %d, is in %s now", arrival.Home, made.FormerUID, filepath.Join(arrival.Home, accountworker.HomeBefore)))
	}
	if err := o.powerless(ctx, u.Name, group); err != nil {
		return notes, err
	}
	if _, err := o.setAsRoot(ctx, c, u.Name); err != nil {
		return notes, err
	}
	if !u.Enabled {
		if err := o.Accounts.Run(ctx, "usermod", "--lock", "--expiredate", "1", "--", u.Name); err != nil {
			return notes, err
		}
	}
	if err := config.AddAccount("/", o.File, a.Name, u.Name); err != nil {
		return notes, err
	}
	if err := o.importNew(ctx, u.Name, a.Name); err != nil {
		return notes, err
	}
	return notes, o.Relist(a.Name)
}

func (o *Server) arrival(u operator.NewUser) accountworker.Arrival {
	return accountworker.Arrival{
		Newcomer: newcomer.Newcomer{Name: u.Name, Home: filepath.Join(o.engine.Config.Users.Home, u.Name)}, TakeHome: u.TakeHome,
	}
}

// mayNotBe is the error for an account that the machine refuses; nil if there is no reason.
func mayNotBe(a accountworker.Arrival, refused string) error {
	switch refused {
	case "":
		return nil
	case a.Home + " is there already":
		return operator.Errorf(operator.NotPermitted, "cannot create %s: %s (create user %s take-home keeps what is in it)", a.Name, refused, a.Name)
	}
	return operator.Errorf(operator.NotPermitted, "cannot create %s: %s", a.Name, printable.Clip(refused, 300))
}

// ageingFlags let useradd(8) give the account the configured ageing.
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

// importNew takes the new account's baseline, as setup does, with a configuration that lists it.
// The store gets the account if it accepts new ones from us.
func (o *Server) importNew(ctx context.Context, name, application string) error {
	c, err := o.engine.Config.Relist("/", o.File)
	if err != nil {
		return err
	}
	return o.importAs(ctx, o.engine.With(c), name, application)
}

func (o *Server) importAs(ctx context.Context, e *engine.Engine, name, application string) error {
	for _, h := range e.Holders(application) {
		// Only this account: if others have no baseline yet, a person must say which side is right.
		e.Reconciler(h.Name).Application.Accounts = []string{name}
		report, err := e.Reconcile(ctx, h.Name, shadowsync.Request{
			First: shadowsync.OSSide, Create: true, Force: true,
			Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPcli},
		})
		if err != nil {
			return err
		}
		if outcome, _ := report.For(name); !outcome.State.Fits() && outcome.State != shadowsync.NeedsLogin {
			return operator.Errorf(operator.Conflict, "%s's credential store does not take a new account: %s", h.Name, printable.Quote(outcome.Reason))
		}
	}
	return nil
}

// powerless refuses an account that is protected now, by its group or without one: the operator who
// created it or gave it that group would become root by a second step.
func (o *Server) powerless(ctx context.Context, name, group string) error {
	switch s := o.engine.Protect.Of(ctx, name)[name]; {
	case s.Why == "":
		return nil
	case !s.Sudo:
		return operator.Errorf(operator.NotPermitted, "%s would be protected (%s): only root may do that", name, s.Why)
	case group == "":
		return operator.Errorf(operator.NotPermitted, "the rules of sudo let %s run commands: only root may create it", name)
	}
	return operator.Errorf(operator.NotPermitted, "the rules of sudo let %s, in the group %s, run commands: only root may do that", name, group)
}
