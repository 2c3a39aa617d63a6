package page

import (
	"bytes"
	"errors"
)

// maxFields is more than any form here has.
const maxFields = 32

var errForm = errors.New("the form is malformed")

// A form is a body of application/x-www-form-urlencoded that was decoded in place: net/url would leave
// strings with passwords behind, which cannot be wiped.
type form struct {
	body   []byte
	fields []fieldValue
}

type fieldValue struct{ name, value []byte } // parts of body

// parseForm decodes body, which the form then owns.
func parseForm(body []byte) (form, error) {
	f := form{body: body}
	for len(body) > 0 {
		pair, rest, _ := bytes.Cut(body, []byte("&"))
		body = rest
		if len(pair) == 0 {
			continue
		}
		if len(f.fields) == maxFields {
			return f, errForm
		}
		name, value, _ := bytes.Cut(pair, []byte("="))
		name, okName := unescape(name)
		value, okValue := unescape(value)
		if !okName || !okValue || f.get(string(name)) != nil {
			return f, errForm // twice the same: the daemon must not see another one than somebody in between
		}
		f.fields = append(f.fields, fieldValue{name, value})
	}
	return f, nil
}

// get returns a field's value; nil: the form does not have it.
func (f form) get(name string) []byte {
	for _, one := range f.fields {
		if string(one.name) == name {
			return one.value
		}
	}
	return nil
}

// text is a field that is no secret.
func (f form) text(name string) string { return string(f.get(name)) }

func (f form) wipe() { clear(f.body) }

// unescape decodes text in place. The result is never nil.
func unescape(text []byte) (decoded []byte, ok bool) {
	decoded = text[:0:len(text)]
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(text) {
				return decoded, false
			}
			high, low := digit(text[i+1]), digit(text[i+2])
			if high < 0 || low < 0 {
				return decoded, false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		decoded = append(decoded, c)
	}
	if decoded == nil {
		decoded = []byte{}
	}
	return decoded, true
}

// digit is the value of a hexadecimal digit, or -1.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
