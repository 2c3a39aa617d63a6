package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/shadowsync/shadowsync/internal/accountworker"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/internal/pamworker"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Bounds of what an operator may keep us waiting for.
const (
	firstPacket = 3 * time.Second  // for the question
	answering   = 15 * time.Second // for everything but the dialogue
	typing      = 2 * time.Minute  // for each password of the dialogue
	dialogueFor = 10 * time.Minute // for all of it
)

// operators answers on the operators' socket. What somebody may ask is decided by
// the kernel's word about the peer, the OS's groups and the table of rules.
type operators struct {
	engine    *engine.Engine // as it was when the request came
	rules     map[operator.Op]rule
	guard     *systemd.Guard
	keepers   map[string]*keeper
	dialogues *dialogues
	errands   *errands
	vouchers  *vouchers
	pam       *pamworker.Workers
	accounts  *accountworker.Workers
	log       *slog.Logger
	life      context.Context // ends when the broker is told to stop
	file      string          // the configuration
	relist    func(application string) error
	*kept
}

// kept is what outlives a request.
type kept struct {
	wrong   tries // passwords
	refused tries // attempts at what is not allowed
	people  people
	roster  chan struct{} // has an element while one decides who there is and who may do what
}

func newKept() *kept { return &kept{roster: make(chan struct{}, 1)} }

// with is the same under the present engine.
func (o operators) with(e *engine.Engine) *operators {
	o.engine = e
	return &o
}

// asker is who asks.
type asker struct {
	name    string
	uid     int
	role    operator.Role
	process origin.Process
	origin  shadowsync.Origin
}

func (a asker) root() bool { return a.uid == 0 }

// call is one request.
type call struct {
	asker
	conn    *socket.Conn
	request operator.Request
	files   []*os.File
	people  map[string]shadowfile.Person
}

// rule says who may ask for an operation. Nobody may who is not named; on which
// accounts, the operation decides by visible and changeable.
type rule struct {
	user, admin, root bool
	do                func(*operators, context.Context, *call) error
}

// rules is everything that may be asked on this socket.
var rules = map[operator.Op]rule{
	operator.OpHello:          {user: true, admin: true, root: true, do: (*operators).hello},
	operator.OpNames:          {user: true, admin: true, root: true, do: (*operators).names},
	operator.OpShowUser:       {user: true, admin: true, root: true, do: (*operators).showUser},
	operator.OpSessions:       {user: true, admin: true, root: true, do: (*operators).listSessions},
	operator.OpActivity:       {user: true, admin: true, root: true, do: (*operators).activity},
	operator.OpSync:           {user: true, admin: true, root: true, do: (*operators).showSync},
	operator.OpSetPassword:    {user: true, admin: true, do: (*operators).setPassword},
	operator.OpOutcome:        {user: true, admin: true, do: (*operators).outcome},
	operator.OpDisconnect:     {admin: true, root: true, do: (*operators).disconnect},
	operator.OpLock:           {admin: true, root: true, do: (*operators).lock},
	operator.OpUnlock:         {admin: true, root: true, do: (*operators).unlock},
	operator.OpExpirePassword: {admin: true, root: true, do: (*operators).expirePassword},
	operator.OpCreateUser:     {admin: true, root: true, do: (*operators).createUser},
	operator.OpEditUser:       {admin: true, root: true, do: (*operators).editUser},
	operator.OpDeleteUser:     {admin: true, root: true, do: (*operators).deleteUser},
}

// may tells whether the rule lets somebody ask.
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

func (o *operators) answer(ctx context.Context, r *socket.Request) {
	c := &call{conn: r.Conn}
	first, cancel := context.WithTimeout(ctx, firstPacket)
	files, err := r.Conn.Receive(first, &c.request)
	cancel()
	if err != nil {
		return // garbage gets no answer
	}
	c.files = files
	defer closeAll(files)
	if err := o.identify(ctx, r.Peer, c); err != nil {
		o.log.Error("an operator cannot be identified", "uid", r.Peer.UID, "error", err)
		_ = operator.SendError(ctx, r.Conn, operator.Errorf(operator.Unavailable, "shadowsync cannot read the accounts"))
		return
	}
	limit := answering
	if c.request.Op == operator.OpSetPassword {
		limit = dialogueFor
	}
	ctx, cancel = context.WithTimeout(ctx, limit)
	defer cancel()
	if err := o.serve(ctx, c); err != nil && !errors.Is(err, io.EOF) { // who hung up asks no more
		_ = operator.SendError(ctx, r.Conn, o.explain(c, err)) // a peer that is gone needs no answer
	}
}

