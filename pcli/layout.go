package pcli

import (
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// cellMax bounds a cell of a table, in bytes: one full name must not push the rest off the screen.
const cellMax = 60

// table draws rows as the appliance does: rules of = over and under the head.
func table(head []string, rows [][]string) string {
	widths := make([]int, len(head))
	all := append([][]string{head}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = printable.Clip(row[i], cellMax)
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i])+2)
		}
	}
	rule := ruleOf(widths)
	var b strings.Builder
	for i, row := range all {
		if i == 0 {
			b.WriteString(rule)
		}
		b.WriteString(rowOf(row, widths))
		if i == 0 {
			b.WriteString(rule)
		}
	}
	return b.String()
}

func ruleOf(widths []int) string {
	var parts []string
	for _, w := range widths {
		parts = append(parts, strings.Repeat("=", w))
	}
	return strings.Join(parts, " ") + "\n"
}

func rowOf(row []string, widths []int) string {
	line := ""
	for i, cell := range row {
		line += " " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
	}
	return strings.TrimRight(line, " ") + "\n"
}

// record draws one thing, a line for each of its fields; those without a value are left out.
func record(title string, lines [][2]string) string {
	title = " " + printable.Quote(title)
	rule := strings.Repeat("=", utf8.RuneCountInString(title)+1) + "\n"
	var b strings.Builder
	b.WriteString("\n" + rule + title + "\n" + rule)
	for _, l := range lines {
		if l[1] != "" {
			b.WriteString(" " + l[0] + ": " + printable.Quote(l[1]) + "\n")
		}
	}
	b.WriteString("\n")
	return b.String()
}
