package shadowfile

import (
	"bytes"
	"math"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// The numeric fields of shadow(5), starting with its third field.
const (
	lastChange = iota
	minDays
	maxDays
	warnDays
	inactiveDays
	expireDay
	dayFields
)

// span is a field's place in its line.
type span struct{ from, to int }

// entry is a line of shadow(5) as glibc's fgetspent(3) reads it.
type entry struct {
	name     string
	password string
	days     [dayFields]shadowsync.Day
	at       [dayFields]span // of days
	atPass   span
	end      int  // where glibc stops reading the line
	short    bool // the old form, which ends after the maximum age
}

// matcher finds the lines of the known users whose passwords are in shadow(5): for each name the
// first line that glibc accepts. It must get the lines in the file's order.
type matcher struct {
	known *users
	seen  []bool
}

func newMatcher(known *users) *matcher {
	return &matcher{known, make([]bool, len(known.list))}
}

// match returns the user whose line raw is.
func (m *matcher) match(raw string) (*user, entry, bool) {
	text, start := readLine(raw)
	name, _, _ := strings.Cut(text, ":")
	i := m.known.find(name)
	if i < 0 || m.seen[i] || !m.known.list[i].shadowed {
		return nil, entry{}, false
	}
	e, ok := parseEntry(text, start)
	m.seen[i] = ok
	return &m.known.list[i], e, ok
}

// mayMatch filters out most other lines without making a string of them. If glibc would not read
// the name from the line's first byte to its colon, the line may belong to any account.
func (m *matcher) mayMatch(raw []byte) bool {
	name, _, colon := bytes.Cut(raw, []byte(":"))
	return !colon || isSpace(raw[0]) || bytes.IndexByte(name, 0) >= 0 || m.known.has(name)
}

// isAccountName reports whether a lookup by name can find a line with this name. It never finds the
// "+" and "-" lines of NIS compatibility.
func isAccountName(name string) bool {
	return name != "" && name[0] != '+' && name[0] != '-'
}

// readLine returns what glibc's __nss_readline passes to a parser, and where in raw it starts: the
// text up to the first NUL or newline, without leading white space; empty for a comment.
func readLine(raw string) (line string, start int) {
	text, _, _ := strings.Cut(raw, "\x00")
	for start < len(text) && isSpace(text[start]) {
		start++
	}
	line = text[start:]
	if line == "" || line[0] == '#' {
		return "", 0
	}
	if cut, _, ended := strings.Cut(line, "\n"); ended {
		return cut, start
	}
	// glibc moves the text to the front without its NUL. So if there is no newline, the last bytes
	// appear twice.
	return line + text[len(line):], start
}

// parseEntry parses a line as __sgetspent_r of glibc does; start is added to all spans.
func parseEntry(line string, start int) (entry, bool) {
	s := scanner{line: line}
	name := s.text()
	if s.done() && name.from < name.to && !isAccountName(line[:name.to]) {
		return entry{name: line[:name.to], end: start + len(line)}, true // "+name" of NIS
	}
	pass := s.text()
	e := entry{
		name:     line[:name.to],
		password: line[pass.from:pass.to],
		atPass:   span{start + pass.from, start + pass.to},
		end:      start + len(line),
	}
	for field := range dayFields {
		if field == warnDays && s.rest() {
			e.short = true
			e.days[warnDays], e.days[inactiveDays], e.days[expireDay] = shadowsync.NoDay, shadowsync.NoDay, shadowsync.NoDay
			return e, true
		}
		at, ok := s.day(&e.days[field])
		if !ok {
			return entry{}, false
		}
		e.at[field] = span{start + at.from, start + at.to}
	}
	return e, s.flag()
}

// scanner walks over the fields of a line with the rules of glibc's files-parse.c.
type scanner struct {
	line string
	pos  int
}

func (s *scanner) done() bool { return s.pos == len(s.line) }

// text is STRING_FIELD: up to a colon, or to the end.
func (s *scanner) text() span {
	from := s.pos
	colon := strings.IndexByte(s.line[from:], ':')
	if colon < 0 {
		s.pos = len(s.line)
		return span{from, s.pos}
	}
	s.pos = from + colon + 1
	return span{from, from + colon}
}

// day is INT_FIELD_MAYBE_NULL: a number or nothing, but not the end of the line. The number becomes
// a signed 32-bit one, as in glibc.
func (s *scanner) day(d *shadowsync.Day) (span, bool) {
	if s.done() {
		return span{}, false
	}
	value, used, fits := parseNumber(s.line[s.pos:])
	at := span{s.pos, s.pos + used}
	s.pos += used
	*d = shadowsync.NoDay
	if used > 0 {
		*d = shadowsync.Day(int32(value))
	}
	return at, fits && s.endField()
}

// number is INT_FIELD: a number must be there.
func (s *scanner) number() (uint32, bool) {
	value, used, fits := parseNumber(s.line[s.pos:])
	s.pos += used
	return value, fits && used > 0 && s.endField()
}

// endField steps over the colon after a number; nothing else may follow it.
func (s *scanner) endField() bool {
	if s.done() {
		return true
	}
	if s.line[s.pos] != ':' {
		return false
	}
	s.pos++
	return true
}

// rest skips white space and reports whether nothing else is left.
func (s *scanner) rest() bool {
	for !s.done() && isSpace(s.line[s.pos]) {
		s.pos++
	}
	return s.done()
}

// flag is the last field: a number or nothing, up to the end of the line.
func (s *scanner) flag() bool {
	_, used, fits := parseNumber(s.line[s.pos:])
	return fits && s.pos+used == len(s.line)
}

// parseNumber is strtoul(3) in base 10 as glibc's files-parse.c uses it: white space and a sign may
// come first, a minus negates modulo 2^64, and a result of more than 32 bits does not fit. used is
// 0 if there is no number.
func parseNumber(s string) (value uint32, used int, fits bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	negative := i < len(s) && s[i] == '-'
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	first, n, overflow := i, uint64(0), false
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digit := uint64(s[i] - '0')
		overflow = overflow || n > (math.MaxUint64-digit)/10
		n = n*10 + digit
	}
	if i == first {
		return 0, 0, true
	}
	if negative {
		n = -n
	}
	return uint32(n), i, !overflow && n <= math.MaxUint32
}

// isSpace is isspace(3) in the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// credential returns the line as a credential.
func (e entry) credential() shadowsync.Credential {
	c := shadowsync.Credential{
		LastChange: e.days[lastChange],
		Min:        e.days[minDays],
		Max:        e.days[maxDays],
		Warn:       e.days[warnDays],
		Inactive:   e.days[inactiveDays],
		Expire:     e.days[expireDay],
	}
	c.Hash, c.Locked = shadowsync.ParsePassword(e.password)
	if c.LastChange == 0 {
		c.LastChange, c.MustChange = shadowsync.NoDay, true
	}
	return c
}
