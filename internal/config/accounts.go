package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Accounts that operators create are not written into the configuration, which is a
// person's, but into a list beside it: accounts.d/APPLICATION.list, a name a line,
// "#" begins a comment. They are managed like those of the configuration.

func listFolder(path string) string { return filepath.Join(filepath.Dir(path), "accounts.d") }

func listPath(path, application string) string {
	return filepath.Join(listFolder(path), application+".list")
}

// Lists are the lists beside the configuration at path, also of applications that it no
// longer names.
func Lists(root, path string) ([]string, error) {
	folder := listFolder(path)
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look for lists of accounts: %w", err)
	}
	var lists []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".list") {
			lists = append(lists, filepath.Join(folder, entry.Name()))
		}
	}
	return lists, nil
}

// RemoveLists deletes them, with their folder unless somebody else uses it.
func RemoveLists(root, path string) error {
	lists, err := Lists(root, path)
	if err != nil || len(lists) == 0 {
		return err
	}
	for _, list := range lists {
		if err := os.Remove(filepath.Join(root, list)); err != nil {
			return fmt.Errorf("cannot remove a list of accounts: %w", err)
		}
	}
	err = os.Remove(filepath.Join(root, listFolder(path)))
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("cannot remove the folder of lists: %w", err)
	}
	return nil
}

// Relist returns the configuration with the lists of accounts beside the file at path as
// they are now. The file itself is not read again: it may be half-written by a person.
func (c *Config) Relist(root, path string) (*Config, error) {
	next := *c
	next.Applications = slices.Clone(c.Applications)
	for i := range next.Applications {
		a := &next.Applications[i]
		a.Accounts, a.Listed = slices.Clip(a.Accounts[:len(a.Accounts)-len(a.Listed)]), nil
	}
	return &next, next.takeLists(root, path)
}

// takeLists completes a configuration that was read from the file at path.
func (c *Config) takeLists(root, path string) error {
	digest := sha256.New()
	digest.Write(c.text)
	if err := c.readLists(root, path, func(list []byte) { digest.Write(list) }); err != nil {
		return err
	}
	c.Revision = hex.EncodeToString(digest.Sum(nil))
	if err := c.validate(); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
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
