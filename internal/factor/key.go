package factor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/seal"
)

// KeySize is the size of the key.
const KeySize = seal.KeySize

// Key is the key that seals secrets.
type Key interface {
	// Get returns the key, which the caller clears, or a *KeyError.
	Get() ([]byte, error)
	// Make makes the key if there is none. It never replaces one.
	Make() error
	// Path names the key for people.
	Path() string
}

// KeyError is the error for a key that is missing or not usable: no code from an authenticator can be
// checked. Recovery codes still can.
type KeyError struct {
	Path string
	Err  error
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("cannot use the key of the second factors, %s: %v", e.Path, e.Err)
}
func (e *KeyError) Unwrap() error { return e.Err }

// KeyFile is the key in a file that only root can read.
type KeyFile struct{ Root, Name string }

// Path is the file's name, as people see it.
func (k KeyFile) Path() string { return inroot.Shown(k.Root, k.Name) }

// Get reads the key.
func (k KeyFile) Get() ([]byte, error) {
	key, err := inroot.ReadFile(k.Root, k.Name)
	if err == nil && len(key) != KeySize {
		clear(key)
		err = fmt.Errorf("it has %d bytes, not %d", len(key), KeySize)
	}
	if err != nil {
		return nil, &KeyError{k.Path(), err}
	}
	return key, nil
}

// Make makes the key, durably, if there is no such file.
func (k KeyFile) Make() error {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	defer clear(key)
	return k.Put(key)
}

// Put writes a key, durably, if there is no such file.
func (k KeyFile) Put(key []byte) error {
	if err := inroot.Create(k.Root, k.Name, key, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make the key of the second factors: %w", err)
	}
	return nil
}

// Replace writes a key, durably, in place of one that cannot be used.
func (k KeyFile) Replace(key []byte) error {
	if err := inroot.Replace(k.Root, k.Name, key, 0o600); err != nil {
		return fmt.Errorf("cannot replace the key of the second factors: %w", err)
	}
	return nil
}

// provideKey makes a missing key if nothing was ever sealed with it. A lost key is not made anew: then
// nothing would tell that the factors that it sealed are lost.
func (f *Factors) provideKey(ctx context.Context) error {
	key, err := f.Key.Get()
	clear(key)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all, listed := f.Store.Factors(ctx)
	if listed != nil {
		return listed
	}
	for _, r := range all {
		if len(r.Secret) > 0 {
			return err
		}
	}
	return f.Key.Make()
}
