package grammar

import (
	"cmp"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/typo"
)

// synonyms are words that people know from other shells.
var synonyms = map[string]string{
	"passwd": "password", "users": "user", "account": "user", "accounts": "user", "session": "sessions",
	"add": "create", "remove": "delete", "list": "show", "disable": "lock", "enable": "unlock", "kick": "disconnect",
}

// mostMeant is how many words at the start of a line are taken for those of a command: no command
// has more.
const mostMeant = 3

// meant returns the command that the words of a line that was not found probably stand for:
// mistyped, in another order, or with a word left out. It is empty if no command is similar.
func (s *Set) meant(tokens []token) string {
	var typed []string
	for _, t := range tokens[:min(len(tokens), mostMeant)] {
		if t.quoted {
			break
		}
		typed = append(typed, cmp.Or(synonyms[t.text], t.text))
	}
	for n := len(typed); n > 0; n-- { // the words after them may be names
		if best := s.nearest(typed[:n]); best != "" {
			// What begins like a command and goes on otherwise is a mistake in what comes next.
			if rest, ok := after(best, strings.Join(typed[:n], " ")); ok && rest != "" && n < len(tokens) && len(s.below(typed[0])) > 1 {
				return ""
			}
			return best
		}
	}
	return ""
}

// nearest returns the command to which the words are nearest, each word counted.
func (s *Set) nearest(typed []string) string {
	best, least := "", 0
	for _, c := range s.commands {
		words := strings.Fields(c.Words)
		far, similar := apart(typed, words)
		far = 2*far + len(words) - len(typed) // a mistyped letter weighs more than a word left out
		if similar && (best == "" || far < least) {
			best, least = c.Words, far
		}
	}
	return best
}

// apart adds up how far the typed words are from the words of a command, each from a word of its own.
// The order does not count.
func apart(typed, words []string) (far int, similar bool) {
	left := slices.Clone(words)
	for _, t := range typed {
		at, least := -1, typo.Similar(t)+1
		for i, w := range left {
			if d := typo.Distance(t, w); d < least {
				at, least = i, d
			}
		}
		if at < 0 {
			return 0, false
		}
		far += least
		left = slices.Delete(left, at, at+1)
	}
	return far, true
}
