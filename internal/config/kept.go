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

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// The last good configuration is kept in root's state folder, so that a typo in the file together
// with a restart of the broker loses no change: see engine.LoadConfig. The copy is the file's own
// text, and can be put in its place; the lists of accounts follow at its end as comments.

// keptMark begins a line with the accounts that operators created in one application.
const keptMark = "# kept list of "

// KeptPath returns where the last good content of the file at path is kept, in the state's folder.
func KeptPath(folder, path string) string {
	path = filepath.Join("/", path)
	if path == DefaultPath {
		return filepath.Join(folder, "configuration.toml")
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(folder, "configuration-"+hex.EncodeToString(sum[:4])+".toml")
}

// Keep durably keeps a configuration that the engine could be opened with. It writes nothing if it
// is already kept, or if it is the kept copy itself.
func (c *Config) Keep(root, folder string) error {
	fromFile := c.Instead == nil && c.path != ""
	if !fromFile || c.IsKept(root, folder) {
		return nil
	}
	if err := inroot.Replace(root, KeptPath(folder, c.path), c.keptText(), 0o600); err != nil {
		return fmt.Errorf("cannot keep a copy of %s: %w", c.path, err)
	}
	return nil
}

// IsOf reports whether c was read from the file, and that still had the same text when it was read
// for now.
func (c *Config) IsOf(now *Config) bool { return c.Instead == nil && bytes.Equal(c.text, now.text) }

// IsKept reports whether the present copy is up to date.
func (c *Config) IsKept(root, folder string) bool {
	old, err := read(root, KeptPath(folder, c.path))
	return err == nil && bytes.Equal(old, c.keptText())
}

// keptText leaves out the lists of an older copy that was put in the file's place: they could name
// accounts that are no longer in any list.
func (c *Config) keptText() []byte {
	text := new(bytes.Buffer)
	for line := range bytes.Lines(c.text) {
		if !bytes.HasPrefix(line, []byte(keptMark)) {
			text.Write(line)
		}
	}
	if !bytes.HasSuffix(text.Bytes(), []byte("\n")) {
		text.WriteByte('\n')
	}
	for _, application := range slices.Sorted(maps.Keys(c.lists)) {
		fmt.Fprintf(text, "%s%s: %s\n", keptMark, application, strings.Join(namesOf(c.lists[application]), " "))
	}
	return text.Bytes()
}

// Kept reads the last good configuration of the file at path beneath root. It uses the present
// lists of accounts beside that file, or the kept ones if those cannot be used.
func Kept(root, folder, path string) (*Config, error) {
	kept := KeptPath(folder, path)
	take := func(lists func(*Config) error) (*Config, error) {
		c, err := loadFile(root, kept)
		if err != nil {
			return nil, err
		}
		info, err := inroot.Stat(root, kept)
		if err != nil {
			return nil, err
		}
		c.KeptAt, c.path = info.ModTime(), path
		return c, lists(c)
	}
	c, err := take(func(c *Config) error { return c.takeLists(root, path) })
	if err == nil || errors.Is(err, ErrNotFound) {
		return c, err
	}
	return take(func(c *Config) error { return c.takeListed(c.keptLists()) })
}

func (c *Config) keptLists() map[string][]byte {
	lists := map[string][]byte{}
	for line := range strings.Lines(string(c.text)) {
		if rest, ok := strings.CutPrefix(line, keptMark); ok {
			application, names, _ := strings.Cut(rest, ": ")
			lists[application] = []byte(strings.Join(strings.Fields(names), "\n"))
		}
	}
	return lists
}

// Forget deletes the kept copy of the file at path.
func Forget(root, folder, path string) error {
	if err := inroot.Remove(root, KeptPath(folder, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot forget the last good configuration: %w", err)
	}
	return nil
}
