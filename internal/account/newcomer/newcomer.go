// Package newcomer finds what a new account would get only because of its name or its uid, before
// the account is created and once more after.
//
// It promises to find two kinds of inheritance. First, names that the system gives a meaning:
// useradd(8) creates a private group of the account's name, and that group may own sockets, pass
// pam_wheel or satisfy polkit. Second, what an earlier account of that name or uid left behind: a
// home with keys in it, a crontab, a mail spool. What cannot be read is an error, never "nothing".
//
//	newcomer.go   Newcomer and its checks
//	reserved.go   names that the system gives a meaning
//	leftovers.go  what an earlier account left under a name or a uid
package newcomer

import (
	"errors"
	"io/fs"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Newcomer is an account to create.
type Newcomer struct {
	Name string `json:"name"`
	Home string `json:"home"` // absolute
}

// Before returns why the account must not be created; empty: it may be.
func (n Newcomer) Before(root string) (why string, err error) {
	return first(
		func() (string, error) { return reserved(root, n.Name) },
		func() (string, error) { return n.home(root) },
		func() (string, error) { return leftOf(root, n.Name) },
	)
}

// After returns why the account must not stay now that it was created: a package installed
// meanwhile may use its name.
func (n Newcomer) After(root string) (why string, err error) { return reserved(root, n.Name) }

// Inherits returns what the account gets from an earlier account with the same uid.
func (n Newcomer) Inherits(root string, uid int) (why string, err error) {
	return leftOfUID(root, uid, n.Home)
}

// first returns the first answer that is not empty.
func first(questions ...func() (string, error)) (string, error) {
	for _, ask := range questions {
		if why, err := ask(); why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// there reports whether a path exists: a file of any kind, even a dangling link.
func there(root, path string) (bool, error) {
	_, err := inroot.Lstat(root, path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// entries lists a folder; a missing folder has no entries.
func entries(root, path string) ([]inroot.Entry, error) {
	list, err := inroot.ReadDir(root, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}
