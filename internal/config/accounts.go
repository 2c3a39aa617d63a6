package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Accounts that operators create are not written into the configuration, which is a
// person's, but into a list beside it: accounts.d/APPLICATION.list, a name a line,
// "#" begins a comment. They are managed like those of the configuration.

func listPath(path, application string) string {
	return filepath.Join(filepath.Dir(path), "accounts.d", application+".list")
}

// readLists adds the listed accounts to their applications, and their content to sum.
func (c *Config) readLists(root, path string, sum func([]byte)) error {
	for i := range c.Applications {
		a := &c.Applications[i]
		list := listPath(path, a.Name)
		data, err := read(filepath.Join(root, list))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", list, err)
		}
		sum(data)
		a.Listed = namesOf(data)
		a.Accounts = slices.Concat(a.Accounts, a.Listed)
	}
	return nil
}

func namesOf(data []byte) []string {
	var names []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if name := strings.TrimSpace(line); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// AddAccount lists an account as managed by the application of that name.
func AddAccount(root, path, application, name string) error {
	return editList(root, path, application, func(names []string) []string {
		if slices.Contains(names, name) {
			return names
		}
		return append(names, name)
	})
}

// RemoveAccount takes an account off an application's list.
func RemoveAccount(root, path, application, name string) error {
	return editList(root, path, application, func(names []string) []string {
		return slices.DeleteFunc(names, func(other string) bool { return other == name })
	})
}

func editList(root, path, application string, edit func([]string) []string) error {
	list := filepath.Join(root, listPath(path, application))
	data, err := read(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %s: %w", list, err)
	}
	names := edit(namesOf(data))
	var text bytes.Buffer
	text.WriteString("# Accounts that operators created; written by shadowsync.\n")
	for _, name := range names {
		fmt.Fprintln(&text, name)
	}
	if err := replaceList(list, text.Bytes()); err != nil {
		return fmt.Errorf("cannot write %s: %w", list, err)
	}
	return nil
}

func replaceList(list string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(list), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(list), ".list-*")
	if err != nil {
		return err
	}
	_, werr := f.Write(text)
	err = errors.Join(werr, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), list)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
