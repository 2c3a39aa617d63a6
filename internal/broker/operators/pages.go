package operators

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// pamService judges the passwords that are shown at pages.
const pamService = "shadowsync-web"

// visiting bounds a request of a page: a proof, a change and the end of the sessions, each of which has a
// bound of its own.
const visiting = 40 * time.Second

// Visit is a request of a page with a session.
type Visit struct {
	Session websession.Session
	Request web.Request
	Files   []*os.File
	Peer    socket.Peer // the page's process
}

// Reply is what a visit came to.
type Reply struct {
	Result any
	List   []json.RawMessage // instead; nil: it is no list
	Signed *web.Signed       // in Result, which still lacks the token; nil: Result has none

	Session websession.Session // as it is now
	Renewed bool               // it goes on under a new token
	Ended   bool
}

// page is what the rest of this package needs to know of a visit.
type page struct {
	session *websession.Session
	script  *script
	stage   web.Next
	own     factor.Record // the visitor's
	proof   web.Proof     // that came with the request
	shown   bool          // a code was shown in this request
	renewed bool
}

// pageSession names the caller's session at a page; "": a shell asks.
func (c *call) pageSession() string {
	if c.page == nil {
		return ""
	}
	return c.page.session.Name()
}

// atPrompt returns a hint that names a command, for those who can type it.
func (c *call) atPrompt(hint string) string {
	if c.page != nil {
		return ""
	}
	return hint
}

// visitor is the caller, as whoever proves the password gets to know them.
func (c *call) visitor() pamworker.Visitor {
	return pamworker.Visitor{User: c.name, UID: c.uid, Service: pamService, Host: c.origin.Remote}
}

var (
	errSignedOut = &web.Error{Kind: web.SignedOut, Text: "you are not signed in any more"}
	errStep      = &web.Error{Kind: web.StepNeeded, Text: "finish signing in first"}
)

// Visit answers one request of somebody at a page. It is decided by the same rules as those of shells; who
// asks is known from the session alone.
func (o *Server) Visit(ctx context.Context, v Visit) (Reply, error) {
	o = o.with(o.Engine())
	ctx, cancel := context.WithTimeout(ctx, visiting)
	defer cancel()
	c, err := o.called(ctx, v.Peer, &v.Session)
	if err != nil {
		return Reply{}, o.Told(c, err)
	}
	c.files, c.page.proof = v.Files, v.Request.Proof
	c.request = operator.Request{User: v.Request.User, Args: v.Request.Args}
	reply, err := o.visit(ctx, c, v.Request.Op)
	if err != nil {
		return Reply{}, o.Told(c, err)
	}
	reply.Session, reply.Renewed = v.Session, c.page.renewed
	return reply, nil
}

// called makes the call of a session. Whoever it belongs to must still be there, and be let in.
func (o *Server) called(ctx context.Context, peer socket.Peer, s *websession.Session) (*call, error) {
	answers := &script{}
	c := &call{conn: answers, page: &page{session: s, script: answers, stage: web.Next(s.Stage)}, arrived: time.Now()}
	c.uid = s.UID
	if err := o.identifyVisitor(ctx, peer, c); err != nil {
		return c, err
	}
	if c.root() || c.name != s.Account || string(c.realm) != s.Realm || c.role == operator.RoleNone {
		return c, errSignedOut
	}
	_, open, err := o.opens(ctx, c)
	switch {
	case err != nil:
		return c, err
	case !open:
		return c, errSignedOut
	case s.Stage != "" && c.realm == factor.Local, o.onItsOwn(c):
		return c, o.stillProven(ctx, c)
	}
	return c, nil
}

// Shut returns those of some sessions whose accounts are gone, or may not log in. At its next request each of
// them would end anyway. But an account that is locked now, or made anew, may be open again by then, and its
// sessions must not be.
func (o *Server) Shut(ctx context.Context, all []websession.Session) (shut []websession.Session, err error) {
	names := make([]string, 0, len(all))
	for _, s := range all {
		names = append(names, s.Account)
	}
	snapshot, err := o.Engine().Accounts.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	today := shadowsync.DayOf(time.Now())
	for _, s := range all {
		account, there := snapshot.Accounts[s.Account]
		if s.Realm == string(factor.Local) && (!there || account.UID != s.UID || !account.LetsIn(today)) {
			shut = append(shut, s)
		}
	}
	return shut, nil
}

