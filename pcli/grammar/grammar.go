package grammar

import (
	"slices"
	"strings"
)

// MaxLine is how long a line may be, in bytes. It is also how much
// golang.org/x/term takes, in characters.
const MaxLine = 4096

// Kind says what the value of a parameter is, as far as completion and checking go.
type Kind int

// The kinds of values.
const (
	Text    Kind = iota // anything
	Account             // the name of an account
	Number              // a whole number, 1 or more
	Choice              // one of Choices
	Rest                // all words that follow, a space between them; the last parameter
)

// Param is a parameter of a command. Parameters may come in any order; an unquoted keyword is taken as
// such before it is taken as a value, so a value that looks like one is quoted.
type Param struct {
	Word     string   // the keyword before the value, or alone; empty for a value by position
	Name     string   // what the value is called; empty for a keyword alone
	Kind     Kind     // of the value
	Choices  []string // of kind Choice
	Required bool
	Group    string // parameters of one group exclude each other
	Help     string
}

// key is what a value is found by in a [Call].
func (p Param) key() string {
	if p.Word != "" {
		return p.Word
	}
	return p.Name
}

// form is the parameter as usage lines show it, without brackets.
func (p Param) form() string {
	value := p.Name
	if p.Kind == Choice {
		value = strings.Join(p.Choices, "|")
	}
	return strings.TrimSpace(p.Word + " " + value)
}

// Command is a leaf of the tree. Commands that share their first words share those nodes.
type Command struct {
	Words  string // "show user activity"
	Help   string // one line, without a full stop
	More   string // what else the man page and the help of the command tell
	Needs  string // what the role must be allowed; empty: everyone may
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

// Set is the commands that somebody may run.
type Set struct {
	commands []Command
	index    []int             // of each in what New was given
	groups   map[string]string // help of the nodes that are no commands: "show"
}

// New makes a set. The groups are the help of words that only lead to commands.
func New(commands []Command, groups map[string]string) *Set {
	s := &Set{commands: commands, groups: groups}
	for i := range commands {
		s.index = append(s.index, i)
	}
	return s
}

// For leaves out the commands whose need is not allowed.
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

// below lists the words that may follow a prefix of words, each once, in the set's order.
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

// after cuts a prefix of whole words off.
func after(words, prefix string) (string, bool) {
	if prefix == "" {
		return words, true
	}
	if words == prefix {
		return "", true
	}
	return strings.CutPrefix(words, prefix+" ")
}

// helpOf is the one-line help of a node, command or not.
func (s *Set) helpOf(words string) string {
	if i := s.find(words); i >= 0 {
		return s.commands[i].Help
	}
	return s.groups[words]
}
