package pcli

import (
	"io"

	"github.com/shadowsync/shadowsync/pcli/grammar"
)

const keysHelp = `
Keys: ? helps at any point of a line, Tab completes; arrow keys, Ctrl-A and Ctrl-E move;
Ctrl-U and Ctrl-W delete; Ctrl-C gives up a line; Ctrl-D leaves; Ctrl-Z goes to the top.
!! repeats the last line, !5 line 5, !-2 the one before the last, !show the last that
began so. A value with spaces is quoted: "Joe Developer".
`

func (s *Shell) helpCommand(c grammar.Call) error {
	text, err := s.set().Describe(c.Get("COMMAND"))
	if err != nil {
		return err
	}
	if !c.Has("COMMAND") {
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
