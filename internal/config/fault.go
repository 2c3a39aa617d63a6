package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
)

// Fault says what is wrong with a configuration, and where.
type Fault struct {
	File string
	Line int    // from 1; 0: not about a single line
	Key  string // with its tables, as in "application.unit"; empty: not about a single key
	Err  error
}

func (f *Fault) Error() string {
	if f.Line > 0 {
		return fmt.Sprintf("cannot read %s: line %d: %v", f.File, f.Line, f.Err)
	}
	return fmt.Sprintf("cannot read %s: %v", f.File, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// keyed is an error about one key. application is the index of its application, from 0; -1: none,
// or unknown. store is the index of the store's table within it.
type keyed struct {
	application int
	store       int
	key         string
	value       string // the faulty one of several values; empty: the whole key
	err         error
}

func (k *keyed) Error() string { return k.err.Error() }
func (k *keyed) Unwrap() error { return k.err }

// at returns an error about a key outside the applications.
func at(key, format string, args ...any) error {
	return &keyed{application: -1, key: key, err: fmt.Errorf(format, args...)}
}

// StoreFault returns a fault in the table [application.store] of the application with that index.
func (c *Config) StoreFault(application int, err error) *Fault {
	a := c.Applications[application]
	k := &keyed{application: a.table, store: a.nth, key: "application.store", err: fmt.Errorf("application %q: store: %w", a.Name, err)}
	var wrong *key.Fault
	if errors.As(err, &wrong) {
		if name := k.key + "." + wrong.Key; lineOf(c.text, k.place(), name, wrong.Value) > 0 {
			k.key, k.value = name, wrong.Value
		}
	}
	return c.fault(k)
}

// ValueFault returns a fault in a key of the application with that index; an empty value means the
// whole key.
func (c *Config) ValueFault(application int, key, value string, err error) *Fault {
	a := c.Applications[application]
	return c.fault(&keyed{application: a.table, store: a.nth, key: key, value: value, err: err})
}

// fault adds to an error the place in the file that the configuration was read from.
func (c *Config) fault(err error) *Fault { return faultIn(c.path, c.text, err) }

func faultIn(path string, text []byte, err error) *Fault {
	f := &Fault{File: path, Err: err}
	var k *keyed
	var wrong *key.Fault
	switch {
	case errors.As(err, &k):
		f.Key, f.Line = k.key, lineOf(text, k.place(), k.key, k.value)
	case errors.As(err, &wrong):
		f.Key, f.Line = wrong.Key, lineOf(text, anywhere, wrong.Key, wrong.Value)
	}
	return f
}

// place says in which [[application]] of a text a key is to be looked for, and in which store of that.
type place struct{ application, store int }

// anywhere is the place of a key that is not an application's.
var anywhere = place{application: -1}

func (k *keyed) place() place { return place{k.application, k.store} }

// lineOf finds the line of a key, or of a value after it; 0: it is not in the text. The decoder
// reports no places, so lineOf looks for them, but it knows only the TOML that people write in such
// a file.
func lineOf(text []byte, at place, key, value string) int {
	table, seen, stores, found, number := "", -1, -1, 0, 0
	for line := range bytes.Lines(text) {
		number++
		line := strings.TrimSpace(string(line))
		name := ""
		switch {
		case strings.HasPrefix(line, "["):
			header, _, _ := strings.Cut(strings.TrimLeft(line, "["), "]")
			table = plainKey(header)
			if table == "application" && strings.HasPrefix(line, "[[") {
				seen, stores = seen+1, -1
			}
			if table == "application.store" {
				stores++
			}
			name = table
		case !strings.HasPrefix(line, "#"):
			if before, _, ok := strings.Cut(line, "="); ok {
				name = strings.TrimPrefix(table+"."+plainKey(before), ".")
			}
		}
		if found > 0 && strings.Contains(line, value) {
			return number
		}
		here := at.application < 0 || seen == at.application || seen < 0
		here = here && (table != "application.store" || stores == at.store || at.application < 0)
		if found == 0 && here && name != "" && (name == key || strings.HasPrefix(key, name+".") && !strings.HasPrefix(line, "[")) {
			found = number
			if value == "" && name != key { // the key is in an inline table after the name
				value = key[strings.LastIndexByte(key, '.')+1:]
			}
			if value == "" || strings.Contains(line, value) {
				return number
			}
		}
	}
	return found
}

// plainKey returns a key or the name of a table without quotes and blanks.
func plainKey(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\"'", r) {
			return -1
		}
		return r
	}, name)
}
