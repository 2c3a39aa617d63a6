package table

import (
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// draw writes the table in columns.
func (t *Table) draw(shown, widths []int) string {
	var b strings.Builder
	t.rule(&b, widths)
	if t.hasHead(shown) {
		heads := make([]string, len(t.columns))
		for i, c := range t.columns {
			heads[i] = c.Head
		}
		t.row(&b, heads, shown, widths)
	}
	t.rule(&b, widths)
	for _, row := range t.rows {
		t.row(&b, row, shown, widths)
	}
	return b.String()
}

func (t *Table) hasHead(shown []int) bool {
	for _, i := range shown {
		if t.columns[i].Head != "" {
			return true
		}
	}
	return false
}

func (t *Table) rule(b *strings.Builder, widths []int) {
	if !t.style.Rules {
		return
	}
	parts := make([]string, len(widths))
	for at, w := range widths {
		parts[at] = strings.Repeat("=", w+t.style.Gap)
	}
	b.WriteString(t.style.Indent + strings.Join(parts, " ") + "\n")
}

// row writes one row, in as many lines as its highest cell has.
func (t *Table) row(b *strings.Builder, row []string, shown, widths []int) {
	cells, height := make([][]string, len(shown)), 1
	for at, i := range shown {
		cells[at] = []string{row[i]}
		if t.columns[i].Wrap {
			cells[at] = split(row[i], widths[at])
		}
		height = max(height, len(cells[at]))
	}
	for n := range height {
		line := t.style.Indent
		for at, w := range widths {
			cell := ""
			if n < len(cells[at]) {
				cell = cells[at][n]
			}
			line += strings.Repeat(" ", t.style.Lead) + cell + strings.Repeat(" ", max(0, w-displaywidth.String(cell))+t.style.Gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// blocks writes each row as one line for each of its columns that is not empty.
func (t *Table) blocks(width int) string {
	var b strings.Builder
	for n, row := range t.rows {
		if n > 0 {
			b.WriteString("\n")
		}
		for i, cell := range row {
			if cell == "" {
				continue
			}
			line := cell
			if head := t.columns[i].Head; head != "" {
				line = head + ": " + cell
			}
			b.WriteString(Wrap(t.style.Indent+line, width, t.style.Indent+"  ") + "\n")
		}
	}
	return b.String()
}
