package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/shadowsync/shadowsync/internal/config/key"
)

// unknownKeys returns an error about the unknown keys. It gives the line of each except the first,
// whose line is the fault's. It does not list the keys inside an unknown table.
func unknownKeys(data []byte, unknown []toml.Key) error {
	var faults []*key.Fault
	told := map[string]bool{}
	for _, one := range unknown {
		name := plain(one)
		if table := plain(one[:len(one)-1]); !told[name] && !told[table] {
			faults = append(faults, key.Unknown(name, names()))
		}
		told[name] = true
	}
	if len(faults) == 0 {
		return nil
	}
	text := faults[0].Text
	for _, fault := range faults[1:] {
		text += "; "
		if line := lineOf(data, anywhere, fault.Key, ""); line > 0 {
			text += fmt.Sprintf("line %d: ", line)
		}
		text += fault.Text
	}
	return &key.Fault{Key: faults[0].Key, Text: text}
}

// plain returns a key in the form that lineOf compares, without quotes.
func plain(name toml.Key) string { return strings.Join(name, ".") }

// misfit finds the value of a wrong type that made the decoder fail; cause is the decoder's error.
// With several applications the decoder reports only the line of the last one.
func misfit(data []byte, cause error) error {
	var tables map[string]any
	if _, err := toml.NewDecoder(bytes.NewReader(data)).Decode(&tables); err != nil {
		return err // a syntax error, with the line from the decoder
	}
	for _, k := range keys {
		if strings.HasPrefix(k.Name, inApplication) {
			continue
		}
		name, in, _ := strings.Cut(k.Name, ".")
		if err := fit(k, tables[name], name, in); err != nil {
			return err
		}
	}
	applications, isList := tables["application"].([]map[string]any)
	if _, there := tables["application"]; there && !isList {
		return &key.Fault{Key: "application", Text: "application must be a list of tables, each with the head [[application]]"}
	}
	for i, table := range applications {
		for _, k := range slices.Concat(keys, []key.Key{{Name: "application.store", Kind: key.Table}}) {
			in, isInside := strings.CutPrefix(k.Name, inApplication)
			if !isInside {
				continue
			}
			var wrong *key.Fault
			if err := fit(k, table, "application", in); errors.As(err, &wrong) {
				return &keyed{application: i, key: wrong.Key, value: wrong.Value, err: err}
			}
		}
	}
	return cause
}

// lacksTable reports whether an application lacks a table whose name is in the text: the decoder
// treats a value of another type in place of a map as absent.
func (c *Config) lacksTable(all []toml.Key) bool {
	stands := map[string]bool{}
	for _, one := range all {
		stands[plain(one)] = true
	}
	for _, a := range c.Applications {
		if a.Rules == nil && stands["application.rules"] {
			return true
		}
	}
	return false
}

// fit checks the kind of the value that a table has under the name in.
func fit(k key.Key, table any, name, in string) error {
	values, isTable := table.(map[string]any)
	if table != nil && !isTable {
		return &key.Fault{Key: name, Text: name + " must be a table, with the head [" + name + "]"}
	}
	value, there := values[in]
	if !there {
		return nil
	}
	return k.CheckKind(value)
}
