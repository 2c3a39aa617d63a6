package factor

import (
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/files/seal"
)

// additional binds a sealed secret to its record: moved to another account, realm or generation it
// does not open.
func (r Record) additional() []byte {
	return fmt.Appendf(nil, "shadowsync second factor\x00%s\x00%s\x00%d", r.Realm, r.Account, r.Generation)
}

// sealWith seals a secret for the record.
func (r Record) sealWith(key, secret []byte) ([]byte, error) {
	return seal.Seal(key, secret, r.additional())
}

// openWith returns the secret. The caller clears it.
func (r Record) openWith(key []byte) ([]byte, error) { return seal.Open(key, r.Secret, r.additional()) }

// ofMailed binds a mailed code, as additional does a secret.
func (r Record) ofMailed() []byte { return append(r.additional(), "\x00mailed"...) }

// sealMailed seals a mailed code for the record.
func (r Record) sealMailed(key, code []byte) ([]byte, error) {
	return seal.Seal(key, code, r.ofMailed())
}

// openMailed returns the mailed code. The caller clears it.
func (r Record) openMailed(key []byte) ([]byte, error) {
	return seal.Open(key, r.Mailed.Sealed, r.ofMailed())
}

var errOtherKey = errors.New("it does not open what was sealed")

// unseal returns the secret of a record. The caller clears it.
func (f *Factors) unseal(r Record) ([]byte, error) {
	key, err := f.Key.Get()
	if err != nil {
		return nil, err
	}
	defer clear(key)
	secret, err := r.openWith(key)
	if err != nil {
		return nil, &KeyError{f.Key.Path(), errOtherKey}
	}
	return secret, nil
}

// Unopened names the accounts whose secret the key does not open. With an error, there is no usable key
// at all.
func Unopened(k Key, all []Record) (names []string, err error) {
	key, err := k.Get()
	defer clear(key)
	for _, r := range all {
		if len(r.Secret) == 0 {
			continue
		}
		secret, openErr := r.openWith(key)
		clear(secret)
		if openErr != nil {
			names = append(names, r.Account)
		}
	}
	return names, err
}
