package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Accounts that operators create are not written into the configuration, which people edit, but
// into a list beside it: accounts.d/APPLICATION.list, one name per line, "#" begins a comment. They
// are managed like those of the configuration.

func listFolder(path string) string { return filepath.Join(filepath.Dir(path), "accounts.d") }

// ListPath is the list of an application's accounts beside the configuration at path.
func ListPath(path, application string) string {
	return filepath.Join(listFolder(path), application+".list")
}

// Lists returns the lists beside the configuration at path, including those of applications that it
// no longer names.
func Lists(root, path string) ([]string, error) {
	folder := listFolder(path)
	entries, err := inroot.ReadDir(root, folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look for lists of accounts: %w", err)
	}
	var lists []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name, ".list") {
			lists = append(lists, filepath.Join(folder, entry.Name))
		}
	}
	return lists, nil
}

// RemoveLists deletes the lists, and their folder unless it has other files.
func RemoveLists(root, path string) error {
	lists, err := Lists(root, path)
	if err != nil || len(lists) == 0 {
		return err
	}
	for _, list := range lists {
		if err := inroot.Remove(root, list); err != nil {
			return fmt.Errorf("cannot remove a list of accounts: %w", err)
		}
	}
	err = inroot.Remove(root, listFolder(path))
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("cannot remove the folder of lists: %w", err)
	}
	return nil
}

// Relist returns the configuration with the present lists of accounts beside the file at path. It
// does not read the file itself again, because a person may be in the middle of editing it.
func (c *Config) Relist(root, path string) (*Config, error) {
	next := *c
	next.Applications = slices.Clone(c.Applications)
	for i := range next.Applications {
		a := &next.Applications[i]
		a.Accounts, a.Listed = slices.Clip(a.Accounts[:len(a.Accounts)-len(a.Listed)]), nil
	}
	return &next, next.takeLists(root, path)
}

// Keeping returns the configuration with more accounts of some applications, by their names. They stay managed
// until their open changes are settled.
func (c *Config) Keeping(accounts map[string][]string) *Config {
	next := *c
	next.Applications = slices.Clone(c.Applications)
	for i := range next.Applications {
		a := &next.Applications[i]
		a.Kept = accounts[a.Application()]
		own := a.Accounts[:len(a.Accounts)-len(a.Listed)]
		a.Accounts = slices.Concat(own, a.Kept, a.Listed)
	}
	return &next
}

// takeLists adds the lists to a configuration that was read from the file at path.
func (c *Config) takeLists(root, path string) error {
	lists, err := c.readLists(root, path)
	if err != nil {
		return err
	}
	return c.takeListed(lists)
}

// takeListed adds the listed accounts to their applications.
func (c *Config) takeListed(lists map[string][]byte) error {
	sum := sha256.Sum256(c.text)
	digest := sha256.New()
	digest.Write(sum[:])
	for i := range c.Applications {
		a := &c.Applications[i]
		data, ok := lists[a.Application()]
		if !ok {
			continue
		}
		if a.First() {
			digest.Write(data)
		}
		a.Listed = namesOf(data)
		back := func(name string) bool { return slices.Contains(a.Kept, name) && slices.Contains(a.Listed, name) }
		a.Accounts = slices.Concat(slices.DeleteFunc(slices.Clone(a.Accounts), back), a.Listed)
		a.Kept = slices.DeleteFunc(slices.Clone(a.Kept), back)
	}
	c.Revision, c.lists = hex.EncodeToString(digest.Sum(nil)), lists
	if err := c.validate(); err != nil {
		return c.fault(err)
	}
	return nil
}

// readLists reads the applications' lists of accounts.
func (c *Config) readLists(root, path string) (map[string][]byte, error) {
	lists := map[string][]byte{}
	for _, a := range c.Firsts() {
		list := ListPath(path, a.Name)
		data, err := read(root, list)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &Fault{File: list, Err: cause(err)}
		}
		lists[a.Name] = data
	}
	return lists, nil
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

