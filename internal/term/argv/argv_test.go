package argv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMain is also the process that hides its own words, and reports what is still visible.
func TestMain(m *testing.M) {
	if os.Getenv("HIDE") == "" {
		os.Exit(m.Run())
	}
	words := Hide(func(words []string) []bool {
		hide := make([]bool, len(words))
		for i, word := range words {
			hide[i] = strings.HasPrefix(word, "secret")
		}
		return hide
	})
	seen, err := os.ReadFile("/proc/self/cmdline")
	if err != nil || !slices.Equal(words, os.Args) {
		os.Exit(1)
	}
	fmt.Printf("%q\n%s", words[1:], bytes.TrimRight(seen, "\x00"))
}

func TestHide(t *testing.T) {
	for _, tt := range []struct {
		words []string
		seen  string
	}{
		{[]string{"user", "set", "secret"}, "user\x00set\x00*"},
		{[]string{"secret one", "", "secret\ntwo", "--fd", "secret=" + strings.Repeat("x", 5000)}, "*\x00\x00*\x00--fd\x00*"},
		{[]string{"status"}, "status"},
		{nil, ""},
	} {
		command := exec.CommandContext(t.Context(), os.Args[0], tt.words...)
		command.Env = append(os.Environ(), "HIDE=1")
		out, err := command.Output()
		words, seen, _ := strings.Cut(string(out), "\n")
		_, seen, _ = strings.Cut(seen, "\x00")
		if err != nil || seen != tt.seen || words != fmt.Sprintf("%q", append([]string{}, tt.words...)) {
			t.Errorf("%q: the process has %s and shows %q (%v), want %q", tt.words, words, seen, err, tt.seen)
		}
	}
}
