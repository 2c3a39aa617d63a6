package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/term/table"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// say prints a line for people, unless --quiet is given.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.out, printable.Quote(fmt.Sprintf(format, args...)))
	}
}

// warn prints a warning on standard error.
func (a *app) warn(format string, args ...any) {
	a.complaint("warning: "+format, args...)
}

// table prints rows in columns, unless --quiet is given.
func (a *app) table(indent string, columns []table.Column, rows [][]string) error {
	if a.quiet {
		return nil
	}
	style := table.Plain
	style.Indent = indent
	drawn := table.New(style, columns...)
	for _, row := range rows {
		drawn.Row(row...)
	}
	_, err := io.WriteString(a.out, drawn.Text(a.width()))
	return err
}

// printJSON prints an object in one write.
func (a *app) printJSON(v any) error {
	text, err := jsonText(v, "  ")
	if err != nil {
		return fmt.Errorf("cannot print JSON: %w", err)
	}
	_, err = a.out.Write(text)
	return err
}

// jsonText is v as JSON that is safe on a terminal: it turns characters that printable would not
// let through into JSON escapes, so that nothing is lost.
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

// clock formats a time for people, in the machine's time zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// stamp is a time in JSON, or nil for the zero time.
func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// date formats a day of shadow(5); it is empty if the field is.
func date(d shadowsync.Day) string {
	if d == shadowsync.NoDay {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

// storeFormat is formatOf for a value of a store. Values of an application's own scheme are not looked
// at: all of them have the scheme's name.
func storeFormat(scheme, hash string) string {
	if scheme != "" && hash != "" {
		return scheme
	}
	return formatOf(hash)
}

// formatOf names the kind of password that a value is, and never shows the value.
func formatOf(hash string) string {
	switch f := format.Identify(hash); {
	case hash == "":
		return "none"
	case f != format.Unknown:
		return f.String()
	}
	switch (shadowsync.Credential{Hash: hash}).Kind() {
	case shadowsync.KindElsewhere:
		return "elsewhere"
	case shadowsync.KindNone:
		return "disabled"
	}
	return "unknown"
}

// who says who made a change: "by root (passwd, seen by pam)".
func who(o shadowsync.Origin) string {
	var parts []string
	if o.Program != "" {
		parts = append(parts, o.Program)
	}
	if o.Login != "" && o.Login != o.By {
		parts = append(parts, "logged in as "+o.Login)
	}
	if o.Unverified != "" {
		parts = append(parts, o.Unverified+" not verified")
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
	if o.SettledBy != "" {
		text += ", conflict settled by " + o.SettledBy
	}
	return text
}

// person names who acted, with the account in whose name: "alice as root".
func person(o shadowsync.Origin) string {
	if who := cmp.Or(o.Login, o.Sudo, o.By); who != o.By {
		return who + " as " + o.By
	}
	return o.By
}
