// Package store knows the drivers of credential stores. A new driver is a package that exports a
// driver.Driver, and one line in the table here.
package store

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/jsonfile"
	"github.com/shadowsync/shadowsync/internal/store/passwdfile"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
	"github.com/shadowsync/shadowsync/internal/store/sqlrole"
	"github.com/shadowsync/shadowsync/internal/store/sqltable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var drivers = map[string]driver.Driver{
	"json":          jsonfile.Driver,
	"passwdfile":    passwdfile.Driver,
	"sql":           sqltable.Driver,
	"postgres-role": sqlrole.PostgreSQL,
	"mysql-user":    sqlrole.MySQL,
	"sqlite":        sqlite.Driver,
}

// Options are the options with which a store is opened.
type Options = driver.Options

// Names lists the drivers.
func Names() []string { return slices.Sorted(maps.Keys(drivers)) }

// Keys are the configuration keys that all stores have.
func Keys() []key.Key {
	all := slices.Clone(driver.Common)
	for i := range all {
		if all[i].Name == "driver" {
			all[i].OneOf = Names
		}
	}
	return all
}

// Find returns a driver by its name.
func Find(name string) (driver.Driver, error) {
	d, ok := drivers[name]
	if !ok {
		return driver.Driver{}, key.Bad("driver", "unknown store driver %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return d, nil
}

// Parse turns the table [application.store] of the configuration into options that the driver has
// validated. Errors name the key.
func Parse(table map[string]any) (Options, error) {
	o, err := driver.Parse(table)
	if err != nil {
		return Options{}, err
	}
	d, err := Find(o.Driver)
	if err != nil {
		return Options{}, err
	}
	if err := foreign(o, d); err != nil {
		return o, err
	}
	if err := d.Validate(o); err != nil {
		return o, err
	}
	if o.As != "" && d.Image != nil {
		return o, key.Bad("as", "as is for stores of an application: a store of shadowsync's own has the names of the OS")
	}
	if d.File != nil {
		o.Path = d.File(o)
	}
	if len(d.Traits.Schemes) == 0 {
		_, err = o.Choose([]string{""})
	}
	return o, err
}

// foreign returns the fault of a key that only other drivers have: the most similar one of this driver, which
// Validate would suggest, is not what was meant.
func foreign(o Options, own driver.Driver) error {
	has := func(d driver.Driver, name string) bool {
		return slices.ContainsFunc(d.Keys, func(k key.Key) bool { return k.Name == name })
	}
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		theirs := slices.DeleteFunc(Names(), func(other string) bool { return !has(drivers[other], name) })
		if len(theirs) > 0 && !has(own, name) {
			return key.Bad(name, "%q is a key of the driver %s, not of %s", name, strings.Join(theirs, ", "), o.Driver)
		}
	}
	return nil
}

// Open opens a store in this process, whatever process its driver requires.
func Open(ctx context.Context, o Options) (shadowsync.CredentialStore, error) {
	d, err := Find(o.Driver)
	if err != nil {
		return nil, err
	}
	s, err := d.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return spell(s, o.As), nil
}
