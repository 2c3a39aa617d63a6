package backup

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
)

// The names of the key of the second factors in the archive and in a folder, and of one that cannot be
// used in the folder with what was replaced.
const (
	keyName    = "factor.key"
	damagedKey = keyName + ".damaged"
)

// CollectKey copies the key of the second factors into a folder that only root can access, and returns
// its name there; empty: there is no key. It is called after Collect: then no secret in the copy of the
// state is sealed under a key that is made later. A *factor.KeyError says that the key cannot be used.
func (s System) CollectKey(folder string) (name string, err error) {
	key, err := s.Key.Get()
	defer clear(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	}
	return keyName, spool(bytes.NewReader(key), filepath.Join(folder, keyName))
}

// keepKey copies the present key beside the databases that are kept. One that cannot be used is kept as
// it is, under another name.
func (s System) keepKey(folder string) (name string, err error) {
	name, err = s.CollectKey(folder)
	if !errors.As(err, new(*factor.KeyError)) {
		return name, err
	}
	file, ok := s.Key.(factor.KeyFile)
	if !ok {
		return "", nil
	}
	f, err := inroot.OpenRegular(file.Root, file.Name, os.O_RDONLY)
	if err != nil {
		return "", nil // there is nothing to keep of what cannot be opened
	}
	defer f.Close()
	return "", spool(io.LimitReader(f, 1<<20), filepath.Join(folder, damagedKey))
}

// revertKey puts a damaged key back from the folder in which it was kept: a restore that fails must not
// take the only copy of what somebody may still mend.
func (s System) revertKey(folder string) error {
	key, err := os.ReadFile(filepath.Join(folder, damagedKey))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there was none: the backup's stays
	}
	if file, ok := s.Key.(factor.KeyFile); ok && err == nil {
		err = file.Replace(key)
	}
	return err
}

func readKey(folder string) ([]byte, error) {
	key, err := os.ReadFile(filepath.Join(folder, keyName))
	if err == nil && len(key) != factor.KeySize {
		clear(key)
		return nil, ErrNotBackup
	}
	return key, err
}

// union merges the second factors of the present state with the backup's. The present key stays if it
// can be used; otherwise the backup's takes its place. It does that before the state is committed, so
// that no secret is ever kept without its key. If the restore fails then, a key has come back that was
// missing: that harms nothing.
func (s System) union(c *Content, done *Swapped) state.MergeFactors {
	return func(live, backup []factor.Record) ([]factor.Merged, error) {
		keys, err := s.keys(c, done)
		defer clear(keys.Kept)
		if err == nil {
			done.Factors, err = keys.Merge(live, backup)
		}
		return done.Factors, err
	}
}

func (s System) keys(c *Content, done *Swapped) (factor.Keys, error) {
	present, err := s.Key.Get()
	if err == nil {
		return factor.Keys{Kept: present, Other: c.key}, nil
	}
	file, ok := s.Key.(factor.KeyFile)
	if c.key == nil || !ok {
		return factor.Keys{}, nil // as it was: what is sealed stays sealed
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = file.Put(c.key)
	} else {
		err = file.Replace(c.key)
	}
	if err != nil {
		return factor.Keys{}, err
	}
	done.Key = true
	present, err = s.Key.Get() // an enrolment may have made one at the same moment
	return factor.Keys{Kept: present, Other: c.key}, err
}
