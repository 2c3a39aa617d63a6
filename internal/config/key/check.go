package key

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Fault says what is wrong with a key.
type Fault struct {
	Key   string
	Value string // the faulty one of several values; empty: the whole value
	Text  string // shown to people; it names the key
}

func (f *Fault) Error() string { return f.Text }

// WrongKind returns the fault of a value of another kind.
func (k Key) WrongKind() *Fault { return &Fault{Key: k.Name, Text: k.Name + " " + k.must()} }

// Check returns what is wrong with a value, which comes from the decoder or from a struct that the
// decoder filled; nil: nothing. An error is a *Fault.
func (k Key) Check(value any) error {
	v := reflect.ValueOf(value)
	var fault *Fault
	switch k.Kind {
	case Number, Duration:
		fault = k.checkNumber(v)
	case Flag:
		if v.Kind() != reflect.Bool {
			fault = k.WrongKind()
		}
	case Text:
		fault = k.checkText(v)
	case Texts:
		fault = k.checkTexts(v)
	case TextByName:
		fault = k.checkTable(v)
	}
	if fault != nil {
		return fault // a nil *Fault would not be a nil error
	}
	return nil
}

// CheckKind returns what is wrong with the kind of a value from the decoder. An error is a *Fault.
func (k Key) CheckKind(value any) error {
	var fits bool
	switch k.Kind {
	case Duration:
		text, isText := value.(string)
		_, err := time.ParseDuration(text)
		fits = isText && err == nil
	case Table:
		_, fits = value.(map[string]any)
		_, several := value.([]map[string]any)
		fits = fits || several
	default:
		return Key{Name: k.Name, Kind: k.Kind}.Check(value)
	}
	if !fits {
		return k.WrongKind()
	}
	return nil
}

func (k Key) checkNumber(v reflect.Value) *Fault {
	if !v.CanInt() {
		return k.WrongKind()
	}
	n := v.Int()
	if k.Max == 0 || n >= k.Min && n <= k.Max || n == 0 && k.Zero != "" {
		return nil
	}
	must := k.bounds()
	if k.Min > 0 {
		must += k.zero()
	}
	return k.refuse("", "%s = %s: must be %s", k.Name, k.shown(n), must)
}

func (k Key) checkText(v reflect.Value) *Fault {
	if v.Kind() != reflect.String {
		return k.WrongKind()
	}
	if !k.fits(v.String()) {
		return k.refuse("", "%s = %q: must be %s", k.Name, v.String(), k.wanted())
	}
	return nil
}

func (k Key) checkTexts(v reflect.Value) *Fault {
	if v.Kind() != reflect.Slice {
		return k.WrongKind()
	}
	if k.Required && v.Len() == 0 {
		return k.refuse("", "%s is empty", k.Name)
	}
	total := 0
	for i := range v.Len() {
		one := v.Index(i)
		if one.Kind() == reflect.Interface { // of a list of any
			one = one.Elem()
		}
		if one.Kind() != reflect.String {
			return k.WrongKind()
		}
		if !k.fits(one.String()) {
			return k.refuse(one.String(), "%s: %q must be %s", k.Name, one.String(), k.wanted())
		}
		total += len(one.String())
	}
	if k.Max > 0 && int64(total) > k.Max {
		return k.refuse("", "%s: %d bytes in all, the most are %d", k.Name, total, k.Max)
	}
	return nil
}

func (k Key) checkTable(v reflect.Value) *Fault {
	if v.Kind() != reflect.Map {
		return k.WrongKind()
	}
	for at := v.MapRange(); at.Next(); {
		one := k
		one.Name, one.Kind = k.Name+"."+at.Key().String(), Text
		if fault := one.checkText(reflect.ValueOf(at.Value().Interface())); fault != nil {
			return fault
		}
	}
	return nil
}

// fits reports whether a string is allowed.
func (k Key) fits(text string) bool {
	if k.OneOf != nil && !slices.Contains(k.OneOf(), text) {
		return false
	}
	return k.Form.Is == nil || k.Form.Is(text)
}

// wanted completes "must be " for one string.
func (k Key) wanted() string {
	if k.OneOf != nil {
		return alternatives(k.OneOf())
	}
	return k.Form.Says
}

func (k Key) refuse(value, format string, args ...any) *Fault {
	return &Fault{Key: k.Name, Value: value, Text: fmt.Sprintf(format, args...)}
}

// Bad returns a fault of a key that its description does not cover.
func Bad(name, format string, args ...any) *Fault {
	return &Fault{Key: name, Text: fmt.Sprintf(format, args...)}
}

// Missing returns the fault of a required key that is missing.
func Missing(name string) *Fault {
	return &Fault{Key: name, Text: fmt.Sprintf("the key %q is missing", name)}
}

// Unknown returns the fault of an unknown key.
func Unknown(name string, known []string) *Fault {
	text := fmt.Sprintf("unknown key %q", name[strings.LastIndexByte(name, '.')+1:])
	if meant := Suggest(name, known); meant != "" {
		text += fmt.Sprintf(", did you mean %q", meant)
	}
	return &Fault{Key: name, Text: text}
}
