package operators

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const (
	// foundFor and missedFor are how long an answer of a directory counts: each request of an operator
	// needs one, even each key press of completion.
	foundFor  = time.Minute
	missedFor = 10 * time.Second
	// Each look-up starts a unit. A user with subordinate uids (subuid(5)) can ask with many thousands of
	// uids that nobody has.
	lookUpsAtOnce = 20
	lookUpEvery   = time.Second
	mostLookedUp  = 1024
)

var errNoDirectory = operator.Errorf(operator.Unavailable, "the directory does not answer; try again in a moment")

// lookedUp remembers what a directory said about uids that passwd(5) does not have.
type lookedUp struct {
	mu    sync.Mutex
	known map[int]lookUp
	spent limit.Budget
}

type lookUp struct {
	person directory.Person
	err    error // shadowsync.ErrNoAccount, or nil
	until  time.Time
}

func newLookedUp() *lookedUp {
	return &lookedUp{known: map[int]lookUp{}, spent: limit.Budget{Most: lookUpsAtOnce, Every: lookUpEvery}}
}

// of returns what counts about a uid, and whether it was an account's before.
func (l *lookedUp) of(uid int, now time.Time) (one lookUp, counts, before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, known := l.known[uid]
	return one, known && now.Before(one.until), known && one.err == nil
}

func (l *lookedUp) keep(uid int, one lookUp, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= mostLookedUp {
		maps.DeleteFunc(l.known, func(_ int, other lookUp) bool { return !now.Before(other.until) })
	}
	if len(l.known) < mostLookedUp {
		l.known[uid] = one
	}
}

// has reports whether a uid was an account's of a directory at the last look.
func (l *lookedUp) has(uid int) bool {
	_, _, is := l.of(uid, time.Time{})
	return is
}

// personOf returns the account of a directory that has a uid. Uids of nobody share one budget.
func (o *Server) personOf(ctx context.Context, uid int) (directory.Person, error) {
	now := time.Now()
	one, counts, before := o.lookedUp.of(uid, now)
	switch {
	case counts:
		return one.person, one.err
	case !before && o.lookedUp.spent.Spend("", now) > 0:
		return directory.Person{}, errNoDirectory
	}
	person, err := o.Directory(ctx, directory.Query{UID: uid})
	switch {
	case err == nil:
		o.lookedUp.keep(uid, lookUp{person, nil, now.Add(foundFor)}, now)
	case errors.Is(err, shadowsync.ErrNoAccount):
		o.lookedUp.keep(uid, lookUp{err: err, until: now.Add(missedFor)}, now)
	case ctx.Err() == nil:
		o.Log.Warn("an account of the directory cannot be looked up", "uid", uid, "error", err)
		err = errNoDirectory
	}
	return person, err
}

// identifyInDirectory looks for the caller in a directory, if the configuration lets its accounts in and
// passwd(5) has none of this uid. A name of passwd(5) or shadow(5) is local, always.
func (o *Server) identifyInDirectory(ctx context.Context, c *call) error {
	if !o.engine.Config.SecondFactor.LDAP || c.root() || len(c.namesOf(c.uid)) > 0 {
		return nil
	}
	person, err := o.personOf(ctx, c.uid)
	switch {
	case errors.Is(err, shadowsync.ErrNoAccount):
		return nil
	case err != nil:
		return err
	}
	if _, local := c.people[person.Name]; local {
		return nil
	}
	shadowed, err := shadowfile.Holds(ctx, o.engine.Root(), person.Name)
	if err != nil || shadowed {
		return err
	}
	c.people = maps.Clone(c.people)
	c.people[person.Name] = person.Person
	c.name, c.realm, c.person = person.Name, factor.LDAP, person
	return nil
}

// account is the caller as an account whose credential is not here.
func (c *call) account() shadowsync.Account {
	return shadowsync.Account{Name: c.name, UID: c.uid, Credential: shadowsync.NoAgeing()}
}

// subject is whose second factor the caller's is.
func (a asker) subject() factor.Subject { return factor.Subject{Realm: a.realm, Account: a.name} }

// seen reads accounts for a caller, who sees their own even if a directory has it.
func (o *Server) seen(ctx context.Context, c *call, names []string) (shadowsync.OSSnapshot, error) {
	snapshot, err := o.engine.Accounts.Read(ctx, names)
	if err == nil && c.realm == factor.LDAP && slices.Contains(names, c.name) {
		snapshot.Accounts[c.name] = c.account()
	}
	return snapshot, err
}

// standing returns whether an account of a directory is protected.
func (o *Server) standing(ctx context.Context, p directory.Person) protect.Standing {
	return o.engine.Protect.OfStranger(ctx, shadowfile.Login{Name: p.Name, UID: uint32(p.UID), GID: uint32(p.GID)}, p.GIDs)
}

// administersAll reports whether the caller administers every application.
func (o *Server) administersAll(c *call) bool {
	var all []string
	for _, a := range o.engine.Config.Firsts() {
		all = append(all, a.Name)
	}
	return c.within(all)
}

// changeableInDirectory returns the account of a directory that a request may change. It belongs to no
// application, so only who administers all of them may, and nobody but root if it is protected.
func (o *Server) changeableInDirectory(ctx context.Context, c *call) (directory.Person, error) {
	refuse := func(why string) (directory.Person, error) {
		o.auditRefusal(ctx, c, why)
		return directory.Person{}, operator.Errorf(operator.NotPermitted, "not permitted: %s", why)
	}
	name := printable.Clip(c.request.User, 64)
	_, local := c.people[c.request.User]
	switch {
	case !o.administersAll(c):
		return refuse("accounts of a directory belong to no application")
	case local && c.request.User != c.person.Name, c.request.User == "":
		return directory.Person{}, operator.Errorf(operator.NoAccount, "no such account of a directory: %s", name)
	}
	person, err := o.Directory(ctx, directory.Query{Name: c.request.User})
	switch {
	case errors.Is(err, shadowsync.ErrNoAccount):
		o.auditRefusal(ctx, c, "no such account")
		return person, operator.Errorf(operator.NoAccount, "no such account of a directory: %s", name)
	case err != nil:
		o.Log.Warn("an account of the directory cannot be looked up", "account", name, "error", err)
		return person, errNoDirectory
	case c.root():
		return person, nil
	}
	if why := o.standing(ctx, person).Why; why != "" {
		return refuse(name + " is protected (" + why + ")")
	}
	return person, nil
}
