// Package grammar is the language of an operator's shell as data: a list of
// commands, from which one walk gives parsing, help at any point of a line,
// completion and the man page, so that they cannot disagree.
//
// It promises that every function is total over any text that a terminal, a pipe or
// an ssh client may deliver, that nothing it returns holds a control character of that text, and
// that a command which a role may not run is not told from one that does not exist.
//
//	grammar.go   commands, parameters and sets of them
//	lex.go       a line to tokens
//	walk.go      the tokens against the commands: where are we, what may follow
//	parse.go     a whole line to a call
//	complete.go  the Tab key
//	help.go      the ? key
//	man.go       the man page
package grammar
