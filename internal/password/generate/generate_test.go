package generate

import (
	"regexp"
	"testing"
)

func TestPassword(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)
	seen := map[string]bool{}
	for range 100 {
		one := string(Password())
		if !form.MatchString(one) || seen[one] {
			t.Fatalf("%q", one)
		}
		seen[one] = true
	}
}
