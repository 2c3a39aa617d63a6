// Package key describes the keys of the configuration. The validator checks values by these
// descriptions, and shadowsync.toml(5) is generated from them, so that the page cannot allow what
// the validator refuses.
//
//	key.go      Key, and its text for the page
//	check.go    Check, of one value
//	suggest.go  Suggest, for a mistyped key
package key

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of a value, as the page and the errors name it.
type Kind string

// The kinds.
const (
	Text       Kind = "string"
	Texts      Kind = "list of strings"
	TextByName Kind = "table of strings"
	Number     Kind = "integer"
	Flag       Kind = "true or false"
	Duration   Kind = "duration"
	Table      Kind = "table" // its keys are described elsewhere
)

// Key is one key of the configuration.
type Key struct {
	Name     string // with its tables, as in "guard.limit"
	Kind     Kind
	Required bool
	// Min and Max are the limits of a Number, or of a Duration in nanoseconds. For Texts, Max
	// limits the bytes of all together. Max 0: no limits.
	Min, Max int64
	Unit     string // of a Number
	Zero     string // what 0 means; 0 is then allowed even below Min
	// OneOf returns the only allowed strings; nil: any string.
	OneOf func() []string
	Form  Form
	// Default is the default on the page, if the default value does not explain itself or only the
	// driver knows it.
	Default string
	Doc     string // Markdown, one line
}

// Form is the required form of a string.
type Form struct {
	Says string            // completes "must be "
	Is   func(string) bool // nil: checked elsewhere
}

// Of returns a OneOf for a fixed list.
func Of(texts ...string) func() []string { return func() []string { return texts } }

// Values describes the allowed values; empty: all of the kind.
func (k Key) Values() string {
	switch {
	case k.OneOf != nil:
		return alternatives(k.OneOf())
	case k.Form.Says != "" && k.Kind != Text:
		return "each " + k.Form.Says
	case k.Form.Says != "":
		return k.Form.Says
	case k.Max == 0:
		return ""
	}
	return strings.TrimSpace(k.bounds()+" "+k.Unit) + k.zero()
}

func (k Key) bounds() string { return "from " + k.shown(k.Min) + " to " + k.shown(k.Max) }

func (k Key) zero() string {
	switch {
	case k.Zero == "":
		return ""
	case k.Min > 0:
		return ", or " + k.shown(0) + " (" + k.Zero + ")"
	}
	return " (" + k.shown(0) + ": " + k.Zero + ")"
}

// shown returns a number as it is written in the file.
func (k Key) shown(n int64) string {
	if k.Kind == Duration {
		return Shown(time.Duration(n))
	}
	return strconv.FormatInt(n, 10)
}

// Shown returns a duration as people write it: 24h, not 24h0m0s.
func Shown(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// must completes "NAME " in the error about a value of another kind.
func (k Key) must() string {
	switch k.Kind {
	case Flag:
		return "must be true or false"
	case Number:
		return "must be an integer"
	case Duration:
		return `must be a duration in quotes, such as "90s", "10m" or "1h30m"`
	}
	return "must be a " + string(k.Kind)
}

func alternatives(texts []string) string {
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	last := len(texts) - 1
	return fmt.Sprintf("%s or %s", strings.Join(texts[:last], ", "), texts[last])
}

// Written returns a value as it is written in the file; empty if it is left out there.
func (k Key) Written(value any) string {
	v := reflect.ValueOf(value)
	switch k.Kind {
	case Number:
		return k.shown(v.Int())
	case Duration:
		return strconv.Quote(k.shown(v.Int()))
	case Flag:
		return strconv.FormatBool(v.Bool())
	case TextByName:
		return ""
	}
	if v.Len() == 0 {
		return ""
	}
	if k.Kind == Text {
		return strconv.Quote(v.String())
	}
	var quoted []string
	for i := range v.Len() {
		quoted = append(quoted, strconv.Quote(v.Index(i).String()))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
