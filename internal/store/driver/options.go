package driver

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Options is the table [application.store] of the configuration. It survives a
// way through JSON, on which it reaches a worker.
type Options struct {
	Driver string
	Path   string // absolute and clean, as seen from Root; empty: the driver's default
	// Root is the folder that takes the place of "/", for work on a mounted
	// system. It never comes from the configuration.
	Root string
	// Formats are the names of the hash formats, as in crypt(5), that the
	// application can verify. None: all.
	Formats []string
	Keys    map[string]any // what only the driver knows
}

// Parse reads the table. Keys that are not common to all drivers are left to
// the driver's Validate.
func Parse(table map[string]any) (Options, error) {
	k := NewKeys(table)
	o := Options{Driver: k.Text("driver"), Path: k.Text("path"), Formats: k.Texts("formats"), Keys: k.rest}
	if err := errors.Join(k.errs...); err != nil {
		return Options{}, err
	}
	if o.Driver == "" {
		return Options{}, errors.New(`the key "driver" is missing`)
	}
	if o.Path != "" && (!filepath.IsAbs(o.Path) || filepath.Clean(o.Path) != o.Path) {
		return Options{}, fmt.Errorf(`"path" must be absolute and plain, such as %q`, filepath.Clean("/"+o.Path))
	}
	_, err := o.Accepted()
	return o, err
}

// Accepted returns the formats as the domain compares them: by prefix. An application
// that verifies a format does so under each of its prefixes: $2a$ and $2y$ tell who made
// a bcrypt hash, and change nothing about it.
func (o Options) Accepted() (shadowsync.Formats, error) {
	prefixes := make(map[string][]string)
	for _, f := range format.Formats() {
		if own := f.Prefixes(); len(own) > 0 {
			prefixes[f.String()] = own
		}
	}
	var accepted shadowsync.Formats
	for _, name := range o.Formats {
		own, ok := prefixes[name]
		if !ok {
			known := slices.Sorted(maps.Keys(prefixes))
			return nil, fmt.Errorf(`"formats" holds %q; known are %s`, name, strings.Join(known, ", "))
		}
		accepted = append(accepted, own...)
	}
	return accepted, nil
}

// Keys takes a table apart, key by key, and notices what nobody took.
type Keys struct {
	rest map[string]any
	errs []error
}

// NewKeys begins with a copy of the table.
func NewKeys(table map[string]any) *Keys {
	rest := maps.Clone(table)
	if rest == nil {
		rest = map[string]any{}
	}
	return &Keys{rest: rest}
}

// Has tells whether the key is there and not taken yet.
func (k *Keys) Has(key string) bool {
	_, ok := k.rest[key]
	return ok
}

// Text takes a string; a missing key gives an empty one.
func (k *Keys) Text(key string) string {
	value, ok := k.rest[key]
	delete(k.rest, key)
	text, isText := value.(string)
	if ok && !isText {
		k.errs = append(k.errs, fmt.Errorf("%q must be a string", key))
	}
	return text
}

// Texts takes a list of strings; a missing key gives none.
func (k *Keys) Texts(key string) []string {
	value, ok := k.rest[key]
	delete(k.rest, key)
	if texts, isTexts := value.([]string); isTexts {
		return texts
	}
	list, isList := value.([]any)
	if ok && !isList {
		k.errs = append(k.errs, fmt.Errorf("%q must be a list of strings", key))
	}
	var texts []string
	for _, element := range list {
		text, isText := element.(string)
		if !isText {
			k.errs = append(k.errs, fmt.Errorf("%q must be a list of strings", key))
			break
		}
		texts = append(texts, text)
	}
	return texts
}

// Err returns what was wrong, and names every key that nobody took.
func (k *Keys) Err() error {
	for _, key := range slices.Sorted(maps.Keys(k.rest)) {
		k.errs = append(k.errs, fmt.Errorf("unknown key %q", key))
	}
	return errors.Join(k.errs...)
}
