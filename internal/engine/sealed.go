package engine

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/seal"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// storeKey, below the root directory, is the key that seals the values of stores that open an account
// like the password itself.
const storeKey = HomeDir + "/store.key"

// sealedMark begins a sealed value. No scheme's values begin so.
const sealedMark = "sealed:"

// sealed is the state of a store whose values open an account like the password itself: the NT hash.
// The state has them sealed, so that a copy of its file opens nothing, and their digests too: the scheme
// is so fast that a digest would let millions of passwords be tried in a second. Others who read the state
// see sealed values, and may pass them back.
//
// A value that the key does not open, in a state that came from another machine or after the key was
// lost, counts as not known: the account's pair is unproven then, or needs a login.
type sealed struct {
	shadowsync.State
	root     string
	volatile bool // the state is in memory, and there may be no place for a key
}

// stateOf returns the state as the reconciler of a store needs it.
func (e *Engine) stateOf(s shadowsync.CredentialStore) shadowsync.State {
	j := journalled{e.State, e.teller, e.news}
	if of, err := scheme.Find(s.Capabilities().Scheme); err != nil || !of.Sealed() {
		return j
	}
	return sealed{j, e.root, e.options.Volatile}
}

// Load implements shadowsync.State.
func (s sealed) Load(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	m, err := s.State.Load(ctx, application, names)
	return s.opened(m), err
}

// Survey implements shadowsync.State.
func (s sealed) Survey(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	m, err := s.State.Survey(ctx, application, names)
	return s.opened(m), err
}

// opened returns a memory with its values opened.
func (s sealed) opened(m shadowsync.Memory) shadowsync.Memory {
	key, _ := readStoreKey(s.root) // without it, nothing opens
	defer clear(key)
	for name, a := range m.Accounts {
		if b := a.Baseline; b != nil {
			hash, ok := openValue(key, b.Store.Hash)
			own := *b
			own.Store.Hash = hash
			if a.Baseline = &own; !ok {
				a.Baseline = nil
			}
		}
		if o := a.Open; o != nil {
			own := *o
			own.StoreHash, _ = openValue(key, o.StoreHash)
			a.Open = &own
		}
		a.Record = slices.Clone(a.Record)
		for i := range a.Record {
			a.Record[i].Store.Hash, _ = openValue(key, a.Record[i].Store.Hash)
		}
		a.Past = slices.Clone(a.Past)
		for i := range a.Past {
			a.Past[i], _ = openValue(key, a.Past[i])
		}
		m.Accounts[name] = a
	}
	m.Synced.Store, _ = openValue(key, m.Synced.Store)
	return m
}

// Mark implements shadowsync.State. A store without a revision has a digest of its values in the mark.
func (s sealed) Mark(ctx context.Context, application string, at shadowsync.Revisions) error {
	if err := s.seal(&at.Store); err != nil {
		return err
	}
	return s.State.Mark(ctx, application, at)
}

// Journal implements shadowsync.State.
func (s sealed) Journal(ctx context.Context, application string, changes []shadowsync.Change) error {
	own := slices.Clone(changes)
	values := make([]*string, len(own))
	for i := range own {
		values[i] = &own[i].StoreHash
	}
	if err := s.seal(values...); err != nil {
		return err
	}
	return s.State.Journal(ctx, application, own)
}

// Commit implements shadowsync.State.
func (s sealed) Commit(ctx context.Context, application string, transitions []shadowsync.Transition) error {
	own := slices.Clone(transitions)
	var values []*string
	for i := range own {
		t := &own[i]
		if t.Baseline != nil {
			b := *t.Baseline
			t.Baseline = &b
			values = append(values, &b.Store.Hash)
		}
		if t.Open != nil {
			c := *t.Open
			t.Open = &c
			values = append(values, &c.StoreHash)
		}
		if t.Returned != nil {
			e := *t.Returned
			t.Returned = &e
			values = append(values, &e.Store.Hash)
		}
		t.Past = slices.Clone(t.Past)
		for k := range t.Past {
			values = append(values, &t.Past[k])
		}
		t.Displaced = slices.Clone(t.Displaced)
		for k := range t.Displaced {
			values = append(values, &t.Displaced[k].Store.Hash)
		}
	}
	if err := s.seal(values...); err != nil {
		return err
	}
	return s.State.Commit(ctx, application, own)
}

// seal seals values in place.
func (s sealed) seal(values ...*string) error {
	values = slices.DeleteFunc(values, func(v *string) bool { return *v == "" || strings.HasPrefix(*v, sealedMark) })
	if len(values) == 0 {
		return nil
	}
	key, err := provideStoreKey(s.root)
	if err != nil && s.volatile {
		return nil
	}
	if err != nil {
		return err
	}
	defer clear(key)
	for _, v := range values {
		text, err := seal.Same(key, []byte(*v), nil) // no place: an account may be renamed
		if err != nil {
			return err
		}
		*v = sealedMark + base64.StdEncoding.EncodeToString(text)
	}
	return nil
}

// openValue returns a value as the store has it; false: it does not open.
func openValue(key []byte, value string) (string, bool) {
	text, isSealed := strings.CutPrefix(value, sealedMark)
	if !isSealed {
		return value, true
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		raw, err = seal.Open(key, raw, nil)
	}
	if err != nil {
		return "", false
	}
	return string(raw), true
}

func readStoreKey(root string) ([]byte, error) {
	key, err := inroot.ReadFile(root, storeKey)
	if err == nil && len(key) != seal.KeySize {
		err = fmt.Errorf("it has %d bytes, not %d", len(key), seal.KeySize)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the key of stores, %s: %w", inroot.Shown(root, storeKey), err)
	}
	return key, nil
}

// provideStoreKey returns the key, and makes it if there is none.
func provideStoreKey(root string) ([]byte, error) {
	key, err := readStoreKey(root)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = make([]byte, seal.KeySize)
	_, _ = rand.Read(key) // never fails
	if err := inroot.Create(root, storeKey, key, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the key of stores: %w", err)
	}
	return readStoreKey(root) // another process may have been faster
}