// onItsOwn reports whether the caller has a local account that no application has. Nobody announces a change of
// its password, so each change ends the sessions at pages.
func (o *Server) onItsOwn(c *call) bool {
	_, managed := o.engine.Config.Managing(c.name)
	return !managed && c.realm == factor.Local
}

// stillProven refuses a session whose password was changed since it was proven.
func (o *Server) stillProven(ctx context.Context, c *call) error {
	hash, _, err := o.opens(ctx, c)
	if err == nil && c.page.session.Proven != o.mark(c, hash) {
		err = errSignedOut
	}
	return err
}

// identifyVisitor fills in the asker whose uid is known: as identify does for the peer of a socket.
func (o *Server) identifyVisitor(ctx context.Context, peer socket.Peer, c *call) (err error) {
	if c.people, err = o.people.read(ctx, o.engine.Root()); err != nil {
		return err
	}
	c.origin = o.engine.OriginOf(origin.OfPeer(peer), shadowsync.SeenByWeb)
	c.origin.Login, c.origin.LoginUID, c.origin.Unverified = "", nil, ""
	c.origin.UID, c.origin.Remote, c.origin.Session = &c.uid, c.page.session.Address, c.page.session.Name()
	if c.uid == nobodysUID {
		return nil
	}
	return o.nameAsker(ctx, c)
}

// visit finds the rule of a request, and answers it if the caller is as far as it needs.
func (o *Server) visit(ctx context.Context, c *call, op web.Op) (Reply, error) {
	rule, known := pages[op]
	if !known {
		return Reply{}, errNotPermitted
	}
	if err := o.findStage(ctx, c); err != nil {
		return Reply{}, err
	}
	if len(rule.at) > 0 && !slices.Contains(rule.at, c.page.stage) {
		return Reply{}, errStep
	}
	c.request.Op = rule.as
	if rule.own != "" && (c.request.User == "" || c.request.User == c.name) {
		c.request.Op = rule.own
	}
	same := o.rules[c.request.Op]
	if !same.may(c.asker) {
		o.auditRefusal(ctx, c, "not permitted")
		return Reply{}, errNotPermitted
	}
	if err := o.inForce(c, same); err != nil {
		return Reply{}, err
	}
	if err := o.takeProof(ctx, c, rule.proof); err != nil {
		return Reply{}, err
	}
	if len(c.files) < rule.secrets || len(c.files) > max(rule.secrets, rule.most) {
		return Reply{}, operator.Errorf(operator.Usage, "the request has the wrong number of passwords and codes")
	}
	if c.page.stage == web.NextNone { // before that, the stage says what is missing
		if err := o.admit(ctx, c, same.need); err != nil {
			return Reply{}, err
		}
	}
	return rule.do(o, ctx, c)
}

// findStage finds how far the caller is in signing in, as it is now. A session ends if the second factor was
// changed by somebody else since its code was shown.
func (o *Server) findStage(ctx context.Context, c *call) (err error) {
	s := c.page.session
	if c.page.own, err = o.ownFactor(ctx, c); err != nil {
		return err
	}
	enrolled := c.page.own.State == factor.Enrolled
	switch stage := web.Next(s.Stage); {
	case s.Generation != 0 && (!enrolled || c.page.own.Generation != s.Generation):
		return errSignedOut
	case stage == web.NextConfirm:
		return nil
	case stage == web.NextCode, stage == web.NextMailed:
		if !enrolled {
			return errSignedOut
		}
		return nil
	}
	signed, err := o.next(ctx, c)
	if err == nil && signed.Next == web.NextCode { // it was enrolled elsewhere
		return errSignedOut
	}
	c.page.stage = signed.Next
	return err
}

