package passwdfile

import (
	"bytes"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// colon is a file of lines such as NAME:VALUE or NAME:VALUE:REST. The differences between its
// formats are those of the servers' own parsers.
type colon struct {
	// blanks: blanks around name and value are not part of them (mosquitto).
	blanks bool
	// decode returns why the server cannot decode a value, so that it would not accept the file; nil: it
	// takes no notice. Then an account that is there twice is wrong too.
	decode func(value string) error
	// read returns the value that a field means, and write its inverse. Nil: they are the same.
	read, write func(string) string
	// longest is the most bytes of a line, after which the server reads no further; 0: it reads all.
	longest int
	// more are characters beyond checkValue's that a value may have.
	more string
}

// Locate implements textfile.Format.
func (c colon) Locate(data []byte, wanted map[string]bool) (map[string]textfile.Record, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	f, alone, apache := make(found, len(wanted)), looseLines(wanted), joiner{longest: c.longest}
	for n, line := range lines(data) {
		apache.take(data[line.Start:line.End])
		name, value, ok := c.fields(data, line)
		plain := trimmed(name)
		switch {
		case !ok:
			alone.take(name, plain)
		case wanted[name]:
			f.add(name, c.record(n, name, data, value))
		case wanted[plain]: // Apache takes no notice of blanks, nginx does
			f.add(plain, textfile.Record{Fault: malformed(n, "account %q has blanks around its name", plain)})
		}
		if apache.parts > 1 {
			for _, who := range []string{name, apache.account()} {
				if wanted[who] {
					f[who] = textfile.Record{Fault: malformed(n, "account %q has a line that a backslash joins with another one", who)}
				}
			}
		}
		if apache.full && wanted[plain] {
			f[plain] = textfile.Record{Fault: malformed(n, "account %q is not before a line that is too long for Apache, which reads no further", plain)}
		}
	}
	alone.exclude(f)
	return f, nil
}

// joiner reads lines as Apache does: it joins one that ends with a backslash with the next one, and reads no further
// if that gets too long.
type joiner struct {
	longest int // 0: any length is right
	text    []byte
	parts   int // lines in the text
	more    bool
	full    bool
}

func (j *joiner) take(line []byte) {
	if !j.more {
		j.text, j.parts = j.text[:0], 0
	}
	line, j.more = bytes.CutSuffix(line, []byte(`\`))
	j.text = append(j.text, line...)
	j.parts++
	j.full = j.full || j.longest > 0 && len(j.text) > j.longest
}

// account is the one that the text is of.
func (j *joiner) account() string {
	name, _, _ := bytes.Cut(j.text, []byte(":"))
	return trimmed(string(name))
}

// loose says of each beginning of a wanted account's name whether there is a line of only that, without a colon.
type loose map[string]bool

func looseLines(wanted map[string]bool) loose {
	l := loose{}
	for name := range wanted {
		for end := range len(name) {
			l[name[:end+1]] = false
		}
	}
	return l
}

func (l loose) take(line, plain string) {
	for _, text := range []string{line, plain} {
		if _, begins := l[text]; begins {
			l[text] = true
		}
	}
}

// exclude refuses accounts whose name begins with such a line: nginx compares the two up to the line's end, and then
// misses the line after it. For Apache and dovecot, a line with the whole name is the account.
func (l loose) exclude(f found) {
	for name := range f {
		for end := range len(name) {
			if begin := name[:end+1]; l[begin] {
				f[name] = textfile.Record{Fault: driver.Malformed("there is a line %q without a colon, which its server may take for the beginning of account %q", begin, name)}
				break
			}
		}
	}
}

func trimmed(name string) string {
	return strings.TrimFunc(name, func(r rune) bool { return r < 0x80 && blank(byte(r)) })
}

// fields splits a line. ok is false for a line without an account: an empty one, a comment, or text
// without a colon, which is returned as the name.
func (c colon) fields(data []byte, line textfile.Span) (name string, value textfile.Span, ok bool) {
	text := data[line.Start:line.End]
	if len(text) == 0 || text[0] == '#' {
		return "", value, false
	}
	i := bytes.IndexByte(text, ':')
	if i < 0 {
		return string(text), value, false
	}
	value = textfile.Span{Start: line.Start + i + 1, End: line.End}
	if j := bytes.IndexByte(text[i+1:], ':'); j >= 0 {
		value.End = value.Start + j
	}
	at := textfile.Span{Start: line.Start, End: line.Start + i}
	if c.blanks {
		at, value = trim(data, at), trim(data, value)
	}
	return string(data[at.Start:at.End]), value, true
}

// Check implements textfile.Checker for a server that is down, or lets nobody in, if one of its lines is
// wrong.
func (c colon) Check(data []byte) error {
	if c.decode == nil {
		return nil
	}
	all := map[string]bool{}
	for n, line := range lines(data) {
		name, value, ok := c.fields(data, line)
		switch {
		case !ok:
			continue
		case name == "":
			return malformed(n, "no name")
		case all[name]:
			return malformed(n, "account %q is there twice", name)
		}
		all[name] = true
		if err := c.decode(string(data[value.Start:value.End])); err != nil {
			return malformed(n, "%v", err)
		}
	}
	return nil
}

func (c colon) record(n int, name string, data []byte, at textfile.Span) textfile.Record {
	field := string(data[at.Start:at.End])
	if len(field) > maxValue || strings.ContainsRune(field, '\r') {
		return textfile.Record{Fault: malformed(n, "the password field of account %q cannot be read", name)}
	}
	switch {
	case c.read != nil:
		field = c.read(field)
	case c.decode != nil && c.decode(field) != nil:
		field = clearText
	}
	return textfile.Record{Value: field, At: at}
}

// Spell implements textfile.Format.
func (c colon) Spell(_ textfile.Record, value string) (string, error) {
	if err := checkValue(value, c.more); err != nil {
		return "", err
	}
	if c.decode != nil {
		if err := c.decode(value); err != nil {
			return "", &shadowsync.RefusedError{Reason: err.Error()}
		}
	}
	if c.write != nil {
		value = c.write(value)
	}
	return value, nil
}

// hidden keeps clear text out of what is read: {PLAIN} is nginx's and dovecot's.
func hidden(field string) string {
	scheme, _, _ := header(field)
	switch strings.TrimSuffix(strings.TrimSuffix(scheme, ".B64"), ".HEX") {
	case "PLAIN", "CLEARTEXT", "CLEAR", "PLAIN-TRUNC":
		return clearText
	}
	return field
}

// header splits {SCHEME}rest; the scheme is in capitals.
func header(field string) (scheme, rest string, ok bool) {
	inside, rest, ok := strings.Cut(strings.TrimPrefix(field, "{"), "}")
	if !ok || !strings.HasPrefix(field, "{") {
		return "", field, false
	}
	return strings.ToUpper(inside), rest, true
}
