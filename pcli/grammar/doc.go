// Package grammar describes the language of an operator's shell as data: a list of commands. One
// walk over it gives parsing, help at any point of a line, completion and the man page, so that
// they always agree.
//
// Every function accepts any text that a terminal, a pipe or an ssh client may deliver. No result
// contains a control character of that text. The grammar treats a command that a role may not run
// like one that does not exist.
//
//	grammar.go   commands, parameters and sets of them
//	lex.go       splits a line into tokens
//	walk.go      matches tokens with the commands: the current place, and what may follow
//	parse.go     turns a whole line into a call
//	complete.go  the Tab key
//	help.go      the ? key
//	man.go       the man page
//	meant.go     the command that a mistyped line stands for
package grammar
