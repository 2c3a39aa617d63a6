package passwdfile

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"github.com/shadowsync/shadowsync/internal/store/textfile"
)

// radius is the file of FreeRADIUS' module "files" (users(5)): entries of a name and attributes to check, and
// then indented lines of attributes for the reply. FreeRADIUS does not start with a wrong line, so all of the file is
// parsed as version 3 does. Only the dictionaries of attributes are not known here.
type radius struct {
	attribute string // that holds the value
}

func freeradius(scheme string) textfile.Format {
	if scheme == "nt" {
		return radius{"NT-Password"}
	}
	return radius{"Crypt-Password"}
}

// maxRadiusLine is the size of FreeRADIUS' buffer of a line, less the line's end and a NUL.
const maxRadiusLine = 8190

// radiusReader is one pass through a file.
type radiusReader struct {
	radius
	data   []byte
	wanted map[string]bool
	found  found
	// An entry's reply may follow. After a comma it must.
	inside, comma bool
}

// Locate implements textfile.Format.
func (r radius) Locate(data []byte, wanted map[string]bool) (map[string]textfile.Record, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	reader := radiusReader{radius: r, data: data, wanted: wanted, found: make(found, len(wanted))}
	last := 0
	for n, line := range lines(data) {
		if err := reader.line(n, line); err != nil {
			return nil, err
		}
		last = n
	}
	if reader.comma {
		return nil, malformed(last, "the file ends after a comma")
	}
	return reader.found, nil
}

func (r *radiusReader) line(n int, line textfile.Span) error {
	if line.End-line.Start > maxRadiusLine {
		return malformed(n, "too long for FreeRADIUS")
	}
	text := trim(r.data, line)
	if text.Start == text.End || r.data[text.Start] == '#' {
		return nil
	}
	indented := text.Start > line.Start
	switch {
	case !indented && r.comma:
		return malformed(n, "an entry begins after a comma")
	case !indented:
		return r.entry(n, text)
	case !r.inside:
		return malformed(n, "an entry does not begin with a name")
	}
	pairs, comma, err := r.pairs(n, text)
	if err == nil && len(pairs) == 0 {
		err = malformed(n, "no attribute")
	}
	r.comma, r.inside = comma, comma
	return err
}

// entry reads the first line of an entry.
func (r *radiusReader) entry(n int, line textfile.Span) error {
	name, rest, ok := radiusName(r.data, line)
	if !ok {
		return malformed(n, "a name without an end")
	}
	if strings.EqualFold(name, "$INCLUDE") {
		r.inside = false
		return nil
	}
	pairs, comma, err := r.pairs(n, rest)
	switch {
	case err != nil:
		return err
	case comma:
		return malformed(n, "a comma after the last attribute to check")
	}
	r.inside, r.comma = true, false
	if r.wanted[name] {
		r.keep(n, name, pairs)
	}
	return nil
}

// radiusName splits the name, which may be in quotes, from the rest of the line.
func radiusName(data []byte, line textfile.Span) (name string, rest textfile.Span, ok bool) {
	text := data[line.Start:line.End]
	if q := text[0]; q == '"' || q == '\'' || q == '`' {
		end := bytes.IndexByte(text[1:], q)
		if end < 0 || bytes.IndexByte(text[1:end+1], '\\') >= 0 {
			return "", rest, false
		}
		return string(text[1 : end+1]), textfile.Span{Start: line.Start + end + 2, End: line.End}, true
	}
	end := bytes.IndexFunc(text, func(c rune) bool { return c < 0x80 && blank(byte(c)) })
	if end < 0 {
		end = len(text)
	}
	return string(text[:end]), textfile.Span{Start: line.Start + end, End: line.End}, true
}

// pair is an attribute with its value.
type pair struct {
	attribute, operator string
	value               textfile.Span // with its quotes
}

var radiusPair = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("^([A-Za-z0-9&_.][A-Za-z0-9_./-]*(?::[A-Za-z0-9]+)?(?:\\[[A-Za-z0-9*#]+\\])?)[ \t]*(:=|\\+=|-=|\\^=|==|=~|!~|=\\*|!\\*|!=|>=|<=|=|<|>)[ \t]*(\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`|[^ \t\"'`,#][^ \t,#]*)[ \t]*")
})

// pairs splits a list of attributes, which may end with a comment. comma reports whether another line
// must follow.
func (r *radiusReader) pairs(n int, at textfile.Span) (pairs []pair, comma bool, err error) {
	for {
		at = trim(r.data, at)
		if at.Start == at.End || r.data[at.Start] == '#' {
			return pairs, comma, nil
		}
		if len(pairs) > 0 && !comma {
			return nil, false, malformed(n, "text after an attribute, without a comma")
		}
		m := radiusPair().FindSubmatchIndex(r.data[at.Start:at.End])
		if m == nil {
			return nil, false, malformed(n, "not of the form attribute = value")
		}
		text := r.data[at.Start:]
		pairs = append(pairs, pair{string(text[m[2]:m[3]]), string(text[m[4]:m[5]]), textfile.Span{Start: at.Start + m[6], End: at.Start + m[7]}})
		at.Start += m[1]
		comma = at.Start < at.End && r.data[at.Start] == ','
		if comma {
			at.Start++
		}
	}
}

// keep adds a wanted entry. One without a password only adds attributes for another one.
func (r *radiusReader) keep(n int, name string, pairs []pair) {
	for _, p := range pairs {
		if attribute := strings.TrimPrefix(p.attribute, "&control:"); !strings.HasSuffix(attribute, "-Password") && attribute != "Password-With-Header" {
			continue
		} else if attribute != r.attribute {
			r.found.add(name, textfile.Record{Fault: malformed(n, "account %q has a %s; it must be replaced by a %s", name, attribute, r.attribute)})
			continue
		}
		r.found.add(name, r.record(n, name, p))
	}
}

func (r *radiusReader) record(n int, name string, p pair) textfile.Record {
	raw := string(r.data[p.value.Start:p.value.End])
	plain := raw
	if q := raw[0]; q == '"' || q == '\'' {
		plain = raw[1 : len(raw)-1]
	}
	switch {
	case p.operator != ":=" && p.operator != "=":
		return textfile.Record{Fault: malformed(n, "account %q has a %s with the operator %q", name, r.attribute, p.operator)}
	case checkValue(plain, "") != nil:
		return textfile.Record{Fault: malformed(n, "account %q has a %s that cannot be read", name, r.attribute)}
	}
	return textfile.Record{Value: plain, At: p.value}
}

// Spell implements textfile.Format. In double quotes FreeRADIUS expands a percent sign and a backtick, which no
// value has.
func (r radius) Spell(_ textfile.Record, value string) (string, error) {
	return `"` + value + `"`, checkValue(value, "")
}
