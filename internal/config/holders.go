package config

import (
	"errors"
	"maps"
	"reflect"
	"slices"
)

// An application may have several credential stores. Each pair of an application and a store is a
// holder: an entry of Config.Applications with its own name, and with the unit, the accounts and the
// rules of its application. The holders of an application stand together, the first one first: that
// one bears the application's name, and what must happen once per application happens with it.

// stores are the tables [application.store] of one application: a table, or a list of tables.
type stores []map[string]any

// UnmarshalTOML takes both forms.
func (s *stores) UnmarshalTOML(value any) error {
	switch value := value.(type) {
	case map[string]any:
		*s = stores{value}
	case []map[string]any:
		*s = value
	default:
		return errors.New("store must be a table")
	}
	return nil
}

// The keys of a store's table about the stores beside it.
const (
	keyStoreName = "store_name"
	keyShares    = "shares"
)

// spread makes the holders of each application.
func (c *Config) spread() {
	all := make([]Application, 0, len(c.Applications))
	for i := range c.Applications {
		a := &c.Applications[i]
		a.fill()
		a.of, a.table = a.Name, i
		for nth, table := range a.stores() {
			h := *a
			h.Stores, h.Store, h.nth = nil, table, nth
			h.StoreName, _ = table[keyStoreName].(string)
			h.shares, _ = table[keyShares].(string)
			if nth > 0 {
				h.Name = a.Name + "." + h.StoreName
			}
			if _, named := table["driver"]; !named {
				table["driver"], h.Unnamed = "sqlite", true
			}
			all = append(all, h)
		}
	}
	c.Applications = all
}

// stores returns the tables of the application's stores; without any, that of the embedded one.
func (a *Application) stores() []map[string]any {
	if len(a.Stores) == 0 {
		return []map[string]any{{}}
	}
	return a.Stores
}

// First reports whether this is the first holder of its application.
func (a Application) First() bool { return a.nth == 0 }

// Application returns the name of the holder's application.
func (a Application) Application() string {
	if a.First() {
		return a.Name
	}
	return a.of
}

// Further returns the name of the holder's store, if that is not the first one.
func (a Application) Further() string {
	if a.First() {
		return ""
	}
	return a.StoreName
}

// Firsts returns the first holder of each application.
func (c *Config) Firsts() []Application {
	return slices.DeleteFunc(slices.Clone(c.Applications), func(a Application) bool { return !a.First() })
}

// Holders returns all holders of an application.
func (c *Config) Holders(of Application) (holders []Application) {
	for _, a := range c.Applications {
		if a.Unit == of.Unit {
			holders = append(holders, a)
		}
	}
	return holders
}

// ManagingAll returns the holders that manage an account; none: it is not managed.
func (c *Config) ManagingAll(account string) []Application {
	first, managed := c.Managing(account)
	if !managed {
		return nil
	}
	return c.Holders(first)
}

// Chosen finds the holder with that name, or all holders of the application with that unit.
func (c *Config) Chosen(name string) []Application {
	switch a, there := c.Named(name); {
	case !there:
		return nil
	case a.Name == name:
		return []Application{a}
	default:
		return c.Holders(a)
	}
}

// validateStores checks what concerns the stores of one application beside each other, for the
// holder with that index.
func (c *Config) validateStores(index int) error {
	a := &c.Applications[index]
	if value, given := a.Store[keyStoreName]; given && !PlainName(a.StoreName) {
		return a.fault("store."+keyStoreName, a.StoreName, "store.store_name = %#v: must be %s", value, nameForm.Says)
	}
	if !a.First() && a.StoreName == "" {
		return a.fault("store", "", "each store after the first needs a store_name")
	}
	for i := index - a.nth; i < index; i++ {
		before := &c.Applications[i]
		if before.StoreName == a.StoreName {
			return a.fault("store."+keyStoreName, a.StoreName, "two stores have the store_name %q", a.StoreName)
		}
		if reflect.DeepEqual(before.storeItself(), a.storeItself()) {
			return a.fault("store", "", "two of its stores are the same")
		}
	}
	return c.validateShares(index)
}

// Lender returns the holder whose store's values the holder's store has, too, byte for byte.
func (c *Config) Lender(of Application) (lender Application, lent bool) {
	if of.shares == "" {
		return Application{}, false
	}
	for _, a := range c.Holders(of) {
		if a.StoreName == of.shares {
			return a, true
		}
	}
	return Application{}, false
}

// validateShares checks the key shares of the holder with that index.
func (c *Config) validateShares(index int) error {
	a := &c.Applications[index]
	value, given := a.Store[keyShares]
	if !given {
		return nil
	}
	fault := func(format string, args ...any) error {
		return a.fault("store."+keyShares, a.shares, "store.shares = %#v: "+format, append([]any{value}, args...)...)
	}
	for i := index - a.nth; i < index; i++ {
		lender := &c.Applications[i]
		if a.shares == "" || lender.StoreName != a.shares {
			continue
		}
		for _, key := range []string{"scheme", "formats"} {
			if !reflect.DeepEqual(lender.Store[key], a.Store[key]) {
				return fault("that store has another value of %s", key)
			}
		}
		if lender.shares != "" {
			return fault("that store has the values of %q itself", lender.shares)
		}
		return nil
	}
	return fault("must be the store_name of a store before it")
}

// storeItself returns the table of the store without its name.
func (a *Application) storeItself() map[string]any {
	table := maps.Clone(a.Store)
	delete(table, keyStoreName)
	delete(table, keyShares)
	return table
}