func (o *operators) serve(ctx context.Context, c *call) error {
	rule := o.rules[c.request.Op]
	if rule.may(c.asker) {
		return rule.do(o, ctx, c)
	}
	o.auditRefusal(ctx, c, "not permitted")
	return errNotPermitted
}

// auditRefusal puts an attempt on record that was refused, whoever made it. A flood of
// them does not fill the trail: it says how many it leaves out.
func (o *operators) auditRefusal(ctx context.Context, c *call, why string) {
	unsaid, due := o.refused.due(strconv.Itoa(c.uid), time.Now())
	if !due {
		return
	}
	if unsaid > 0 {
		why += fmt.Sprintf(", as %d more since the last on record", unsaid)
	}
	if c.request.Op == operator.OpRootTool {
		c.origin.SeenBy, c.origin.Verb = shadowsync.SeenByTool, c.verb()
	}
	o.audit(ctx, c, printable.Clip(c.request.User, 64), "refused: "+why)
}

// verb is what our own tool says that it was asked for, by somebody who is not root. Only
// that is their word: who they are is the kernel's.
func (c *call) verb() string {
	var attempt operator.Attempt
	if json.Unmarshal(c.request.Args, &attempt) != nil {
		return ""
	}
	return printable.Clip(attempt.Verb, 64)
}

// identify completes a call with who asks. Everything comes from the kernel and
// from the OS's files; the groups of the peer's process may be older than those.
func (o *operators) identify(ctx context.Context, peer socket.Peer, c *call) (err error) {
	if c.people, err = o.people.read(ctx, o.engine.Root()); err != nil {
		return err
	}
	p := origin.FromPID(peer.PID)
	if peer.Process != nil && !peer.Alive() {
		p = origin.Process{PID: peer.PID}
	}
	c.process, c.uid = p, peer.UID
	c.origin = o.engine.OriginOf(p, shadowsync.SeenByPcli)
	c.origin.UID = &c.uid // effective, whatever the real one is: what the kernel let connect
	c.name = c.nameOf(peer.UID)
	c.origin.By = c.name
	c.role = roleOf(o.engine.Config, c.people[c.name], peer.UID)
	return nil
}

// nameOf finds the account of a uid: the login name where several share it.
func (c *call) nameOf(uid int) string {
	var names []string
	for name, p := range c.people {
		if p.UID == uid {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) != 1 && uid != 0 {
		return "" // two accounts of one uid: nobody can tell whose password it is
	}
	if uid == 0 {
		return "root"
	}
	return names[0]
}

// roleOf is what the configuration makes of an account's groups.
func roleOf(c *config.Config, p shadowfile.Person, uid int) operator.Role {
	in := func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.Groups, g) })
	}
	_, managed := c.Managing(p.Name)
	switch {
	case uid == 0, p.Name != "" && in(c.Roles.Admin):
		return operator.RoleAdmin
	case managed && (len(c.Roles.User) == 0 || in(c.Roles.User)):
		return operator.RoleUser
	}
	return operator.RoleNone
}

// visible are the accounts that somebody may know of, in order.
func (o *operators) visible(a asker) []string {
	if a.role == operator.RoleAdmin {
		var names []string
		for _, application := range o.engine.Config.Applications {
			names = append(names, application.Accounts...)
		}
		slices.Sort(names)
		return names
	}
	if _, managed := o.engine.Config.Managing(a.name); managed {
		return []string{a.name}
	}
	return nil
}

// chosen are the accounts that a request is about. One that the asker may not see
// is answered as one that does not exist.
func (o *operators) chosen(c *call) ([]string, error) {
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

// changeable is the one account that a request is to change: visible, and not
// protected, for anybody but root.
func (o *operators) changeable(ctx context.Context, c *call) (shadowsync.Account, error) {
	names, err := o.chosen(c)
	if err != nil {
		o.auditRefusal(ctx, c, "no such account")
		return shadowsync.Account{}, err
	}
	if c.request.User == "" || c.request.User == operator.All || len(names) != 1 {
		return shadowsync.Account{}, operator.Errorf(operator.Usage, "which account?")
	}
	snapshot, err := o.engine.Accounts.Read(ctx, names)
	if err != nil {
		return shadowsync.Account{}, err
	}
	account, there := snapshot.Accounts[names[0]]
	switch {
	case !there:
		return account, operator.Errorf(operator.NoAccount, "no such account: %s", names[0])
	case account.Protected != "" && !c.root():
		o.auditRefusal(ctx, c, account.Name+" is protected")
		return account, operator.Errorf(operator.NotPermitted, "not permitted: %s is protected (%s)", account.Name, account.Protected)
	}
	return account, nil
}
