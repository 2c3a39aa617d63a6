package operators

import (
	"context"
	"slices"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
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

// rules lists every operation of operators' socket.
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

// proofNeed is what a request of a page must carry beside the token.
type proofNeed int

const (
	noProof  proofNeed = iota // it changes nothing, or takes its passwords and codes itself
	anyProof                  // the current password; a code, once a second factor is enrolled
	byCode                    // a code
)

// pageRule says which operation of operators a page's is, so that the same roles may ask for it, and what
// comes with it.
type pageRule struct {
	as      operator.Op
	own     operator.Op // instead, about the own account
	at      []web.Next  // the steps of signing in where it is answered; nil: at all
	proof   proofNeed   // comes first
	secrets int         // how many others come with it
	most    int         // at most, if some may be left out
	do      func(*Server, context.Context, *call) (Reply, error)
}

// The steps at which operations are answered.
var (
	signedIn  = []web.Next{web.NextNone}
	atCode    = []web.Next{web.NextCode, web.NextMailed}
	regaining = []web.Next{web.NextCode, web.NextMailed, web.NextConfirm}
	enrolling = []web.Next{web.NextNone, web.NextEnrolment, web.NextEnrol, web.NextConfirm}
	setting   = []web.Next{web.NextNone, web.NextPassword}
)

// pages lists every operation of pages, for who has begun to sign in.
var pages = map[web.Op]pageRule{
	web.OpWho:           {as: operator.OpHello, do: (*Server).who},
	web.OpSignOut:       {as: operator.OpHello, do: (*Server).signOut},
	web.OpCode:          {as: operator.OpCode, at: atCode, secrets: 1, do: (*Server).codeAtPage},
	web.OpLost:          {as: operator.OpLost2FA, at: atCode, do: (*Server).lostAtPage},
	web.OpRegain:        {as: operator.OpLost2FA, at: regaining, secrets: 1, do: (*Server).regainAtPage},
	web.OpEnrol:         {as: operator.OpEnrol2FA, at: enrolling, proof: anyProof, most: 1, do: (*Server).enrolAtPage},
	web.OpConfirm:       {as: operator.OpEnrol2FA, at: enrolling, secrets: 1, do: (*Server).confirmAtPage},
	web.OpSetPassword:   {as: operator.OpSetPassword, at: setting, secrets: 2, do: (*Server).setPasswordAtPage},
	web.OpRenewCodes:    {as: operator.OpRenewCodes, at: signedIn, proof: byCode, do: (*Server).renewAtPage},
	web.OpSetMail:       {as: operator.OpSetMail, at: signedIn, proof: byCode, do: (*Server).setMailAtPage},
	web.OpSessions:      {as: operator.OpSessions, at: signedIn, do: listed[web.Session]((*Server).listSessions)},
	web.OpActivity:      {as: operator.OpActivity, at: signedIn, do: listed[shadowsync.Event]((*Server).activityAtPage)},
	web.OpUsers:         {as: operator.OpShowUser, at: signedIn, do: listed[web.User]((*Server).usersAtPage)},
	web.OpSync:          {as: operator.OpSync, at: signedIn, do: listed[web.SyncState]((*Server).showSync)},
	web.OpEndSessions:   {as: operator.OpDisconnect, own: operator.OpSetPassword, at: signedIn, proof: anyProof, do: (*Server).endAtPage},
	web.OpLock:          {as: operator.OpLock, at: signedIn, proof: anyProof, do: asked[web.Result]((*Server).lock)},
	web.OpUnlock:        {as: operator.OpUnlock, at: signedIn, proof: anyProof, do: asked[web.Result]((*Server).unlock)},
	web.OpExpire:        {as: operator.OpExpirePassword, at: signedIn, proof: anyProof, do: asked[web.Result]((*Server).expirePassword)},
	web.OpResetPassword: {as: operator.OpEditUser, at: signedIn, proof: anyProof, secrets: 1, do: asked[web.Result]((*Server).resetPasswordAtPage)},
	web.OpReset2FA:      {as: operator.OpReset2FA, at: signedIn, secrets: 1, do: asked[web.EnrolmentCode]((*Server).reset2FAAtPage)},
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
