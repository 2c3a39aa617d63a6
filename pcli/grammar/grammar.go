package grammar

import (
	"slices"
	"strings"
)

// MaxLine is the longest line in bytes. golang.org/x/term has the same limit in characters.
const MaxLine = 4096

// Kind is the type of a parameter's value, used for completion and checking.
type Kind int

// The kinds of values.
const (
	Text    Kind = iota // anything
	Account             // the name of an account
	Number              // a whole number, 1 or more
	Choice              // one of Choices
	Rest                // all words that follow, joined by spaces; only for the last parameter
)

// Param is a parameter of a command. Parameters may come in any order. An unquoted word that equals
// a keyword is that keyword, so a value that looks like one must be quoted.
type Param struct {
	Word     string   // the keyword before the value, or alone; empty for a positional value
	Name     string   // name of the value; empty for a keyword alone
	Kind     Kind     // of the value
	Choices  []string // for kind Choice
	Required bool
	Group    string // parameters of one group exclude each other
	Help     string
}

// key is the name under which a [Call] holds the value.
func (p Param) key() string {
	if p.Word != "" {
		return p.Word
	}
	return p.Name
}

// form is the parameter in a usage line, without brackets.
func (p Param) form() string {
	value := p.Name
	if p.Kind == Choice {
		value = strings.Join(p.Choices, "|")
	}
	return strings.TrimSpace(p.Word + " " + value)
}

// Command is a leaf of the tree. Commands with the same first words share those nodes.
type Command struct {
	Words  string // "show user activity"
	Help   string // one line, without a full stop
	More   string // more text for the man page and the command's help
	Needs  string // the permission that the role needs; empty: none
	Params []Param
	See    []string // the words of related commands
}

// Usage is the command with its parameters: `delete user [force] NAME`.
func (c Command) Usage() string {
	parts := []string{c.Words}
	for i, p := range c.Params {
		if p.Group != "" {
			if i > 0 && c.Params[i-1].Group == p.Group {
				continue
			}
			p.Word, p.Name, p.Kind = "", c.groupForm(p.Group), Text
		}
		if p.Required {
			parts = append(parts, p.form())
		} else {
			parts = append(parts, "["+p.form()+"]")
		}
	}
	return strings.Join(parts, " ")
}

func (c Command) groupForm(group string) string {
	var forms []string
	for _, p := range c.Params {
		if p.Group == group {
			forms = append(forms, p.form())
		}
	}
	return strings.Join(forms, "|")
}

// Set is the commands that one role may run.
type Set struct {
	commands []Command
	index    []int             // of each command in the list given to New
	groups   map[string]string // help of nodes that are not commands: "show"
}

// New makes a set. groups is the help of words that are not commands themselves.
func New(commands []Command, groups map[string]string) *Set {
	s := &Set{commands: commands, groups: groups}
	for i := range commands {
		s.index = append(s.index, i)
	}
	return s
}

// For returns the set without commands whose need is not allowed.
func (s *Set) For(allowed func(need string) bool) *Set {
	sub := &Set{groups: s.groups}
	for i, c := range s.commands {
		if c.Needs == "" || allowed(c.Needs) {
			sub.commands = append(sub.commands, c)
			sub.index = append(sub.index, s.index[i])
		}
	}
	return sub
}

// find returns the command with exactly these words, or -1.
func (s *Set) find(words string) int {
	return slices.IndexFunc(s.commands, func(c Command) bool { return c.Words == words })
}

// below lists the words that may follow a prefix, without duplicates, in the set's order.
func (s *Set) below(prefix string) []string {
	var next []string
	for _, c := range s.commands {
		rest, ok := after(c.Words, prefix)
		if !ok || rest == "" {
			continue
		}
		word, _, _ := strings.Cut(rest, " ")
		if !slices.Contains(next, word) {
			next = append(next, word)
		}
	}
	return next
}

// after removes a prefix of whole words.
func after(words, prefix string) (string, bool) {
	if prefix == "" {
		return words, true
	}
	if words == prefix {
		return "", true
	}
	return strings.CutPrefix(words, prefix+" ")
}

// helpOf is the one-line help of a node, whether it is a command or not.
func (s *Set) helpOf(words string) string {
	if i := s.find(words); i >= 0 {
		return s.commands[i].Help
	}
	return s.groups[words]
}
