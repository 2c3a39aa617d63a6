package cleartext

import (
	"bytes"
	"testing"
)

func TestWipeReachesTheWholeBuffer(t *testing.T) {
	token := append(make([]byte, 0, 16), "secret!"...)
	Wipe(token[:2])
	if rest := token[:16]; !bytes.Equal(rest, make([]byte, 16)) {
		t.Errorf("left: %q", rest)
	}
}
