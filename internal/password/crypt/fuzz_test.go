package crypt

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
)

// fuzzLimits keep one round of the fuzzer within milliseconds.
var fuzzLimits = format.Cost{Rounds: 5000, Log2: 5, Memory: 4 << 20, Work: 8 << 20}

func FuzzVerify(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash, []byte(token))
	}
	f.Add("!", []byte(nil))
	f.Add("$6$rounds=1000$$", []byte{0})
	f.Fuzz(func(t *testing.T, hash string, text []byte) {
		h, parseErr := format.Parse(hash)
		if parseErr == nil && h.Cost.Within(fuzzLimits) != nil {
			t.Skip("the hash is too dear for a fuzzer")
		}
		ok, err := Verify(hash, text)
		if ok && err != nil {
			t.Errorf("both verified and failed: %v", err)
		}
		if parseErr != nil && err == nil {
			t.Errorf("Verify has an answer for %q, which does not parse: %v", hash, parseErr)
		}
		// A hash that may reach the OS must be usable there.
		if usable := len(text) <= MaxToken && checkToken(text) == nil; usable && err != nil && format.CheckForeign(hash) == nil {
			t.Errorf("CheckForeign lets %q pass, but it fails with %v", hash, err)
		}
	})
}
