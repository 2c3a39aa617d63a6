package driver

import (
	"strings"
	"testing"
)

func TestIsCredential(t *testing.T) {
	for name, want := range map[string]bool{
		"store-app": true, "_x": true, "9.b_c": true, strings.Repeat("x", 64): true,
		"": false, ".": false, "..": false, "-x": false, "a/b": false, "a b": false, "é": false, strings.Repeat("x", 65): false, "a\n": false,
	} {
		if got := isCredential(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
