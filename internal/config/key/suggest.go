package key

import (
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/typo"
)

// Suggest finds the key that an unknown key may stand for: the most similar name in the same table,
// else a key of another table with exactly this name, with its table; empty: no key is similar.
func Suggest(unknown string, known []string) string {
	table, name := cut(unknown)
	best, least := "", typo.Similar(name)+1
	elsewhere := ""
	for _, one := range known {
		in, its := cut(one)
		if in != table {
			if its == name && elsewhere == "" {
				elsewhere = one
			}
			continue
		}
		if d := typo.Distance(name, its); d < least {
			best, least = its, d
		}
	}
	if best == "" {
		return elsewhere
	}
	return best
}

// cut separates the name of a key from that of its table.
func cut(key string) (table, name string) {
	i := strings.LastIndexByte(key, '.')
	return key[:i+1], key[i+1:]
}
