package pamstack

import "strings"

// blanks separate words.
const blanks = " \t"

// split returns the words of each line, at the index of the line on which they begin. As in libpam
// (_pam_assemble_line), a backslash at the end continues a line, blanks may follow it, a comment ends
// the line even if the comment ends in a backslash, and an empty line or a comment alone within a
// continued line is skipped.
func split(text string) [][]string {
	physical := strings.Split(text, "\n")
	words := make([][]string, len(physical))
	start, line := -1, ""
	for i, part := range physical {
		part = strings.Trim(part, blanks)
		if part == "" || part[0] == '#' {
			continue
		}
		if start < 0 {
			start = i
		}
		part, _, comment := strings.Cut(part, "#")
		if joined, more := strings.CutSuffix(part, `\`); more && !comment {
			line += joined + " "
			continue
		}
		words[start] = fields(line + part)
		start, line = -1, ""
	}
	return words
}

// fields splits at white space. A list in brackets is one word; within it "\]" is no end.
func fields(line string) []string {
	var words []string
	for line = strings.Trim(line, blanks); line != ""; line = strings.Trim(line, blanks) {
		end := strings.IndexAny(line, blanks)
		if line[0] == '[' {
			for end = 1; end < len(line) && (line[end] != ']' || line[end-1] == '\\'); end++ {
			}
			end = min(end+1, len(line))
		}
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words
}
