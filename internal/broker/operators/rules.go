package operators

import (
	"context"
	"slices"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// rule says which roles may ask for an operation. Roles not listed are denied. The operation itself
// decides on which accounts, by visible and changeable. Of an account with a second factor, need says
// what it must have shown before.
type rule struct {
	user, admin, root bool
	need              codeNeed
	talks             bool // a dialogue: it waits for a person
	do                func(*Server, context.Context, *call) error
}

// rules lists every operation of this socket.
var rules = map[operator.Op]rule{
	operator.OpHello:          {user: true, admin: true, root: true, need: byItself, do: (*Server).hello},
	operator.OpNames:          {user: true, admin: true, root: true, do: (*Server).names},
	operator.OpShowUser:       {user: true, admin: true, root: true, do: (*Server).showUser},
	operator.OpSessions:       {user: true, admin: true, root: true, do: (*Server).listSessions},
	operator.OpActivity:       {user: true, admin: true, root: true, do: (*Server).activity},
	operator.OpSync:           {user: true, admin: true, root: true, do: (*Server).showSync},
	operator.OpSetPassword:    {user: true, admin: true, need: byItself, talks: true, do: (*Server).setPassword},
	operator.OpOutcome:        {user: true, admin: true, need: byItself, do: (*Server).outcome}, // the broker that knew this shell is gone
	operator.OpCode:           {user: true, admin: true, need: byItself, do: (*Server).code},
	operator.OpEnrol2FA:       {user: true, admin: true, need: byItself, talks: true, do: (*Server).enrol},
	operator.OpRenewCodes:     {user: true, admin: true, need: byItself, talks: true, do: (*Server).renewCodes},
	operator.OpLost2FA:        {user: true, admin: true, need: byItself, talks: true, do: (*Server).lost},
	operator.OpSetMail:        {user: true, admin: true, need: byItself, talks: true, do: (*Server).setMail},
	operator.OpReset2FA:       {admin: true, root: true, need: byItself, do: (*Server).reset2FA},
	operator.OpDisconnect:     {admin: true, root: true, need: recently, do: (*Server).disconnect},
	operator.OpLock:           {admin: true, root: true, need: recently, do: (*Server).lock},
	operator.OpUnlock:         {admin: true, root: true, need: recently, do: (*Server).unlock},
	operator.OpExpirePassword: {admin: true, root: true, need: recently, do: (*Server).expirePassword},
	operator.OpCreateUser:     {admin: true, root: true, need: recently, do: (*Server).createUser},
	operator.OpEditUser:       {admin: true, root: true, need: recently, do: (*Server).editUser},
	operator.OpDeleteUser:     {admin: true, root: true, need: recently, do: (*Server).deleteUser},
}

// may reports whether the rule lets the asker ask.
func (r rule) may(a asker) bool {
	switch {
	case r.do == nil:
		return false
	case a.root():
		return r.root
	case a.role == operator.RoleAdmin:
		return r.admin
	case a.role == operator.RoleUser:
		return r.user
	}
	return false
}

var errNotPermitted = operator.Errorf(operator.NotPermitted, "not permitted")

// chosen returns the accounts that a request is about. An account that the asker may not see gets
// the same answer as one that does not exist.
func (o *Server) chosen(c *call) ([]string, error) {
	visible := o.visible(c.asker)
	name := c.request.User
	if name == operator.All {
		return visible, nil
	}
	if name == "" {
		name = c.name
	}
	if !slices.Contains(visible, name) {
		return nil, operator.Errorf(operator.NoAccount, "no such account: %s", printable.Clip(name, 64))
	}
	return []string{name}, nil
}

// changeable returns the one account that a request may change: visible and, unless root asks, not
// protected.
func (o *Server) changeable(ctx context.Context, c *call) (shadowsync.Account, error) {
	names, err := o.chosen(c)
	if err != nil {
		o.auditRefusal(ctx, c, "no such account")
		return shadowsync.Account{}, err
	}
	if c.request.User == "" || c.request.User == operator.All || len(names) != 1 {
		return shadowsync.Account{}, operator.Errorf(operator.Usage, "which account?")
	}
	if a, _ := o.engine.Config.Managing(names[0]); !slices.Contains(c.scope, a.Name) { // the asker's own account, in an application that others administer
		o.auditRefusal(ctx, c, "not permitted")
		return shadowsync.Account{}, errNotPermitted
	}
	if p := c.people[names[0]]; !c.within(scopeOf(o.engine.Config, p, p.UID)) {
		o.auditRefusal(ctx, c, names[0]+" administers another application")
		return shadowsync.Account{}, operator.Errorf(operator.NotPermitted, "not permitted: %s administers another application, too", names[0])
	}
	snapshot, err := o.engine.Accounts.Read(ctx, names)
	if err != nil {
		return shadowsync.Account{}, err
	}
	account, there := snapshot.Accounts[names[0]]
	if !there {
		return account, operator.Errorf(operator.NoAccount, "no such account: %s", names[0])
	}
	if c.root() {
		return account, nil
	}
	if why := o.engine.Protect.Of(ctx, account.Name)[account.Name].Why; why != "" {
		o.auditRefusal(ctx, c, account.Name+" is protected")
		return account, operator.Errorf(operator.NotPermitted, "not permitted: %s is protected (%s)", account.Name, why)
	}
	return account, nil
}
