package passwdfile

import (
	"bytes"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// quoted is pgbouncer's auth_file: lines of "NAME" "VALUE", in which two double quotes stand for one,
// and comments after a semicolon. After an error pgbouncer takes no notice of the rest of the file.
type quoted struct{}

// pgbouncer is the only format with this grammar.
func pgbouncer(string) textfile.Format { return quoted{} }

// pgbouncerName and pgbouncerValue are the sizes of pgbouncer's buffers, less a NUL. Doubled quotes count.
const (
	pgbouncerName  = 127
	pgbouncerValue = 2047
)

// Locate implements textfile.Format.
func (quoted) Locate(data []byte, wanted map[string]bool) (map[string]textfile.Record, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	f := make(found, len(wanted))
	for at := 0; at < len(data); {
		switch c := data[at]; {
		case blank(c):
			at++
			continue
		case c == ';':
			at = lineEnd(data, at)
			continue
		}
		name, next, ok := quotedText(data, at)
		var value textfile.Span
		if ok {
			// pgbouncer accepts anything before the second text, also its being on another line.
			value, next, ok = quotedText(data, next)
		}
		if !ok || bytes.IndexByte(data[at:value.End], '\n') >= 0 {
			return nil, malformed(1+bytes.Count(data[:at], []byte("\n")), `not of the form "name" "value"`)
		}
		if name.End-name.Start > pgbouncerName || value.End-value.Start > pgbouncerValue {
			return nil, malformed(1+bytes.Count(data[:at], []byte("\n")), "a name or a value that is too long for pgbouncer, which reads no further")
		}
		if who := unquoted(data, name); wanted[who] {
			f.add(who, quotedRecord(unquoted(data, value), value))
		}
		at = lineEnd(data, next)
	}
	return f, nil
}

func lineEnd(data []byte, at int) int {
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(data)
}

// quotedText returns the place of a text after blanks, without its quotes, and the place after it.
func quotedText(data []byte, at int) (text textfile.Span, next int, ok bool) {
	for at < len(data) && blank(data[at]) {
		at++
	}
	if at == len(data) || data[at] != '"' {
		return text, at, false
	}
	for end := at + 1; end < len(data); end++ {
		if data[end] != '"' {
			continue
		}
		if end+1 < len(data) && data[end+1] == '"' {
			end++
			continue
		}
		return textfile.Span{Start: at + 1, End: end}, end + 1, true
	}
	return text, at, false
}

func unquoted(data []byte, at textfile.Span) string {
	return strings.ReplaceAll(string(data[at.Start:at.End]), `""`, `"`)
}

func quotedRecord(value string, at textfile.Span) textfile.Record {
	if !verifier(value) {
		value = clearText
	}
	return textfile.Record{Value: value, At: at}
}

// verifier reports whether pgbouncer takes a value for a verifier; anything else is clear text.
func verifier(value string) bool {
	return strings.HasPrefix(value, "SCRAM-SHA-256$") || strings.HasPrefix(value, "md5") && len(value) == len("md5")+32
}

// Spell implements textfile.Format. No verifier has a quote in it.
func (quoted) Spell(_ textfile.Record, value string) (string, error) {
	if !verifier(value) {
		return "", &shadowsync.RefusedError{Reason: "pgbouncer would take the value for clear text"}
	}
	return value, checkValue(value, ":")
}
