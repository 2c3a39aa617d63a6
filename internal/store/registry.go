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
	"github.com/shadowsync/shadowsync/shadowsync"
)

var drivers = map[string]driver.Driver{
	"json":       jsonfile.Driver,
	"passwdfile": passwdfile.Driver,
	"sqlite":     sqlite.Driver,
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
	return o, d.Validate(o)
}

// Open opens a store in this process, whatever process its driver requires.
func Open(ctx context.Context, o Options) (shadowsync.CredentialStore, error) {
	d, err := Find(o.Driver)
	if err != nil {
		return nil, err
	}
	return d.Open(ctx, o)
}
