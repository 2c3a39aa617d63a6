// Package operators answers what the operators' shell asks the daemon, and what people at pages do. Who may ask for what stands in
// one table: rules.go. The peer's credentials come from the kernel; roles and scope
// come from the OS's groups and the configuration. The passwords that operators type pass through
// as descriptors; nothing here reads them. Codes of a second factor are read here, to be checked.
//
//	operators.go    the server, and a request's way through it
//	rules.go        the table of who may ask what, and about which accounts
//	asker.go        who asks, as the kernel and the OS's files say
//	scope.go        which applications' accounts an operator administers
//	people.go       cache of passwd(5) and group(5)
//	directory.go    accounts of a directory, and a cache of its answers
//	queries.go      operations that show
//	acts.go         operations that change
//	roster.go       who may lock or remove which account
//	users.go        creates accounts
//	edituser.go     changes one field of an account, and its role
//	deleteuser.go   removes accounts
//	givepassword.go sets the password of another account
//	setpassword.go  the dialogue in which operators set their own password
//	persist.go      brings a password that the PAM stack has set to the stores, or takes it back
//	setdirectory.go the dialogue for an account of a directory, and what became of a change without an answer
//	proving.go      proves an operator's current password, within limits
//	codes.go        takes codes of an operator's second factor, and knows which shells have shown one
//	factor.go       enrols, renews and resets second factors
//	lost.go         the way back for who lost the authenticator, and the mail address
//	signin.go       proves the password of somebody at a page
//	pages.go        requests of who is signed in at a page, or about to be
//	pageacts.go     what somebody at a page may show and change
//	pagefactor.go   the steps of a second factor at a page
//	script.go       answers in a dialogue for somebody at a page
//	outcome.go      the outcome of a dialogue after the broker died
//	dialogues.go    which shell ends last
//	errands.go      changes that PAM workers make for operators
//	explain.go      what operators are told, and what is audited
package operators

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/accountworker"
	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/password/proof"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// How long an operator may keep the broker waiting.
const (
	firstPacket = 3 * time.Second  // for the request
	answering   = 15 * time.Second // for everything but the dialogue
	typing      = 2 * time.Minute  // for each password of the dialogue
	dialogueFor = 10 * time.Minute // for the whole dialogue
)

// Server answers on the operators' socket. The peer's credentials from the kernel, the OS's
// groups and the table of rules decide what a peer may ask.
type Server struct {
	Options
	engine *engine.Engine // as it was when the request came
	rules  map[operator.Op]rule
	*kept
}

// Options are the parts of the broker that operators use.
type Options struct {
	Engine     func() *engine.Engine // the present one
	Guard      *systemd.Guard
	Keepers    map[string]*keeper.Keeper // of each application
	Dialogues  *Dialogues
	Errands    *Errands
	Vouch      func(account string) // says that the account's new password was judged
	PAM        *pamworker.Workers
	Proofs     proof.Maker
	Accounts   *accountworker.Workers
	Log        *slog.Logger
	Life       context.Context                // ends when the broker is told to stop
	File       string                         // path of the configuration
	Relist     func(application string) error // loads the present list of an application's accounts
	WrongCodes *limit.Guesses                 // of second factors, also at logins; nil: of shells alone
	Directory  func(context.Context, directory.Query) (directory.Person, error)
	// Proves proves the password of somebody at a page, whose present hash is given.
	Proves func(ctx context.Context, v pamworker.Visitor, hash string, current *os.File) (pamworker.Answer, error)
}

// New returns the server of the operators' socket.
func New(o Options) *Server {
	if o.WrongCodes == nil {
		o.WrongCodes = &limit.Guesses{}
	}
	return &Server{Options: o, rules: rules, kept: newKept()}
}

// ForPages returns the server of those who are signed in at pages. What a stranger can use up there is counted
// apart from what operators at a prompt use.
func (o *Server) ForPages() *Server {
	kept := *o.kept
	kept.limits = newLimits()
	kept.limits.others = o.limits
	return &Server{Options: o.Options, rules: rules, kept: &kept}
}

// Timeout bounds a whole request.
const Timeout = firstPacket + dialogueFor

// Answer answers one request.
func (o *Server) Answer(ctx context.Context, r *socket.Request) { o.with(o.Engine()).answer(ctx, r) }

// Place says which connections a peer's are counted with.
func (o *Server) Place(p socket.Peer) int {
	if o.lookedUp.has(p.UID) {
		return p.UID
	}
	return o.people.place(o.Life, o.Engine().Root(), p.UID)
}

// kept is the part that outlives a request.
type kept struct {
	*limits
	given    *limit.Tries // passwords for others' accounts that were not set, by operator
	refused  *limit.Tries // refused requests
	shells   *shells      // that have shown a code
	people   *people
	lookedUp *lookedUp
	roster   chan struct{} // semaphore: serialises account changes
}

// limits bound the proofs of passwords.
type limits struct {
	wrong     limit.Tries   // failed ones, by account and place
	proofs    limit.Budget  // of an account from one place
	ofAccount limit.Budget  // from all places together
	ofPlace   limit.Budget  // of all accounts from one place, at pages
	ofNetwork limit.Budget  // and from one network of many places
	allProofs limit.Budget  // of all accounts together
	turns     chan struct{} // semaphore: bounds PAM transactions
	others    *limits       // of shells, for those of pages
}

