package driver

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Options are the table [application.store] of the configuration. A worker gets them as JSON, so
// they must survive that.
type Options struct {
	Driver string
	Path   string // absolute and clean, as seen from Root; empty: the driver's default
	// Root is the folder that replaces "/" for work on a mounted system. It never comes from the
	// configuration.
	Root string
	// Formats are the names of the hash formats, as in crypt(5), that the
	// application can verify. None: all.
	Formats []string
	// Scheme is the name of the application's own hash scheme (package scheme); empty: the driver's
	// default. Cost is that of new values; 0: the scheme's default.
	Scheme string
	Cost   int
	// As is how the store spells an account's name: a text with shadowsync.AsName in it. Empty: as the OS does.
	As string
	// After is the unit that must be active before the store can be used; empty: none.
	After string
	// Addresses are where the store's server is, as whoever starts a worker has found out. They never
	// come from the configuration.
	Addresses []string
	// Secret is what the store asks for before it answers, and CA vouches for its server. They reach a worker in
	// descriptors.
	Secret []byte `json:"-"`
	CA     []byte `json:"-"`
	// ReloadUnit is the unit that is reloaded after a write; empty: none.
	ReloadUnit string
	Keys       map[string]any // keys that only the driver knows
}

// Common are the keys that every store has.
var Common = []key.Key{
	{Name: "driver", Kind: key.Text, Default: "`sqlite`; `setup` insists on a name", Doc: "The kind of store: see [stores.md](stores.md)."},
	{Name: "store_name", Kind: key.Text, Default: "none; required of each store after the first", Doc: "The name of the store among several of one application, each in a table `[[application.store]]`. In messages, `status` and the audit the first store goes by the name of the application, and the others by `APPLICATION.STORE_NAME`."},
	{Name: "shares", Kind: key.Text, Default: "values of its own", Doc: "The `store_name` of a store before it: this store gets the same values, byte for byte. For servers that compare theirs, such as a role of PostgreSQL and pgbouncer's `userlist.txt`: see [One value in several places](stores.md#one-value-in-several-places)."},
	{Name: "formats", Kind: key.Texts, OneOf: knownFormats, Default: "all", Doc: "The formats of crypt(5) that the application can verify. `bcrypt` is `$2a$`, `$2b$` and `$2y$`."},
	{Name: "scheme", Kind: key.Text, OneOf: scheme.Names, Default: "the driver's; without one, hashes of crypt(5)", Doc: "The application's own hash scheme: see [stores.md](stores.md). A hash of such a scheme is made from a clear text, at a login or a password change."},
	{Name: "cost", Kind: key.Number, Min: 1, Max: maxCost, Default: "as in the account's present hash, else the scheme's own", Doc: "The cost of new hashes, in the unit of `scheme`: iterations, or the logarithm of them."},
	{Name: "as", Kind: key.Text, Form: key.Form{Says: `a text with {name} in it, such as "{name}@example.org"`, Is: isSpelling}, Default: "`{name}`", Doc: "How the store spells the name of an account, where `{name}` is its name in the OS."},
	{Name: "after", Kind: key.Text, Form: afterForm, Default: "none", Doc: "The unit of the store's server, such as `postgresql.service`, if that may start later than the application. While it is not active, the application's start neither waits for this store nor is refused because of it; the daemon looks at the store once it is active. It must be a unit that stays active."},
	{Name: "reload_unit", Kind: key.Text, Form: reloadForm, Default: "none", Doc: "The unit of the server that reads the store only when it starts or is reloaded, such as `mosquitto.service`. After each write it is reloaded, by its `ExecReload=`. See [stores.md](stores.md#servers-that-must-be-reloaded)."},
}

// maxCost is a bound for typing errors; each scheme has its own.
const maxCost = 100_000_000

