// Package jsonfile is the driver of a credential store that is a JSON file of the
// application's: an appliance that keeps crypt(3) hashes among its other data.
//
// It promises that an edit changes only the password strings that it must change:
// every other byte of the file stays, down to the spelling of numbers and the order of
// members. A file that is not strict JSON (RFC 8259; NaN and Infinity are allowed), or not
// laid out as configured, is malformed and never written.
//
//	driver.go  the configuration
//	edit.go    spells a value
//	layout.go  finds the accounts in the text
//	scan.go, text.go  JSON
package jsonfile

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// keys are the driver's own keys, all required.
var keys = []key.Key{
	{Name: "path", Kind: key.Text, Required: true, Form: driver.Path.Form, Doc: "The application's JSON file."},
	{Name: "users", Kind: key.Text, Required: true, Form: key.Form{Says: `a JSON pointer, such as "/config/user"`, Is: isPointer}, Doc: "Where in the file the accounts are, as a JSON pointer (RFC 6901): a list of objects, or an object keyed by name."},
	{Name: "name", Kind: key.Text, Required: true, Doc: "The member that holds an account's name. Not used where `users` is an object."},
	{Name: "password", Kind: key.Text, Required: true, Doc: "The member that holds the password field of shadow(5): the hash, with `!` before it if locked. Not the same as `name`."},
}

func isPointer(text string) bool { _, ok := parsePointer(text); return ok }

// Driver is the driver "json".
var Driver = driver.Driver{
	Traits:    driver.Traits{Doc: "a JSON file of the application's"},
	Placement: func(driver.Options) driver.Placement { return driver.FolderWorker },
	Fields:    fields,
	Keys:      keys,
	Validate:  func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:   driver.NothingToPrepare,
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err != nil {
			return nil, err // a nil *textfile.Store would not be a nil interface
		}
		return s, nil
	},
}

func configure(o driver.Options) (*textfile.Store, error) {
	if err := o.Check(keys); err != nil {
		return nil, err
	}
	l := layout{name: o.Text("name"), password: o.Text("password")}
	if l.name == l.password {
		return nil, key.Bad("password", `"name" and "password" must be different members`)
	}
	l.users, _ = parsePointer(o.Text("users"))
	formats, err := o.Accepted()
	return &textfile.Store{
		Place: safefile.Place{Root: o.Root, Path: o.Path}, Format: l,
		Can: shadowsync.Capabilities{Fields: fields, Formats: formats},
	}, err
}