func newKept() *kept {
	return &kept{
		limits: newLimits(), given: &limit.Tries{}, refused: &limit.Tries{}, shells: &shells{}, people: &people{},
		lookedUp: newLookedUp(), roster: make(chan struct{}, 1),
	}
}

func newLimits() *limits {
	return &limits{
		proofs: limit.Budget{Most: proofsAtOnce, Every: proofEvery}, ofAccount: limit.Budget{Most: accountProofsAtOnce, Every: accountProofEvery},
		ofPlace: limit.Budget{Most: placeProofsAtOnce, Every: placeProofEvery}, ofNetwork: limit.Budget{Most: networkProofsAtOnce, Every: networkProofEvery},
		allProofs: limit.Budget{Most: allProofsAtOnce, Every: anyProofEvery},
		turns:     make(chan struct{}, mostTransactions),
	}
}

// forgive forgets the failures of an account, at prompts and at pages.
func (l *limits) forgive(account string) {
	for ; l != nil; l = l.others {
		l.wrong.ForgiveAll(anywhere(account))
	}
}

// with returns a copy that uses the given engine.
func (o Server) with(e *engine.Engine) *Server {
	o.engine = e
	return &o
}

// call is one request.
type call struct {
	asker
	conn    operator.Conn
	page    *page // whose session at a page asks; nil: a shell does
	request operator.Request
	files   []*os.File
	people  map[string]shadowfile.Person
	person  directory.Person // the caller, if a directory has the account
	arrived time.Time
	proven  string // hash of the current password that the caller has proven; empty: none
}

func (o *Server) answer(ctx context.Context, r *socket.Request) {
	c := &call{conn: r.Conn, arrived: time.Now()}
	first, cancel := context.WithTimeout(ctx, firstPacket)
	files, err := r.Conn.Receive(first, &c.request)
	cancel()
	if err != nil {
		return // an unreadable request gets no answer
	}
	c.files = files
	defer socket.CloseAll(files)
	if err := o.identify(ctx, r.Peer, c); err != nil {
		var refusal *operator.Error
		if !errors.As(err, &refusal) {
			o.Log.Error("an operator cannot be identified", "uid", r.Peer.UID, "error", err)
			refusal = operator.Errorf(operator.Unavailable, "shadowsync cannot read the accounts")
		}
		_ = operator.SendError(ctx, r.Conn, refusal)
		return
	}
	limit := answering
	if o.rules[c.request.Op].talks {
		limit = dialogueFor
	}
	ctx, cancel = context.WithTimeout(ctx, limit)
	defer cancel()
	if err := o.serve(ctx, c); err != nil && !errors.Is(err, io.EOF) { // EOF: the peer hung up
		_ = operator.SendError(ctx, r.Conn, o.explain(c, err)) // fails only if the peer is gone
	}
}

func (o *Server) serve(ctx context.Context, c *call) error {
	rule := o.rules[c.request.Op]
	if rule.may(c.asker) {
		if err := o.inForce(c, rule); err != nil {
			return err
		}
		if err := o.admit(ctx, c, rule.need); err != nil {
			return err
		}
		return rule.do(o, ctx, c)
	}
	if names := c.namesOf(c.uid); len(names) > 1 && c.uid != 0 {
		why := fmt.Sprintf("%s share the uid %d: it cannot be known whose password this is; give each a uid of its own", strings.Join(names, " and "), c.uid)
		o.auditRefusal(ctx, c, why)
		return operator.Errorf(operator.NotPermitted, "%s", why)
	}
	o.auditRefusal(ctx, c, "not permitted")
	return errNotPermitted
}

// inForce refuses what administrators do to others while the broker does not use the present
// configuration yet: that may have taken their role away, or protect the account. The broker starts
// again with it as soon as no dialogue is open (see mostCalm in package broker).
func (o *Server) inForce(c *call, r rule) error {
	if r.user || c.root() || !o.engine.Rewritten() {
		return nil
	}
	return operator.Errorf(operator.Unavailable, "the configuration was changed, and shadowsync starts again with it within a minute: try again then")
}

// auditRefusal audits a refused attempt. A flood of attempts does not fill the trail: the next
// entry says how many were left out.
func (o *Server) auditRefusal(ctx context.Context, c *call, why string) {
	place := o.people.place(ctx, o.engine.Root(), c.uid)
	unsaid, due := o.refused.Due(strconv.Itoa(place), time.Now())
	if !due {
		return
	}
	if unsaid > 0 {
		why += fmt.Sprintf(", and %d more since the last record", unsaid)
	}
	if c.request.Op == operator.OpRootTool {
		c.origin.SeenBy, c.origin.Verb = shadowsync.SeenByTool, c.verb()
	}
	o.audit(ctx, c, printable.Clip(c.request.User, 64), "refused: "+why)
}

// verb is what our own tool, run by a user other than root, says that it was asked to do. Only the
// verb is the user's claim: the identity comes from the kernel.
func (c *call) verb() string {
	var attempt operator.Attempt
	if json.Unmarshal(c.request.Args, &attempt) != nil {
		return ""
	}
	return printable.Clip(attempt.Verb, 64)
}
