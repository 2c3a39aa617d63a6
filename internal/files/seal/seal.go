// Package seal seals small secrets for a file or a database: AES-256-GCM under a key that only root can
// read. It promises that what was changed, or sealed under another key, does not open.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// Seal seals a text. It opens only with the same bound, which names the place where it belongs. The
// nonce is random and stands in front.
func Seal(key, text, bound []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	return aead.Seal(nil, nil, text, bound), nil
}

// Same is Seal, except that equal texts give equal results, so that these can be compared. The nonce
// is a digest of the text under the key: it does not repeat for another text.
func Same(key, text, bound []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(fmt.Appendf(nil, "nonce\x00%d\x00%s%s", len(bound), bound, text))
	nonce := mac.Sum(nil)[:aead.NonceSize()]
	return aead.Seal(nonce, nonce, text, bound), nil
}

// Open returns a sealed text. The caller clears it.
func Open(key, sealed, bound []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cannot open what is sealed: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cannot open what is sealed: %w", err)
	}
	return aead.Open(nil, nil, sealed, bound)
}