func isSpelling(text string) bool {
	return strings.Count(text, shadowsync.AsName) == 1 && len(text) <= 200 && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

var afterForm = key.Form{Says: `the name of a unit, such as "postgresql.service"`, Is: isUnit}

func isUnit(name string) bool {
	base, kind := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	return base != "" && len(name) <= 255 && strings.Trim(base, unitLetters) == "" &&
		slices.Contains([]string{".service", ".socket", ".mount", ".automount", ".target", ".device"}, kind)
}

// unitLetters are the characters of a unit's name (systemd.unit(5)).
const unitLetters = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\@`

var reloadForm = key.Form{Says: "the name of a service, which ends in .service", Is: func(unit string) bool { return shadowsync.CheckUnit(unit) == nil }}

// Path is the key of the store's own file, which a driver may require.
var Path = key.Key{Name: "path", Kind: key.Text, Form: key.Form{Says: "absolute and plain, such as \"/var/lib/example/file\"", Is: plainPath}}

func plainPath(path string) bool { return filepath.IsAbs(path) && filepath.Clean(path) == path }

// Parse reads the table. Keys that are not common to all drivers are left to the driver's Validate.
func Parse(table map[string]any) (Options, error) {
	o := Options{Keys: maps.Clone(table)}
	if o.Keys == nil {
		o.Keys = map[string]any{}
	}
	if _, there := table["driver"]; !there {
		return Options{}, key.Missing("driver")
	}
	for _, k := range append(slices.Clone(Common), Path) {
		value, there := o.Keys[k.Name]
		if !there {
			continue
		}
		if err := k.Check(value); err != nil {
			return Options{}, err
		}
		delete(o.Keys, k.Name)
		switch k.Name {
		case "driver":
			o.Driver, _ = value.(string)
		case "path":
			o.Path, _ = value.(string)
		case "formats":
			o.Formats = texts(value)
		case "scheme":
			o.Scheme, _ = value.(string)
		case "cost":
			o.Cost = int(reflect.ValueOf(value).Int()) // an int64 of the decoder, or an int of a test
		case "as":
			o.As, _ = value.(string)
		case "after":
			o.After, _ = value.(string)
		case "reload_unit":
			o.ReloadUnit, _ = value.(string)
		}
	}
	return o, nil
}

// Choose returns the scheme of the store's values: the configured one, or else the first of those that
// the driver takes, where "" is crypt(3).
func (o Options) Choose(taken []string) (string, error) {
	name := o.Scheme
	switch {
	case name == "":
		name = taken[0]
	case !slices.Contains(taken, name):
		known := slices.DeleteFunc(slices.Clone(taken), func(s string) bool { return s == "" })
		if len(known) == 0 {
			return "", key.Bad("scheme", "scheme = %q: these stores take hashes of crypt(5) alone", name)
		}
		return "", key.Bad("scheme", "scheme = %q: must be %s", name, strings.Join(known, ", "))
	}
	switch {
	case name == "" && o.Cost != 0:
		return "", key.Bad("cost", "cost is that of a scheme, and the store has none")
	case name == "":
		return "", nil
	case len(o.Formats) > 0:
		return "", key.Bad("formats", "formats are those of crypt(5), and the store's scheme is %s", name)
	}
	s, err := scheme.Find(name)
	if err == nil {
		err = s.CheckCost(o.Cost)
	}
	if err != nil {
		return "", key.Bad("cost", "cost = %d: %v", o.Cost, err)
	}
	return name, nil
}

// texts returns the strings of a list that has passed its key's Check.
func texts(list any) (texts []string) {
	if strings, ok := list.([]string); ok {
		return strings
	}
	elements, _ := list.([]any)
	for _, element := range elements {
		text, _ := element.(string)
		texts = append(texts, text)
	}
	return texts
}

// Check returns what is wrong with the driver's own keys: unknown keys, missing required keys and
// invalid values. Every driver's Validate begins with it.
func (o Options) Check(keys []key.Key) error {
	known := map[string]key.Key{}
	for _, k := range keys {
		known[k.Name] = k
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.Keys)) {
		if _, ok := known[name]; !ok {
			errs = append(errs, key.Unknown(name, slices.Concat(commonNames(), slices.Sorted(maps.Keys(known)))))
		}
	}
	if len(errs) > 0 { // a missing key is most often a misspelt one of these
		return errors.Join(errs...)
	}
	for _, k := range keys {
		value, there := o.Keys[k.Name]
		if k.Name == Path.Name {
			value, there = o.Path, o.Path != ""
		}
		switch {
		case there:
			errs = append(errs, k.Check(value))
		case k.Required:
			errs = append(errs, key.Missing(k.Name))
		}
	}
	return errors.Join(errs...)
}

// Text returns the checked value of one of the driver's keys; empty: the key is not set.
func (o Options) Text(name string) string {
	text, _ := o.Keys[name].(string)
	return text
}

func commonNames() (names []string) {
	for _, k := range Common {
		names = append(names, k.Name)
	}
	return names
}

// knownFormats returns the names of the formats that have prefixes.
func knownFormats() (names []string) {
	for _, f := range format.Formats() {
		if len(f.Prefixes()) > 0 {
			names = append(names, f.String())
		}
	}
	return names
}

// Accepted returns the formats as prefixes, by which the domain compares them. An application that
// verifies a format does so under all its prefixes: $2a$ and $2y$ only say which software made a
// bcrypt hash.
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
