// Package passwdfile is the driver of credential stores that are a server's password file: a text of
// accounts with a hash each, in one of several formats.
//
// It promises that a write changes only the values of the wanted accounts, that every other byte of
// the file stays, and that the whole new file is one that its server accepts. What a server could
// read in another way than we do is refused: an account that is there twice, a byte order mark, a
// NUL.
//
//	driver.go   the configuration
//	formats.go  the formats, and which hashes their servers take
//	colon.go    NAME:VALUE lines: htpasswd, mosquitto, dovecot
//	quoted.go   "NAME" "VALUE": pgbouncer
//	radius.go   entries of attributes: FreeRADIUS
//	text.go     what they share
package passwdfile

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// keys are the driver's own keys.
var keys = []key.Key{
	{Name: "path", Kind: key.Text, Required: true, Form: driver.Path.Form, Doc: "The server's password file."},
	{Name: "format", Kind: key.Text, Required: true, OneOf: names, Doc: "The kind of file: see [stores.md](stores.md#passwdfile)."},
}

func names() []string { return slices.Sorted(maps.Keys(formats)) }

// fields are what a crypt(3) hash in such a file can hold: no server lets anybody in by a hash with "!" before it.
const fields = shadowsync.FieldHash | shadowsync.FieldLocked

// Driver is the driver "passwdfile".
var Driver = driver.Driver{
	Traits:      driver.Traits{Doc: "a password file of nginx, Apache, dovecot, FreeRADIUS, mosquitto or pgbouncer", Schemes: schemes()},
	Placement:   func(driver.Options) driver.Placement { return driver.FolderWorker },
	Fields:      fields,
	Keys:        keys,
	Validate:    func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:     driver.NothingToPrepare,
	ReloadPause: func(o driver.Options) time.Duration { return formats[o.Text("format")].pause },
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err != nil {
			return nil, err // a nil *textfile.Store would not be a nil interface
		}
		return s, nil
	},
}

// schemes are those of all formats.
func schemes() (all []string) {
	for _, name := range names() {
		for _, scheme := range formats[name].schemes {
			if scheme != "" && !slices.Contains(all, scheme) {
				all = append(all, scheme)
			}
		}
	}
	return all
}

// linger is how long mosquitto_passwd(1) takes between opening the file and writing to it, with the hash in
// between, on a busy machine.
const linger = 20 * time.Millisecond

func configure(o driver.Options) (*textfile.Store, error) {
	if err := o.Check(keys); err != nil {
		return nil, err
	}
	f := formats[o.Text("format")]
	accepted, err := o.Accepted()
	scheme, wrong := o.Choose(f.schemes)
	if err == nil {
		err = wrong
	}
	can := shadowsync.Capabilities{Fields: fields, Formats: accepted, Scheme: scheme}
	if can.Opaque() {
		can.Fields = shadowsync.FieldHash
	}
	return &textfile.Store{Place: safefile.Place{Root: o.Root, Path: o.Path, Linger: linger}, Format: f.text(can.Scheme), Can: can, Loose: true}, err
}
