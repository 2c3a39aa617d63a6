package operators

import (
	"slices"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// scopeOf lists the applications whose accounts a person administers, by their groups. If the
// administrator is a managed account, the global groups give only its own application; for others
// the application's own admins must name one of its groups. An application controls its accounts
// through its store, and that must not reach another application's accounts.
func scopeOf(c *config.Config, p shadowfile.Person, uid int) (scope []string) {
	own, managed := c.Managing(p.Name)
	for _, a := range c.Firsts() {
		global := isIn(p, c.Roles.Admin) && (!managed || a.Name == own.Name)
		if uid == 0 || global || isIn(p, a.Admins) {
			scope = append(scope, a.Name)
		}
	}
	return scope
}

// given lists the applications that a group lets an account of application own administer.
func given(c *config.Config, group string, own config.Application) (scope []string) {
	for _, a := range c.Firsts() {
		if slices.Contains(a.Admins, group) || a.Name == own.Name && slices.Contains(c.Roles.Admin, group) {
			scope = append(scope, a.Name)
		}
	}
	return scope
}

// within reports whether the asker administers all of these applications. Control over an account
// gives what that account administers, so operators may control only accounts that administer no
// more than they do.
func (a asker) within(scope []string) bool {
	return a.root() || !slices.ContainsFunc(scope, func(name string) bool { return !slices.Contains(a.scope, name) })
}

// isIn reports whether an account is in one of these groups.
func isIn(p shadowfile.Person, groups []string) bool {
	return p.Name != "" && slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.Groups, g) })
}

// roleOf returns the role that the configuration derives from an account's groups. It lets accounts of a
// directory in as it does those that are managed.
func roleOf(c *config.Config, p shadowfile.Person, uid int, realm factor.Realm) operator.Role {
	_, managed := c.Managing(p.Name)
	managed = managed || realm == factor.LDAP
	switch {
	case uid == 0, len(scopeOf(c, p, uid)) > 0:
		return operator.RoleAdmin
	case managed && (len(c.Roles.User) == 0 || isIn(p, c.Roles.User)):
		return operator.RoleUser
	}
	return operator.RoleNone
}

// visible returns the accounts that the asker may see, sorted: the asker's own, and for
// administrators all accounts of their applications.
func (o *Server) visible(a asker) []string {
	var names []string
	for _, application := range o.engine.Config.Firsts() {
		switch {
		case a.role == operator.RoleAdmin && slices.Contains(a.scope, application.Name):
			names = append(names, application.Accounts...)
		case slices.Contains(application.Accounts, a.name):
			names = append(names, a.name)
		}
	}
	if a.realm == factor.LDAP && a.role != operator.RoleNone {
		names = append(names, a.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
