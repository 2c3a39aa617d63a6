package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/config"
)

// RunDir holds the sockets and the list of managed accounts.
const RunDir = "/run/shadowsync"

// WriteManaged writes the list that tells the PAM module whose password changes
// concern us: a line "account TAB unit" each, readable by everybody. The names
// are no secret, and the module also runs in programs that are not root.
func WriteManaged(root string, c *config.Config) error {
	dir := filepath.Join(root, RunDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot list the managed accounts: %w", err)
	}
	var list bytes.Buffer
	for _, a := range c.Applications {
		for _, account := range a.Accounts {
			fmt.Fprintf(&list, "%s\t%s\n", account, a.Unit)
		}
	}
	path := filepath.Join(dir, "managed")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, list.Bytes()) {
		return nil
	}
	return replace(path, list.Bytes(), 0o644)
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
