// Package jsonfile is the driver of a credential store that is a JSON file of the
// application's: an appliance that keeps crypt(3) hashes among its other data.
//
// It promises that an edit changes the password strings it must change, and
// that every other byte of the file stays, down to the spelling of
// numbers and the order of members. A file that is not strict JSON (RFC 8259),
// or not laid out as configured, is malformed and never written.
//
//	driver.go  what the configuration says
//	store.go   reading, watching
//	edit.go    writing
//	layout.go  finding the accounts in the text
//	scan.go, text.go  JSON
package jsonfile

import (
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Driver is the driver "json". Its keys beside the common ones:
//
//	users     JSON pointer (RFC 6901) to the accounts: a list of objects, or an object keyed by name
//	name      the member that holds an account's name; not used where users is an object
//	password  the member that holds the password field of shadow(5): the hash, with "!" before it if locked
var Driver = driver.Driver{
	Placement: func(driver.Options) driver.Placement { return driver.OwnerWorker },
	Fields:    fields,
	Validate:  func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:   driver.NothingToPrepare,
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err != nil {
			return nil, err // a nil *Store would not be a nil interface
		}
		return s, nil
	},
}

func configure(o driver.Options) (*Store, error) {
	k := driver.NewKeys(o.Keys)
	for _, key := range []string{"users", "name", "password"} {
		if !k.Has(key) {
			return nil, fmt.Errorf("the key %q is missing", key)
		}
	}
	pointer := k.Text("users")
	l := layout{name: k.Text("name"), password: k.Text("password")}
	if err := k.Err(); err != nil {
		return nil, err
	}
	users, ok := parsePointer(pointer)
	switch {
	case !ok:
		return nil, fmt.Errorf(`"users" must be a JSON pointer, such as "/config/user": it is %q`, pointer)
	case l.name == l.password:
		return nil, errors.New(`"name" and "password" must be different members`)
	case o.Path == "":
		return nil, errors.New(`the key "path" is missing`)
	}
	l.users = users
	formats, err := o.Accepted()
	return &Store{place: safefile.Place{Root: o.Root, Path: o.Path}, layout: l, formats: formats}, err
}
