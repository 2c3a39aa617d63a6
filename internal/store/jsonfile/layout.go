package jsonfile

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/textfile"
)

// layout says where in the file the accounts are.
type layout struct {
	users    []string // the tokens of a JSON pointer
	name     string   // members of an account
	password string
}

// parsePointer splits a JSON pointer (RFC 6901) into its tokens.
func parsePointer(pointer string) ([]string, bool) {
	if pointer == "" {
		return nil, true
	}
	tokens := strings.Split(pointer, "/")
	for i, token := range tokens {
		rest := strings.NewReplacer("~0", "", "~1", "").Replace(token)
		if strings.Contains(rest, "~") {
			return nil, false
		}
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	}
	return tokens[1:], tokens[0] == ""
}

// search is one pass through a file.
type search struct {
	*scanner
	layout
	wanted map[string]bool
	found  map[string]textfile.Record
}

// Locate implements textfile.Format. The whole text must be JSON. Beyond that only the path to the
// accounts must be as the layout says, and a wanted account that is malformed gets a fault of its
// own. The rest of the file belongs to the application.
func (l layout) Locate(data []byte, wanted map[string]bool) (map[string]textfile.Record, error) {
	look := search{scanner: &scanner{data: data}, layout: l, wanted: wanted, found: make(map[string]textfile.Record, len(wanted))}
	if err := look.begin(); err != nil {
		return nil, err
	}
	if err := look.descend(l.users); err != nil {
		return nil, err
	}
	return look.found, look.end()
}

// descend follows the pointer to the accounts.
func (s *search) descend(tokens []string) error {
	if len(tokens) == 0 {
		return s.accounts()
	}
	at, seen := s.at, 0
	visit := func(match bool) error {
		if !match {
			_, err := s.skip()
			return err
		}
		if seen++; seen > 1 {
			return s.fail(s.at, "the member %q is there twice", tokens[0])
		}
		return s.descend(tokens[1:])
	}
	var err error
	switch s.peek() {
	case '{':
		err = s.object(func(key span) error { return visit(s.means(key, tokens[0])) })
	case '[':
		err = s.list(func(i int) error { return visit(strconv.Itoa(i) == tokens[0]) })
	}
	if err == nil && seen == 0 {
		return s.fail(at, "there is no %q", tokens[0])
	}
	return err
}

// accounts visits the accounts: a list of objects, or an object keyed by name.
func (s *search) accounts() error {
	switch s.peek() {
	case '[':
		return s.list(func(int) error {
			if s.peek() != '{' {
				return s.fail(s.at, "an account is not an object")
			}
			return s.account(nil)
		})
	case '{':
		return s.object(func(key span) error {
			if s.peek() != '{' && s.wants(key) {
				name, _ := unquote(s.bytes(key))
				s.found[name] = textfile.Record{Fault: driver.Malformed("account %q is not an object", name)}
			}
			return s.account(&key)
		})
	}
	return s.fail(s.at, "the accounts are neither a list nor an object")
}

// account reads one account. The key, if there is one, is its name.
func (s *search) account(key *span) error {
	if s.peek() != '{' {
		_, err := s.skip()
		return err
	}
	a := account{end: s.at + 1}
	if key != nil {
		a.name(s, *key)
	}
	err := s.object(func(member span) error {
		value, err := s.skip()
		a.end, a.members = value.End, a.members+1
		switch {
		case err != nil:
			return err
		case key == nil && s.means(member, s.layout.name):
			a.name(s, value)
		case s.means(member, s.layout.password):
			a.passwords++
			a.password = value
		}
		return nil
	})
	if err == nil && a.wanted != (span{}) {
		s.keep(a)
	}
	return err
}

// account is what was found in one account.
type account struct {
	names, passwords int
	members, end     int  // how many, and where the last one's value ends
	wanted           span // the name, or one of several, if it is wanted
	password         span // the last one
}

func (a *account) name(s *search, value span) {
	a.names++
	if s.wants(value) {
		a.wanted = value
	}
}

// keep adds a wanted account. A malformed one does not fail the others.
func (s *search) keep(a account) {
	name, _ := unquote(s.bytes(a.wanted))
	if _, again := s.found[name]; again {
		s.found[name] = textfile.Record{Fault: driver.Malformed("account %q is there twice", name)}
		return
	}
	s.found[name] = s.record(name, a)
}

// record names the account and not the line: counting lines for each of thousands of accounts takes
// too long.
func (s *search) record(name string, a account) textfile.Record {
	switch {
	case a.names > 1:
		return textfile.Record{Fault: driver.Malformed("account %q has the member %q twice", name, s.layout.name)}
	case a.passwords > 1:
		return textfile.Record{Fault: driver.Malformed("account %q has the member %q twice", name, s.layout.password)}
	case a.passwords == 0:
		return textfile.Record{At: span{Start: a.end, End: a.end}, Lead: s.lead(a)}
	case string(s.bytes(a.password)) == "null":
		return textfile.Record{At: a.password}
	}
	value, ok := s.meaning(a.password)
	if !ok {
		return textfile.Record{Fault: driver.Malformed("the %q of account %q is not a string of at most %d bytes", s.layout.password, name, maxPassword)}
	}
	return textfile.Record{Value: value, At: a.password}
}

// lead is the text before the value of a member that an account does not have yet.
func (s *search) lead(a account) string {
	lead := string(appendQuoted(nil, s.layout.password)) + ": "
	if a.members > 0 {
		return ", " + lead
	}
	return lead
}

func (s *search) bytes(at span) []byte { return s.data[at.Start:at.End] }

// wants reports whether a value is the name of a wanted account.
func (s *search) wants(name span) bool {
	raw := s.bytes(name)
	if raw[0] != '"' {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return s.wanted[string(raw[1:len(raw)-1])] // a look-up makes no copy
	}
	text, ok := unquote(raw)
	return ok && s.wanted[text]
}

// means reports whether a key has this meaning.
func (s *search) means(key span, text string) bool {
	raw := s.bytes(key)
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1:len(raw)-1]) == text
	}
	meaning, ok := unquote(raw)
	return ok && meaning == text
}

// meaning returns the text that a string of bounded length means.
func (s *search) meaning(value span) (string, bool) {
	raw := s.bytes(value)
	if raw[0] != '"' || len(raw) > maxPassword {
		return "", false
	}
	return unquote(raw)
}
