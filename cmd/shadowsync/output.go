package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// say prints a line for people; --quiet keeps it back.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.out, printable.Quote(fmt.Sprintf(format, args...)))
	}
}

// columnGap is between two columns.
const columnGap = 2

// table prints rows in columns; the first row is the head. (text/tabwriter would
// not align a column that ends some lines and not others.)
func (a *app) table(indent string, rows [][]string) error {
	if a.quiet {
		return nil
	}
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable.Quote(cell)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

// printJSON prints an object, whole.
func (a *app) printJSON(v any) error {
	text, err := jsonText(v, "  ")
	if err != nil {
		return fmt.Errorf("cannot print JSON: %w", err)
	}
	_, err = a.out.Write(text)
	return err
}

// jsonText is v as JSON that is harmless on a terminal too: what printable would
// not let through becomes an escape of JSON's, so that nothing is lost.
func jsonText(v any, indent string) ([]byte, error) {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, r := range plain.String() {
		if r == '\n' || printable.Quote(string(r)) == string(r) {
			out.WriteRune(r)
			continue
		}
		writeEscaped(&out, r)
	}
	return out.Bytes(), nil
}

func writeEscaped(w io.Writer, r rune) {
	if high, low := utf16.EncodeRune(r); high != '\ufffd' {
		fmt.Fprintf(w, `\u%04x\u%04x`, high, low)
		return
	}
	fmt.Fprintf(w, `\u%04x`, r)
}

// clock is a time as people read it, in the machine's own zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// stamp is a time in JSON; nil where there is none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// date is a day of shadow(5); empty where the field is.
func date(d shadowsync.Day) string {
	if d == shadowsync.NoDay {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

// formatOf names what kind of password a value is, and never shows it.
func formatOf(hash string) string {
	switch f := format.Identify(hash); {
	case hash == "":
		return "none"
	case f != format.Unknown:
		return f.String()
	case hash[0] == '*' || hash[0] == '!':
		return "disabled"
	}
	return "unknown"
}

// who tells who made a change, for people: "by root (passwd, seen by pam)".
func who(o shadowsync.Origin) string {
	var parts []string
	if o.Program != "" {
		parts = append(parts, o.Program)
	}
	if o.Login != "" && o.Login != o.By {
		parts = append(parts, "logged in as "+o.Login)
	}
	if o.Login == "" && o.Sudo != "" {
		parts = append(parts, "started by "+o.Sudo)
	}
	if o.Terminal != "" {
		parts = append(parts, "on "+o.Terminal)
	}
	if o.Remote != "" {
		parts = append(parts, "from "+o.Remote)
	}
	parts = append(parts, "seen by "+string(o.SeenBy))
	text := "(" + strings.Join(parts, ", ") + ")"
	if o.By != "" {
		text = "by " + o.By + " " + text
	}
	return text
}
