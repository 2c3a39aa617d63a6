package shadowsync

import "strings"

// Formats are the hash prefixes, as in crypt(5) ("$6$", "$y$"), that a store's application can
// verify. Empty means any: the store gets the OS hash unchanged.
type Formats []string

// Accept reports whether a hash may go into the store as it is. Markers that no password matches
// ("*", "!") have no format and are always accepted.
func (f Formats) Accept(hash string) bool {
	if len(f) == 0 || !strings.HasPrefix(hash, "$") {
		return true
	}
	for _, prefix := range f {
		if strings.HasPrefix(hash, prefix) {
			return true
		}
	}
	return false
}
