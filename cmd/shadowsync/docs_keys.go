//go:build docs

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// The markers around the part of docs/configuration.md that `make docs` writes.
const (
	keysBegin = "<!-- keys: written by make docs from internal/config/keys.go and the store drivers -->\n"
	keysEnd   = "<!-- end of keys -->\n"
)

// writeKeys updates the description of the keys in a page.
func writeKeys(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot write the keys: %w", err)
	}
	above, rest, begins := strings.Cut(string(page), keysBegin)
	_, below, ends := strings.Cut(rest, keysEnd)
	if !begins || !ends {
		return fmt.Errorf("cannot write the keys: %s has no part for them", path)
	}
	var text bytes.Buffer
	text.WriteString(above + keysBegin)
	if err := describeKeys(&text); err != nil {
		return err
	}
	text.WriteString(keysEnd + below)
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// describeKeys writes one table for each table of the configuration.
func describeKeys(to *bytes.Buffer) error {
	last := ""
	for _, k := range config.Keys() {
		table, _, _ := strings.Cut(k.Name, ".")
		if table != last {
			heading := "[" + table + "]"
			if table == "application" {
				heading = "[[application]]"
			}
			describeTable(to, heading)
			last = table
		}
		describe(to, k)
	}
	describeTable(to, "[application.store]")
	for _, k := range store.Keys() {
		describeOfStore(to, k)
	}
	for _, name := range store.Names() {
		d, err := store.Find(name)
		if err != nil {
			return err
		}
		describeDriver(to, name, d)
		for _, k := range d.Keys {
			describeOfStore(to, k)
		}
	}
	to.WriteString("\n")
	return nil
}

func describeDriver(to *bytes.Buffer, name string, d driver.Driver) {
	fmt.Fprintf(to, "\n## `[application.store] with driver = %q`\n\nThe store is %s.\n\n%s", name, d.Traits.Doc, keyColumns)
}

const keyColumns = "| key | type | values | default | meaning |\n|---|---|---|---|---|\n"

func describeTable(to *bytes.Buffer, heading string) {
	fmt.Fprintf(to, "\n## `%s`\n\n%s", heading, keyColumns)
}

func describeOfStore(to *bytes.Buffer, k key.Key) {
	k.Name = "application.store." + k.Name
	describe(to, k)
}

func describe(to *bytes.Buffer, k key.Key) {
	none := "none"
	if k.Required {
		none = "required"
	}
	fmt.Fprintf(to, "| `%s` | %s | %s | %s | %s |\n", k.Name, k.Kind, k.Values(), cmp.Or(k.Default, none), strings.ReplaceAll(k.Doc, "|", `\|`))
}
