package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// RunDir holds the sockets and the list of managed accounts. In HeldDir the hooks keep their
// records while the state cannot be written, for the next hook.
const (
	RunDir  = "/run/shadowsync"
	HeldDir = RunDir + "/state"
)

// ManagedList is the list of managed accounts for the PAM module, one line "account TAB unit" for
// each. The line continues with TAB "judge" if new passwords are checked against rules, and with
// TAB "login" if the account awaits its next login.
func ManagedList(c *config.Config, awaiting map[string]bool) []byte {
	var list bytes.Buffer
	rules := c.Password.HasRules()
	size := 0 // of the lines without their ends, which few have
	for _, a := range c.Firsts() {
		size += len(a.Accounts) * (len(a.Unit) + len("\t\n"))
		for _, account := range a.Accounts {
			size += len(account)
		}
	}
	list.Grow(size)
	for _, a := range c.Firsts() {
		for _, account := range a.Accounts {
			list.WriteString(account)
			list.WriteByte('\t')
			list.WriteString(a.Unit)
			if rules {
				list.WriteString("\tjudge")
			}
			if awaiting[account] {
				list.WriteString("\tlogin")
			}
			list.WriteByte('\n')
		}
	}
	return list.Bytes()
}

// WriteManaged writes that list. Every user may read it: the names are no secret, and the module
// also runs in programs that are not root.
func WriteManaged(ctx context.Context, root string, c *config.Config, db *state.DB) error {
	awaiting, unknown := db.AwaitingLogin(ctx) // without it the list still suffices for passwd
	if err := inroot.MkdirAll(root, RunDir, 0o755); err != nil {
		return errors.Join(fmt.Errorf("cannot list the managed accounts: %w", err), unknown)
	}
	list, path := ManagedList(c, awaiting), RunDir+"/managed"
	if inroot.Holds(root, path, list) {
		return unknown
	}
	if err := inroot.Replace(root, path, list, 0o644); err != nil {
		return errors.Join(fmt.Errorf("cannot list the managed accounts: %w", err), unknown)
	}
	return unknown
}
