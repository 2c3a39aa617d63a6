// Package table lays out text for a terminal: tables, and lines that are broken between words.
//
// If a table is wider than the terminal, first the cells of its Wrap columns are broken between
// words; then columns are left out, the highest rank first. If that is not enough, each row becomes
// a block with a line for each column, and nothing is left out. Without a terminal (width 0) a
// table is as wide as its cells: scripts read one line for each row.
//
//	table.go   Table: its columns and their widths
//	draw.go    rows, rules and blocks
//	wrap.go    lines broken between words
package table

import (
	"slices"

	"github.com/clipperhouse/displaywidth"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// Column describes a column of a table.
type Column struct {
	Head string
	// Rank is the order in which columns are left out if the terminal is too narrow: the highest
	// first. 0: it is never left out.
	Rank int
	// Wrap: its cells may be broken between words.
	Wrap bool
}

// Style is how a table looks.
type Style struct {
	Indent string // before each line
	Lead   int    // blanks before each cell
	Gap    int    // blanks after each cell but the last
	Rules  bool   // lines of = above and below the head
}

// The styles of shadowsync's programs.
var (
	Plain = Style{Gap: 2}                       // shadowsync
	Ruled = Style{Lead: 1, Gap: 2, Rules: true} // pcli, like the appliances that it resembles
)

// narrowest is the width that a Wrap column keeps as long as another column can be left out.
const narrowest = 20

// Table is a table that is being laid out.
type Table struct {
	style   Style
	columns []Column
	rows    [][]string
}

// New creates a table. It quotes every cell, so that no text can change the terminal's state.
func New(style Style, columns ...Column) *Table { return &Table{style: style, columns: columns} }

// Row adds a row; it has a cell for each column.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.columns))
	for i := range row {
		row[i] = printable.Quote(cells[i])
	}
	t.rows = append(t.rows, row)
}

// Text returns the table as lines for a terminal of that width, in columns; 0: there is no
// terminal.
func (t *Table) Text(width int) string {
	shown := make([]int, len(t.columns))
	for i := range shown {
		shown[i] = i
	}
	for {
		natural := t.widths(shown, displaywidth.String)
		if width <= 0 || t.total(natural) <= width {
			return t.draw(shown, natural)
		}
		if widths := t.squeeze(shown, natural, width, narrowest); widths != nil {
			return t.draw(shown, widths)
		}
		last := slices.MaxFunc(shown, func(i, j int) int { return t.columns[i].Rank - t.columns[j].Rank })
		if t.columns[last].Rank == 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == last })
	}
	if widths := t.squeeze(shown, t.widths(shown, displaywidth.String), width, 0); widths != nil {
		return t.draw(shown, widths)
	}
	return t.blocks(width)
}

// widths measures the shown columns.
func (t *Table) widths(shown []int, measure func(string) int) []int {
	widths := make([]int, len(shown))
	for at, i := range shown {
		widths[at] = measure(t.columns[i].Head)
		for _, row := range t.rows {
			widths[at] = max(widths[at], measure(row[i]))
		}
	}
	return widths
}

// total returns the width of a line with these columns.
func (t *Table) total(widths []int) int {
	total := displaywidth.String(t.style.Indent) - t.style.Gap
	if t.style.Rules { // a rule is as long as its column and the gap, without the first lead
		total += t.style.Gap - t.style.Lead
	}
	for _, w := range widths {
		total += t.style.Lead + w + t.style.Gap
	}
	return total
}

// squeeze narrows the widest Wrap column again and again until the table fits; nil if it cannot. No
// column becomes narrower than its longest word, or than least if it was wider.
func (t *Table) squeeze(shown, natural []int, width, least int) []int {
	widths, words := slices.Clone(natural), t.widths(shown, longestWord)
	for t.total(widths) > width {
		widest := -1
		for at, i := range shown {
			if t.columns[i].Wrap && widths[at] > max(words[at], min(least, natural[at])) && (widest < 0 || widths[at] > widths[widest]) {
				widest = at
			}
		}
		if widest < 0 {
			return nil
		}
		widths[widest]--
	}
	return widths
}
