package seal

import (
	"bytes"
	"crypto/rand"
	"testing"
)

func TestSeal(t *testing.T) {
	key, other := make([]byte, KeySize), make([]byte, KeySize)
	_, _ = rand.Read(key)
	_, _ = rand.Read(other)
	text, bound := []byte("a secret"), []byte("its place")
	for name, seal := range map[string]func(key, text, bound []byte) ([]byte, error){"Seal": Seal, "Same": Same} {
		t.Run(name, func(t *testing.T) {
			sealed, err := seal(key, text, bound)
			if err != nil || bytes.Contains(sealed, text) {
				t.Fatalf("sealed %q, %v", sealed, err)
			}
			if got, err := Open(key, sealed, bound); err != nil || !bytes.Equal(got, text) {
				t.Errorf("opened %q, %v", got, err)
			}
			for i := range sealed {
				changed := bytes.Clone(sealed)
				changed[i] ^= 1
				if _, err := Open(key, changed, bound); err == nil {
					t.Errorf("it opens with byte %d changed", i)
				}
			}
			if _, err := Open(other, sealed, bound); err == nil {
				t.Error("another key opens it")
			}
			if _, err := Open(key, sealed, []byte("elsewhere")); err == nil {
				t.Error("it opens elsewhere")
			}
			again, err := seal(key, text, bound)
			if same := bytes.Equal(sealed, again); err != nil || same != (name == "Same") {
				t.Errorf("sealed again it is the same: %v, %v", same, err)
			}
			if _, err := seal(key[1:], text, bound); err == nil {
				t.Error("a short key seals")
			}
		})
	}
	one, _ := Same(key, []byte("one"), nil)
	two, _ := Same(key, []byte("two"), nil)
	if bytes.Equal(one[:12], two[:12]) {
		t.Error("two texts have one nonce")
	}
}