// Follow returns the configuration with the lists of renamed applications: former maps each new
// name to the old one. It moves the lists to the new names, also on the disk if write is set.
// Accounts that the file itself now manages are left out of them.
func (c *Config) Follow(root string, former map[string]string, write bool) (*Config, error) {
	lists, err := c.formerLists(root, former)
	if err != nil || len(lists) == 0 {
		return c, err // also a configuration that was not read from a file
	}
	next := *c
	next.Applications, next.lists = slices.Clone(c.Applications), maps.Clone(c.lists)
	for i := range next.Applications {
		a := &next.Applications[i]
		a.Accounts, a.Listed = slices.Clip(a.Accounts[:len(a.Accounts)-len(a.Listed)]), nil
		if _, renamed := former[a.Name]; renamed {
			delete(next.lists, a.Name)
		}
	}
	maps.Copy(next.lists, lists)
	if err := next.takeListed(next.lists); err != nil {
		return nil, err
	}
	if !write {
		return &next, nil
	}
	return &next, next.writeLists(root, former)
}

// formerLists returns the lists of renamed applications, by their new names.
func (c *Config) formerLists(root string, former map[string]string) (map[string][]byte, error) {
	lists := map[string][]byte{}
	if c.path == "" || len(former) == 0 {
		return lists, nil
	}
	own := map[string]bool{}
	for _, a := range c.Applications {
		for _, name := range a.Accounts[:len(a.Accounts)-len(a.Listed)] {
			own[name] = true
		}
	}
	was := slices.Collect(maps.Values(former))
	for name, old := range former {
		data, err := read(root, ListPath(c.path, old))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &Fault{File: ListPath(c.path, old), Err: cause(err)}
		}
		names := slices.DeleteFunc(namesOf(data), func(name string) bool { return own[name] })
		if !slices.Contains(was, name) { // otherwise that list belongs to another renamed application
			names = append(names, namesOf(c.lists[name])...)
			slices.Sort(names)
			names = slices.Compact(names)
		}
		lists[name] = listText(names)
	}
	return lists, nil
}

// writeLists makes the lists on the disk match the configuration: first it writes each under its
// application's new name, then it removes the lists of old names that no application has any more.
func (c *Config) writeLists(root string, former map[string]string) error {
	for name := range former {
		if text, ok := c.lists[name]; ok {
			if err := replaceList(root, ListPath(c.path, name), text); err != nil {
				return fmt.Errorf("cannot write %s: %w", ListPath(c.path, name), err)
			}
		}
	}
	for _, old := range former {
		if _, still := c.lists[old]; still {
			continue
		}
		if err := inroot.Remove(root, ListPath(c.path, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %s: %w", ListPath(c.path, old), err)
		}
	}
	return nil
}

// AddAccount adds an account to the list of the accounts that this application manages.
func AddAccount(root, path, application, name string) error {
	return editList(root, path, application, func(names []string) []string {
		if slices.Contains(names, name) {
			return names
		}
		return append(names, name)
	})
}

// RemoveAccount removes an account from an application's list.
func RemoveAccount(root, path, application, name string) error {
	return editList(root, path, application, func(names []string) []string {
		return slices.DeleteFunc(names, func(other string) bool { return other == name })
	})
}

func editList(root, path, application string, edit func([]string) []string) error {
	list := ListPath(path, application)
	data, err := read(root, list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read %s: %w", list, err)
	}
	if err := replaceList(root, list, listText(edit(namesOf(data)))); err != nil {
		return fmt.Errorf("cannot write %s: %w", list, err)
	}
	return nil
}

func listText(names []string) []byte {
	var text bytes.Buffer
	text.WriteString("# Accounts that operators created; written by shadowsync.\n")
	for _, name := range names {
		fmt.Fprintln(&text, name)
	}
	return text.Bytes()
}

func replaceList(root, list string, text []byte) error {
	if err := inroot.MkdirAll(root, filepath.Dir(list), 0o755); err != nil {
		return err
	}
	return inroot.Replace(root, list, text, 0o600)
}

// UnmanagedError: no application manages the account.
type UnmanagedError struct{ Account string }

func (e *UnmanagedError) Error() string {
	return fmt.Sprintf("no application manages an account %q", e.Account)
}
func (e *UnmanagedError) Unwrap() error { return shadowsync.ErrNoAccount }
