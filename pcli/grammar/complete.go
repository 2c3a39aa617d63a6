package grammar

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// Names lists the existing accounts. It is called only where an account may come next.
type Names func() []string

// Complete handles Tab at byte pos of a line. It returns the new line and position and, if it
// cannot complete any further, what may follow.
func (s *Set) Complete(line string, pos int, names Names) (newLine string, newPos int, list []string) {
	p, partial, ok := s.at(line[:pos])
	if !ok || partial.quoted {
		return line, pos, nil
	}
	found := candidates(p.next(), partial.text, names)
	switch len(found) {
	case 0:
		return line, pos, nil
	case 1:
		insert := found[0][len(partial.text):] + " "
		rest := strings.TrimPrefix(line[pos:], " ")
		return line[:pos] + insert + rest, pos + len(insert), nil
	}
	insert := common(found)[len(partial.text):]
	if insert == "" {
		return line, pos, found
	}
	return line[:pos] + insert + line[pos:], pos + len(insert), nil
}

// at parses a line up to a point. It returns the place reached, and the word that ends there.
func (s *Set) at(line string) (*place, token, bool) {
	tokens, err := lex(line)
	if err != nil {
		return nil, token{}, false
	}
	partial := token{start: len(line), end: len(line)}
	if n := len(tokens); n > 0 && tokens[n-1].end == len(line) {
		partial, tokens = tokens[n-1], tokens[:n-1]
	}
	p, err := s.walk(tokens)
	return p, partial, err == nil
}

// candidates are the words with this prefix and, where an account may come, the accounts.
func candidates(items []item, prefix string, names Names) []string {
	var found []string
	for _, it := range items {
		switch {
		case it.word && strings.HasPrefix(it.text, prefix):
			found = append(found, it.text)
		case !it.word && it.kind == Account && names != nil:
			found = append(found, accounts(names(), prefix)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// accounts leaves out names that cannot be typed unchanged: the creator of such a name must not
// control what Tab inserts.
func accounts(names []string, prefix string) []string {
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && printable.Quote(name) == name && !strings.ContainsAny(name, " '\"\\") {
			found = append(found, name)
		}
	}
	return found
}

// common is the longest common prefix, in whole characters. The list is sorted, so the first and
// the last differ the most.
func common(sorted []string) string {
	first, last := sorted[0], sorted[len(sorted)-1]
	n := 0
	for n < len(first) && n < len(last) && first[n] == last[n] {
		n++
	}
	for n > 0 && n < len(first) && !utf8.RuneStart(first[n]) {
		n--
	}
	return first[:n]
}
