package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
)

// RunDir holds the sockets and the list of managed accounts.
const RunDir = "/run/shadowsync"

// ManagedList is the list that tells the PAM module who concerns us: a line "account
// TAB unit" each. Behind it, each with a TAB before it, stand "judge" where new passwords are judged, and "login"
// where the account awaits its next login.
func ManagedList(c *config.Config, awaiting map[string]bool) []byte {
	var list bytes.Buffer
	for _, a := range c.Applications {
		for _, account := range a.Accounts {
			fmt.Fprintf(&list, "%s\t%s", account, a.Unit)
			if c.Password.HasRules() {
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

// WriteManaged writes that list, readable by everybody: the names are no secret, and
// the module also runs in programs that are not root.
func WriteManaged(ctx context.Context, root string, c *config.Config, db *state.DB) error {
	awaiting, unknown := db.AwaitingLogin(ctx) // without it the list is still what passwd needs
	dir := filepath.Join(root, RunDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.Join(fmt.Errorf("cannot list the managed accounts: %w", err), unknown)
	}
	list, path := ManagedList(c, awaiting), filepath.Join(dir, "managed")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, list) {
		return unknown
	}
	return errors.Join(replace(path, list, 0o644), unknown)
}

// replace writes a file under /run in one step; memory needs no fsync.
func replace(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".managed-*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	_, werr := f.Write(data)
	err = errors.Join(werr, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write %s: %w", path, err), os.Remove(f.Name()))
	}
	return nil
}
