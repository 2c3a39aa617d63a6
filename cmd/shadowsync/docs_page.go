//go:build docs

package main

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	comment   = regexp.MustCompile(`(?m)^<!--.*-->\n`)
	pageLink  = regexp.MustCompile(`\[([^\]]+)\]\(([a-z-]+)\.md(?:#[a-z-]+)?\)`)
	localLink = regexp.MustCompile(`\[([^\]]+)\]\((?:#|\.\./)[^)]*\)`)
)

// manText turns a page of docs/ into the Markdown of a man page: it adds a header, uses the title
// as the text of NAME, and rewrites links and tables for a terminal.
func manText(name, section, text string) []byte {
	title, body, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
	body = pageLink.ReplaceAllStringFunc(body, func(link string) string {
		parts := pageLink.FindStringSubmatch(link)
		target, section := manPage(parts[2])
		if strings.HasSuffix(parts[1], ".md") {
			return target + "(" + section + ")"
		}
		return parts[1] + " in " + target + "(" + section + ")"
	})
	body = comment.ReplaceAllString(body, "")
	body = tablesToLists(localLink.ReplaceAllString(body, "$1"))
	head := fmt.Sprintf("%% %q %q \"\" \"shadowsync\" \"shadowsync\"\n", strings.ToUpper(name), section)
	// Pages use headings from the second level on; a man page shows those as its first level.
	return []byte(head + "# NAME\n" + name + " - " + strings.ReplaceAll(title, "`", "") +
		"\n\n# DESCRIPTION\n" + body + "\n# SEE ALSO\nshadowsync(8), shadowsync-commands(7), shadowsync.toml(5), pcli(1)\n")
}

// tablesToLists turns tables, which are wider than a terminal, into definition lists. The first
// cell is the term, the last is the text; the heading of its column labels each cell between them.
func tablesToLists(text string) string {
	var out strings.Builder
	var head []string
	for line := range strings.Lines(text) {
		switch cells := cellsOf(line); {
		case cells == nil:
			head = nil
			out.WriteString(line)
		case head == nil:
			head = cells
		case strings.Trim(strings.Join(cells, ""), "-") != "": // otherwise it is the rule below the header
			var told []string
			for i, cell := range cells[1 : len(cells)-1] {
				if cell != "" {
					told = append(told, head[i+1]+": "+cell)
				}
			}
			if last := cells[len(cells)-1]; last != "" {
				told = append(told, last)
			}
			fmt.Fprintf(&out, "%s\n: %s\n\n", cells[0], strings.Join(told, "; "))
		}
	}
	return out.String()
}

// cellsOf returns the cells of a table's row, or nil if the line is not a row.
func cellsOf(line string) (cells []string) {
	line, isRow := strings.CutPrefix(strings.TrimSpace(line), "| ")
	if !isRow && !strings.HasPrefix(line, "|-") {
		return nil
	}
	line = strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00")
	for cell := range strings.SplitSeq(line, "|") {
		cells = append(cells, strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|"))
	}
	return cells
}
