package scenes

import (
	"fmt"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// fits asserts that output for people fits their terminal: no line is wider, except for a single
// long word or a command to copy, and no word is broken.
func (s *stage) fits(account string) {
	s.t.Helper()
	for command, holds := range map[string]string{
		"shadowsync status":                                "OS and store changed to",
		"shadowsync user list":                             account,
		"shadowsync status --problems " + account:          "1 conflict",
		"shadowsync audit --action conflict --tail 1":      "conflict",
		"shadowsync user show " + account:                  "State",
		"shadowsync history admin":                         "admin has no history",
		"shadowsync audit --user " + account:               "conflict",
		"runuser -u admin -- pcli -c 'show user all'":      "admin",
		"runuser -u admin -- pcli -c 'show user admin'":    "OS and store changed to",
		"runuser -u admin -- pcli -c 'show user activity'": "admin",
		"runuser -u admin -- pcli -c 'show sync'":          "admin",
	} {
		whole := words(s.onTerminal(1000, command))
		for _, width := range []int{80, 40} {
			shown := s.onTerminal(width, command)
			if !strings.Contains(strings.Join(strings.Fields(shown), " "), holds) {
				s.t.Errorf("%s at %d columns lacks %q:\n%s", command, width, holds, shown)
			}
			for line := range strings.Lines(shown) {
				line = strings.TrimRight(line, "\n")
				if displaywidth.String(line) > width && strings.Contains(strings.TrimSpace(line), " ") && !strings.HasPrefix(line, "    shadowsync ") {
					s.t.Errorf("%s at %d columns: %q", command, width, line)
				}
			}
			for word := range words(shown) {
				if !whole[word] && !whole[strings.TrimSuffix(word, ":")] && strings.Trim(word, "=") != "" {
					s.t.Errorf("%s at %d columns breaks a word: %q", command, width, word)
				}
			}
		}
	}
}

// onTerminal returns what a command prints on a terminal with this number of columns.
func (s *stage) onTerminal(columns int, command string) string {
	s.t.Helper()
	shown := s.MustShell(fmt.Sprintf("script -qec \"stty cols %d; %s\" /dev/null </dev/null", columns, command))
	return strings.ReplaceAll(shown, "\r", "")
}

func words(text string) map[string]bool {
	words := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		words[word] = true
	}
	return words
}