// next is the step of signing in that comes next.
func (o *Server) next(ctx context.Context, c *call) (web.Signed, error) {
	own := c.page.own
	switch {
	case own.State == factor.Enrolled && c.page.session.Generation != own.Generation:
		return web.Signed{Next: web.NextCode, Lost: o.recoverable(own)}, nil
	case own.State != factor.Enrolled && own.Ticket != nil && len(own.Ticket.Hash) == 0: // factor.ActionLost
		return web.Signed{}, operator.Errorf(operator.NotAuthenticated, "your second factor was lost; an administrator can reset it")
	case own.State != factor.Enrolled && own.Ticket != nil:
		return web.Signed{Next: web.NextEnrolment, Note: guide.Reset}, nil
	}
	duty, err := o.duty(ctx, c, own)
	if err != nil {
		return web.Signed{}, err
	}
	var signed web.Signed
	if duty.Enrol {
		signed.Note = guide.Required(duty.Until, time.Now(), duty.Must)
	}
	switch must, err := o.mustChange(ctx, c); {
	case err != nil:
		return web.Signed{}, err
	case duty.Must:
		signed.Next = web.NextEnrol
	case must:
		signed.Next = web.NextPassword
	}
	return signed, nil
}

// goOn ends a step of signing in, and finds the next one. Whoever is signed in gets another token, too.
func (o *Server) goOn(ctx context.Context, c *call) (signed web.Signed, err error) {
	if c.page.own, err = o.ownFactor(ctx, c); err != nil {
		return signed, err
	}
	if signed, err = o.next(ctx, c); err != nil {
		return signed, err
	}
	o.arrive(ctx, c, signed.Next)
	return signed, nil
}

// arrive notes that the caller is at a step of signing in.
func (o *Server) arrive(ctx context.Context, c *call, at web.Next) {
	s := c.page.session
	c.page.renewed = true
	if s.Stage == "" {
		return
	}
	if s.Stage = string(at); at == web.NextNone {
		if !o.onItsOwn(c) {
			s.Proven = ""
		}
		o.record(ctx, c, actionSignedIn, "")
	}
}

// The actions of the audit.
const (
	actionSignedIn  = "signed-in"
	actionSignedOut = "signed-out"
	actionRefused   = "sign-in-refused"
)

// record audits what happened to a session of a page.
func (o *Server) record(ctx context.Context, c *call, action, reason string) {
	o.auditAs(ctx, c, c.name, action, reason)
}

// wanted is the proof that changes of this person's must carry.
func wanted(own factor.Record) web.Proof {
	if own.State == factor.Enrolled {
		return web.ByCode
	}
	return web.ByPassword
}

// takeProof takes the proof that a change must carry.
func (o *Server) takeProof(ctx context.Context, c *call, need proofNeed) error {
	want := wanted(c.page.own)
	switch {
	case need == noProof:
		return nil
	case need == byCode && want != web.ByCode:
		return o.codeError(c, factor.ErrNotEnrolled)
	}
	if len(c.files) == 0 || c.page.proof != want && need == anyProof {
		return operator.Errorf(operator.Usage, "%s", map[web.Proof]string{
			web.ByCode: "a verification code is needed", web.ByPassword: "the current password is needed",
		}[want])
	}
	proof := c.files[0]
	c.files = c.files[1:]
	if want == web.ByCode {
		_, err := o.takeCode(ctx, c, proof)
		return err
	}
	c.page.script.secrets = map[operator.Secret]*os.File{operator.AskCurrent: proof}
	return o.password(ctx, c)
}

// Told is what somebody at a page is told about an error.
func (o *Server) Told(c *call, err error) *web.Error {
	var told *web.Error
	var slow *waitError
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &slow):
		return &web.Error{Kind: web.TooMany, Text: slow.refusal.Text}
	}
	refusal := o.explain(c, err)
	kind := web.Kind(refusal.Kind)
	if refusal.Kind == operator.CodeNeeded {
		kind = web.Usage
	}
	return &web.Error{Kind: kind, Text: refusal.Text}
}
