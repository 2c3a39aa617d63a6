package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// place is a point in a line, with everything parsed before it.
type place struct {
	set     *Set
	words   string // of the command so far
	command int    // index in the set, or -1 while the words form no command
	values  map[string]string
	used    []bool // the parameters given so far
	waits   int    // the parameter whose value comes next, or -1
}

// NotFoundError means that there is no such command for this role.
type NotFoundError struct {
	Words string
	Meant string // the command that they probably stand for; may be empty
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("Command '%s' not found (use '?' for help)", e.Words)
	if e.Meant != "" {
		text += fmt.Sprintf("; did you mean '%s'?", e.Meant)
	}
	return text
}

// IncompleteError means that the words do not form a complete command.
type IncompleteError struct{ Words string }

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("Command '%s' is incomplete (use '?' for help)", e.Words)
}

// UsageError means that a command's parameters are wrong.
type UsageError struct{ Text, Usage string }

func (e *UsageError) Error() string { return e.Text + "; usage: " + e.Usage }

// walk steps through the tokens until one does not fit.
func (s *Set) walk(tokens []token) (*place, error) {
	p := &place{set: s, command: s.find(""), values: map[string]string{}, waits: -1}
	for _, t := range tokens {
		if err := p.step(t); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *place) step(t token) error {
	if p.descend(t) {
		return nil
	}
	if p.command < 0 {
		return &NotFoundError{Words: strings.TrimSpace(p.words + " " + shown(t.text))}
	}
	if p.waits >= 0 {
		i := p.waits
		p.waits = -1
		return p.give(i, t)
	}
	if i := p.keyword(t); i >= 0 {
		p.used[i] = true
		if p.param(i).Name == "" {
			p.values[p.param(i).key()] = t.text
		} else {
			p.waits = i
		}
		return nil
	}
	if i := p.position(); i >= 0 {
		return p.give(i, t)
	}
	if len(p.set.below(p.words)) > 0 && !slices.Contains(p.used, true) {
		return &NotFoundError{Words: p.words + " " + shown(t.text)}
	}
	return p.wrong("'%s' is not expected", shown(t.text))
}

// descend takes a token as the next word of the command.
func (p *place) descend(t token) bool {
	if t.quoted || p.waits >= 0 || slices.Contains(p.used, true) || !slices.Contains(p.set.below(p.words), t.text) {
		return false
	}
	p.words = strings.TrimSpace(p.words + " " + t.text)
	p.command = p.set.find(p.words)
	p.used = nil
	if p.command >= 0 {
		p.used = make([]bool, len(p.params()))
	}
	return true
}

func (p *place) params() []Param {
	if p.command < 0 {
		return nil
	}
	return p.set.commands[p.command].Params
}

func (p *place) param(i int) Param { return p.params()[i] }

// free reports whether a parameter may still be given.
func (p *place) free(i int) bool {
	group := p.param(i).Group
	for j, used := range p.used {
		if used && (j == i || group != "" && p.param(j).Group == group) {
			return false
		}
	}
	return true
}

// keyword returns the parameter whose keyword an unquoted token is, or -1.
func (p *place) keyword(t token) int {
	for i, q := range p.params() {
		if q.Word != "" && q.Word == t.text && !t.quoted && p.free(i) {
			return i
		}
	}
	return -1
}

// position returns the parameter for a positional value, or -1. A parameter of kind Rest takes any
// number of values.
func (p *place) position() int {
	for i, q := range p.params() {
		if q.Word == "" && (p.free(i) || q.Kind == Rest) {
			return i
		}
	}
	return -1
}

// give sets a parameter's value.
func (p *place) give(i int, t token) error {
	q := p.param(i)
	switch q.Kind {
	case Number:
		if n, err := strconv.Atoi(t.text); err != nil || n < 1 {
			return p.wrong("'%s' is not a number", shown(t.text))
		}
	case Choice:
		if !slices.Contains(q.Choices, t.text) {
			return p.wrong("'%s' is not one of %s", shown(t.text), strings.Join(q.Choices, ", "))
		}
	case Account:
		if t.text == "" {
			return p.wrong("the account name is empty")
		}
	}
	if q.Kind == Rest && p.used[i] {
		t.text = p.values[q.key()] + " " + t.text
	}
	p.used[i] = true
	p.values[q.key()] = t.text
	return nil
}

func (p *place) wrong(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...), p.set.commands[p.command].Usage()}
}

// missing says which parameter is missing, or returns nil if the line may end here.
func (p *place) missing() error {
	if p.waits >= 0 {
		return p.wrong("%s of '%s' is missing", p.param(p.waits).Name, p.param(p.waits).Word)
	}
	for i, q := range p.params() {
		if q.Required && p.free(i) {
			return p.wrong("%s is missing", q.form())
		}
	}
	return nil
}

// item is a word or a value that may come next.
type item struct {
	text string // a word to type, or the form of a value
	help string
	word bool // text can be typed unchanged
	kind Kind // of a value
}

// next lists what may follow: words of commands, then keywords and values.
func (p *place) next() []item {
	if p.waits >= 0 {
		return valueItems(p.param(p.waits))
	}
	var items []item
	if !slices.Contains(p.used, true) {
		for _, w := range p.set.below(p.words) {
			items = append(items, item{text: w, help: p.set.helpOf(strings.TrimSpace(p.words + " " + w)), word: true})
		}
	}
	for i, q := range p.params() {
		switch {
		case !p.free(i):
		case q.Word != "":
			items = append(items, item{text: q.Word, help: q.Help, word: true})
		default:
			items = append(items, valueItems(q)...)
		}
	}
	return items
}

func valueItems(q Param) []item {
	if q.Kind != Choice {
		return []item{{text: q.Name, help: q.Help, kind: q.Kind}}
	}
	var items []item
	for _, c := range q.Choices {
		items = append(items, item{text: c, help: q.Help, word: true})
	}
	return items
}

// shown is typed text, shortened for messages.
func shown(text string) string { return printable.Clip(text, 64) }
