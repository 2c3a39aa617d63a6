package broker

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// codeWithin is less than the two seconds that the PAM module waits.
	codeWithin = 1800 * time.Millisecond
	// codeConnections bounds the logins that are served at a time: more than sshd admits by default.
	codeConnections = 256
	// mostCodes bounds the concurrent uses of the state for logins, so that a passwd is not queued
	// behind hundreds of them.
	mostCodes = 4
)

// codes are what outlives the check of a code.
type codes struct {
	hashing sync.Mutex    // one hash at a time is computed for strangers
	turns   chan struct{} // semaphore: bounds concurrent uses of the state for logins
	wrong   limit.Guesses // wrong codes, at logins and in shells
	listed  compared
}

// cannotTell is what a person is told when the cause is for root.
const cannotTell = "the second factor cannot be checked now"

// answerLogin answers on the socket for second factors: does a login need a code, and is this one
// right? It asks nothing of the module but that its host runs as root: the code is the proof.
func (b *Broker) answerLogin(connection context.Context, r *socket.Request) {
	ctx, cancel := context.WithTimeout(connection, codeWithin)
	defer cancel()
	var q module.Login
	files, err := r.Conn.Receive(ctx, &q)
	if err != nil {
		b.log.Warn("a request about a second factor could not be read", "pid", r.Peer.PID, "error", err)
		return
	}
	defer socket.CloseAll(files)
	answer := refusesLogin("not permitted")
	if r.Peer.UID == 0 {
		answer = b.judgeLogin(ctx, r.Peer, q, files)
	}
	if err := answer.SendPlain(connection, r.Conn); err != nil {
		b.log.Info("an answer about a second factor could not be given", "pid", r.Peer.PID, "error", err)
	}
}

// login is somebody who logs in.
type login struct {
	engine *engine.Engine
	*factor.Factors
	factor.Subject
	module.Login
	origin shadowsync.Origin
}

// attempt is a try of this login with a code.
func (l login) attempt(code []byte) factor.Attempt {
	return factor.Attempt{Subject: l.Subject, Code: code, Source: l.Host, Origin: l.origin}
}

func (b *Broker) judgeLogin(ctx context.Context, peer socket.Peer, q module.Login, files []*os.File) module.Answer {
	if q.Op == module.FactorStranger { // it uses no state, and must not keep anybody from theirs
		return b.stranger(ctx, b.engine.Load(), q, files)
	}
	select {
	case b.codes.turns <- struct{}{}:
	case <-ctx.Done():
		return refusesLogin(cannotTell)
	}
	turn := sync.OnceFunc(func() { <-b.codes.turns })
	defer turn()
	e := b.engine.Load()
	subject, err := subjectOf(ctx, e, q)
	if err != nil {
		return b.untold(q, err)
	}
	l := login{engine: e, Factors: e.Factors(&b.codes.wrong), Subject: subject, Login: q, origin: loginOf(e, peer, q)}
	switch {
	case q.Op == module.FactorNeed:
		return b.need(ctx, l)
	case q.Op == module.FactorCheck && len(files) == 1:
		return b.hear(ctx, l, files[0], turn)
	}
	return refusesLogin("not permitted")
}

// subjectOf returns whose second factor it is. An account in shadow(5) is local, whatever a directory
// holds of the same name. An account that has none of its own shows that of another name of its uid: it
// may have been renamed.
func subjectOf(ctx context.Context, e *engine.Engine, q module.Login) (factor.Subject, error) {
	local, err := shadowfile.Holds(ctx, e.Root(), q.User)
	if err != nil {
		return factor.Subject{}, err
	}
	s := factor.Subject{Realm: factor.LDAP, Account: q.User}
	if local {
		s.Realm = factor.Local
	}
	uid, err := strconv.Atoi(q.UID)
	if err != nil {
		return s, nil //nolint:nilerr // it is not known
	}
	own, err := e.State.Factor(ctx, s)
	if err != nil || own.Asked() {
		return s, err
	}
	if other, err := e.FactorOfUID(ctx, uid); err != nil || other.Asked() {
		return other.Subject, err
	}
	return s, nil
}

// need says whether a login needs a code. The module asks only about accounts that are in its list, or
// if it cannot use that: so if the account needs none, the list is mended.
func (b *Broker) need(ctx context.Context, l login) module.Answer {
	r, err := l.Of(ctx, l.Subject)
	switch {
	case err != nil:
		return b.untold(l.Login, err)
	case r.State != factor.Enrolled && r.Ticket != nil && len(r.Ticket.Hash) == 0: // factor.Lost
		return refusesLogin("the second factor was lost with the state: an administrator resets it, with: shadowsync user reset 2fa " + string(l.Realm) + " " + l.Account)
	case r.State == factor.Enrolled:
		return l.asks(r, "")
	case r.Asked():
		return l.asks(r, guide.Reset)
	case l.Realm != factor.Local:
		return b.needOfAbsent(ctx, l)
	}
	duty, err := l.engine.Duty(ctx, l.Account, l.Now())
	if err != nil {
		return b.untold(l.Login, err)
	}
	answer := b.free(ctx, l)
	if answer.Kind == module.Free && duty.Enrol {
		return l.demands(duty)
	}
	return answer
}

// free lets an account pass that has no second factor, unless the state may have lost one: the list names it, or
// is damaged. Root passes a damaged list: somebody must mend it.
func (b *Broker) free(ctx context.Context, l login) module.Answer {
	err := l.engine.Recorded(ctx, l.Subject)
	b.listEnrolled(ctx)
	if err != nil && (l.UID != "0" || !errors.Is(err, factor.ErrList)) {
		return b.untold(l.Login, err)
	}
	return module.Answer{Kind: module.Free}
}

// errAbsent: pwunconv(8), or a hash in passwd(5), takes an account out of shadow(5), and its password
// still opens it. It does not lose its second factor by that.
var errAbsent = errors.New("the account has a second factor and is not in /etc/shadow any more")

// needOfAbsent decides about an account that is not in shadow(5) and has no factor in its directory.
func (b *Broker) needOfAbsent(ctx context.Context, l login) module.Answer {
	r, err := l.Of(ctx, factor.Subject{Realm: factor.Local, Account: l.Account})
	switch {
	case err != nil:
		return b.untold(l.Login, err)
	case r.Asked():
		return b.untold(l.Login, errAbsent)
	}
	return b.free(ctx, l)
}

// loginOf is who shows a code: the program that logs somebody in, and where that person comes from.
func loginOf(e *engine.Engine, peer socket.Peer, q module.Login) shadowsync.Origin {
	by := who(e, peer)
	by.Remote = q.Host
	return by
}

// untold refuses a login for a reason that is for root.
func (b *Broker) untold(q module.Login, err error) module.Answer {
	b.spoil(err)
	b.log.Error("a second factor could not be checked", "account", q.User, "service", q.Service, "host", q.Host, "error", err)
	return refusesLogin(cannotTell)
}

func refusesLogin(why string) module.Answer { return module.Answer{Kind: module.Refuses, Text: why} }
