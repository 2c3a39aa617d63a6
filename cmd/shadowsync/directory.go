package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// lookUp returns an account that is not in /etc/shadow, from the directory of the running system.
func (a *app) lookUp(ctx context.Context, name string) (directory.Person, error) {
	if a.mounted() || name == "" {
		return directory.Person{}, noAccount(name)
	}
	return directory.Child(ctx, directory.Query{Name: name})
}

// directoryUser is an account of a directory as `user show --json` prints it.
type directoryUser struct {
	Name       string               `json:"name"`
	Realm      factor.Realm         `json:"realm"`
	Directory  string               `json:"directory"` // the service of nsswitch.conf(5)
	UID        int                  `json:"uid"`
	Protected  string               `json:"protected,omitempty"`
	Factor     factor.State         `json:"second_factor"`
	Recovery   int                  `json:"recovery_codes_left"`
	FactorUsed *time.Time           `json:"second_factor_used"` // null: never
	Mail       string               `json:"mail,omitempty"`
	Sessions   []shadowsync.Session `json:"sessions"` // null: unknown
}

// showDirectoryUser shows an account of a directory, if the configuration lets those in.
func (a *app) showDirectoryUser(ctx context.Context, e *engine.Engine, name string) error {
	if err := a.ownedByDirectory(e)(ctx, name); !errors.As(err, new(*directory.OwnedError)) {
		return cmp.Or(err, unmanaged([]string{name}))
	}
	person, err := a.lookUp(ctx, name)
	if err != nil {
		return err
	}
	r, err := e.State.Factor(ctx, factor.Subject{Realm: factor.LDAP, Account: name})
	if err != nil {
		return err
	}
	u := directoryUser{
		Name: name, Realm: factor.LDAP, Directory: person.Service, UID: person.UID,
		Protected: e.Protect.OfStranger(ctx, shadowfile.Login{Name: name, UID: uint32(person.UID), GID: uint32(person.GID)}, person.GIDs).Why,
		Factor:    cmp.Or(r.State, factor.None), Recovery: r.RecoveryLeft(), FactorUsed: stamp(r.UsedAt), Mail: r.Mail,
	}
	if list, err := (sessions.Sessions{}).List(ctx, person.Account()); err != nil {
		a.warn("%v", err)
	} else {
		u.Sessions = append([]shadowsync.Session{}, list...)
	}
	if a.json {
		return a.printJSON(u)
	}
	return a.table("", []table.Column{{}, {Wrap: true}}, u.rows(r))
}

func (u directoryUser) rows(r factor.Record) [][]string {
	rows := [][]string{{"Account", u.Name}, {"Realm", string(u.Realm) + ": the directory (" + u.Directory + ") has its password"}, {"UID", strconv.Itoa(u.UID)}}
	if u.Protected != "" {
		rows = append(rows, []string{"Protected", u.Protected})
	}
	if r.Asked() || u.Factor == factor.Pending {
		rows = append(rows, []string{"Second factor", factorText(r)})
	}
	if u.Mail != "" {
		rows = append(rows, []string{"Mail", u.Mail})
	}
	for _, s := range u.Sessions {
		rows = append(rows, []string{"Session", sessionText(s)})
	}
	return rows
}

// ownedByDirectory returns what refuses an account whose password a directory has, by its name; nil: it
// refuses none, as without second_factor.ldap.
func (a *app) ownedByDirectory(e *engine.Engine) func(context.Context, string) error {
	return func(ctx context.Context, name string) error {
		if !e.Config.SecondFactor.LDAP {
			return nil
		}
		if local, err := shadowfile.Holds(ctx, a.root, name); err != nil || local {
			return err
		}
		person, err := a.lookUp(ctx, name)
		switch {
		case errors.Is(err, shadowsync.ErrNoAccount):
			return nil
		case err != nil:
			return err
		}
		return &directory.OwnedError{Account: name, Service: person.Service}
	}
}
