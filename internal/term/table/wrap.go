package table

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// Wrap breaks a line between words if it is wider than width; it begins further lines with more. A
// word that is wider than the terminal stays whole. Width 0: the line stays as it is.
func Wrap(line string, width int, more string) string {
	if width <= displaywidth.String(more) {
		return line
	}
	return strings.Join(breakUp(line, width, more), "\n")
}

// split breaks the text of a cell into lines of at most width columns.
func split(text string, width int) []string { return breakUp(text, width, "") }

// breakUp keeps the blanks within a line, and drops those at a break.
func breakUp(text string, width int, more string) (lines []string) {
	line, words := "", 0
	for text != "" {
		word := strings.TrimLeft(text, " ")
		blanks := text[:len(text)-len(word)]
		word, text = cutWord(word)
		if words > 0 && displaywidth.String(line+blanks+word) > width {
			lines = append(lines, line)
			line, words, blanks = more, 0, ""
		}
		line += blanks + word
		words++
	}
	return append(lines, line)
}

// cutWord cuts off the first word; the blanks after it stay in rest.
func cutWord(text string) (word, rest string) {
	if i := strings.IndexByte(text, ' '); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

func longestWord(text string) (longest int) {
	for word := range strings.FieldsSeq(text) {
		longest = max(longest, displaywidth.String(word))
	}
	return longest
}
