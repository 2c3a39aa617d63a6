package pcli

import (
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/term/table"
)

// page shows rows in columns in the appliance's layout.
func (s *Shell) page(columns []table.Column, rows [][]string) error {
	drawn := table.New(table.Ruled, columns...)
	for _, row := range rows {
		drawn.Row(row...)
	}
	return s.console.Page(drawn.Text(s.console.Width()))
}

// record shows one object, one field per line, on a terminal of that width. It leaves out empty fields.
func record(width int, title string, lines [][2]string) string {
	title = " " + printable.Quote(title)
	rule := strings.Repeat("=", utf8.RuneCountInString(title)+1) + "\n"
	var b strings.Builder
	b.WriteString("\n" + rule + title + "\n" + rule)
	for _, l := range lines {
		if l[1] != "" {
			b.WriteString(table.Wrap(" "+l[0]+": "+printable.Quote(l[1]), width, "   ") + "\n")
		}
	}
	b.WriteString("\n")
	return b.String()
}
