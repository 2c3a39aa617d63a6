package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/password/pamworker"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/shadowsync/web"
)

// Arrival is somebody who wants to sign in at a page.
type Arrival struct {
	web.SignIn
	Password *os.File
	Peer     socket.Peer // the page's process
}

// errSignIn is what is said about a wrong password, and about accounts that do not exist, are not managed here,
// are locked, or may not sign in at a page for any other reason.
var errSignIn = &web.Error{Kind: web.NotAuthenticated, Text: "the name or the password is not right"}

// SignIn proves a password and returns the session that it begins, with the step that comes next. Root never
// signs in. Names that nobody may sign in with take the same way, up to a proof that fails.
func (o *Server) SignIn(ctx context.Context, a Arrival) (websession.Session, web.Signed, error) {
	o = o.with(o.Engine())
	ctx, cancel := context.WithTimeout(ctx, visiting)
	defer cancel()
	s := websession.Session{Address: a.Address}
	c := &call{page: &page{session: &s}, request: operator.Request{Op: "sign-in"}, arrived: time.Now()}
	signed, err := o.signIn(ctx, c, a)
	if err != nil {
		return s, signed, o.Told(c, err)
	}
	return s, signed, nil
}

func (o *Server) signIn(ctx context.Context, c *call, a Arrival) (web.Signed, error) {
	by, err := o.countedAs(ctx, c, a)
	if err != nil {
		return web.Signed{}, err
	}
	var proven string
	var admitted bool
	var unseen error
	answer, err := o.tried(ctx, by, func() (pamworker.Answer, error) {
		var hash string
		if hash, admitted, unseen = o.admitted(ctx, c, a); unseen != nil {
			o.wrong.Spare(counted(by)) // the password was not tried
			return pamworker.Answer{}, unseen
		}
		proven = o.mark(c, hash)
		visitor := c.visitor()
		visitor.Nobody = !admitted
		return o.Proves(ctx, visitor, hash, a.Password)
	})
	switch {
	case unseen != nil:
		return web.Signed{}, unseen
	case err != nil:
		return web.Signed{}, o.unproven(ctx, c, answer, err)
	case answer.Verdict != pamworker.Done || !admitted:
		o.refuseSignIn(ctx, c, admitted)
		return web.Signed{}, errSignIn
	}
	s := c.page.session
	s.Account, s.Realm, s.UID, s.Proven = c.name, string(c.realm), c.uid, proven
	if c.page.own, err = o.ownFactor(ctx, c); err != nil {
		return web.Signed{}, err
	}
	signed, err := o.next(ctx, c)
	s.Stage = string(signed.Next)
	return signed, err
}

// mark is what a session keeps of a password that is about to be proven, so that it is known afterwards whether
// that is still in force: a digest of its hash. The hash of a directory's account is not here. A change of its
// password in pcli or at a page ends its sessions, so how often they were ended tells, until this one is among them.
func (o *Server) mark(c *call, hash string) string {
	if c.realm == factor.LDAP {
		hash = fmt.Sprintf("ended %d times", o.Dialogues.endsOf(c.uid))
	}
	return websession.DigestOf(hash)
}

// SignedIn looks once more, after the session was begun, whether the password that was proven is in force:
// whoever sets another one ends the sessions that are there by then. It records that somebody is signed in, if no
// further step is needed.
func (o *Server) SignedIn(ctx context.Context, s websession.Session, peer socket.Peer) error {
	o = o.with(o.Engine())
	c, err := o.called(ctx, peer, &s)
	if err == nil {
		err = o.stillProven(ctx, c)
	}
	if err != nil {
		return o.Told(c, err)
	}
	if s.Stage == "" {
		o.record(ctx, c, actionSignedIn, "")
	}
	return nil
}

// countedAs returns the caller as tries are counted: by what was typed as a name, and by where it came from. So
// who tries too often is refused before the name is looked up, in the same time for every name.
func (o *Server) countedAs(ctx context.Context, c *call, a Arrival) (by *call, err error) {
	if c.people, err = o.people.read(ctx, o.engine.Root()); err != nil {
		return nil, err
	}
	name := a.Name
	if _, there := c.people[name]; !there { // it may be a password, and is not kept
		name = "nobody " + websession.DigestOf(name)
	}
	return &call{page: c.page, asker: asker{name: name, origin: shadowsync.Origin{Remote: a.Address}}}, nil
}

// admitted finds the account of a name, its hash, and whether it may sign in at a page at all. If not, the
// call has the name alone.
func (o *Server) admitted(ctx context.Context, c *call, a Arrival) (hash string, admitted bool, err error) {
	uid, err := o.uidOf(ctx, c, a.Name)
	if err != nil {
		return "", false, err
	}
	c.uid = uid
	if err := o.identifyVisitor(ctx, a.Peer, c); err != nil {
		return "", false, err
	}
	if uid > 0 && c.name == a.Name && c.role != operator.RoleNone {
		hash, admitted, err = o.opens(ctx, c)
	}
	if err == nil && !admitted {
		c.asker = asker{realm: factor.Local, uid: nobodysUID, origin: c.origin}
		if _, there := c.people[a.Name]; there { // any other name may be a password, and is not kept
			c.name = a.Name
		}
		c.origin.By, c.origin.UID = "", nil
	}
	return hash, admitted, err
}

// opens reports whether the caller's account has a password that may open it, and its hash.
func (o *Server) opens(ctx context.Context, c *call) (hash string, may bool, err error) {
	if c.realm == factor.LDAP {
		return "", true, nil
	}
	account, err := o.present(ctx, c.name)
	switch {
	case errors.Is(err, shadowsync.ErrNoAccount):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return account.Hash, account.LetsIn(shadowsync.DayOf(time.Now())) && len(account.Hash) >= shortestHash, nil
}

const nobodysUID = -1

// uidOf returns the uid of the account that a name means, nobodysUID for none. If accounts of a directory are
// let in, it is asked about every name, so that the time does not tell which ones it has.
func (o *Server) uidOf(ctx context.Context, c *call, name string) (int, error) {
	uid := nobodysUID
	if p, local := c.people[name]; local {
		uid = p.UID
	}
	if !o.engine.Config.SecondFactor.LDAP {
		return uid, nil
	}
	person, err := o.Directory(ctx, directory.Query{Name: name})
	switch {
	case uid != nobodysUID, errors.Is(err, shadowsync.ErrNoAccount):
		return uid, nil
	case err != nil:
		return uid, errNoDirectory
	}
	return person.UID, nil
}

// refuseSignIn audits a failed proof, not too often for one network, however many addresses it has.
func (o *Server) refuseSignIn(ctx context.Context, c *call, admitted bool) {
	place, network := factor.PlaceOf(c.origin.Remote)
	unsaid, due := o.refused.Due("signing in from "+cmp.Or(network, place), time.Now())
	if !due {
		return
	}
	reason := "the password is not right, or the account may not log in"
	if !admitted {
		reason = "no account that may sign in at a page"
	}
	if unsaid > 0 {
		reason += fmt.Sprintf(", and %d more since the last record", unsaid)
	}
	o.auditAs(ctx, c, c.name, actionRefused, reason)
}
