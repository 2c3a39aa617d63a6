package pcli

import (
	"io"

	"github.com/shadowsync/shadowsync/pcli/grammar"
)

const keysHelp = `
Keys:
  ?         help, at any point of a line
  Tab       complete; a second Tab lists what there is
  Up, Down  the lines before; !! repeats the last, !5 line 5, !sh the last "sh…"
  Ctrl-C    cancel the line, the question or the wait
  Ctrl-D    leave, on an empty line
  Ctrl-Z    run the line and go to the top; leave, on an empty line there

A value with spaces is quoted: "Joe Developer".
`

func (s *Shell) helpCommand(c grammar.Call) error {
	text, err := s.set().Describe(c.Get("COMMAND"))
	if err != nil {
		return err
	}
	if !c.Has("COMMAND") { // after the list of commands, which does not explain the keys
		text += keysHelp
	}
	return s.console.Page(text)
}

func (s *Shell) exit(grammar.Call) error { return errLeave }

func (s *Shell) showHistory(grammar.Call) error { return s.console.Page(s.history.String()) }

func (s *Shell) clearHistory(grammar.Call) error {
	s.history.clear()
	_, err := io.WriteString(s.console, "History cleared\n")
	return err
}
