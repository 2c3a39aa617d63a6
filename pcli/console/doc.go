// Package console is where an operator's shell meets a person or a script.
//
// Terminal manners, which every file here keeps:
//
//   - A terminal is left as it was found, however the shell ends, short of SIGKILL.
//   - Keys are taken from the kernel one at a time and only when somebody waits for them: what
//     was typed ahead for the next program stays there, and a password that was pasted together
//     with its command is in no buffer of ours.
//   - A password is read without echo, into memory that is wiped, and never into history.
//   - Ctrl-C gives up the line, the question or the wait; Ctrl-D on an empty line
//     leaves; Ctrl-Z runs the line and goes to the top.
//   - Only a terminal that understands it is sent escape sequences.
//   - Every wait ends with the idle time, a hang-up or a signal.
//
// What is written is text of ours with \n; foreign text was made harmless before (package printable).
//
//	console.go  what both kinds of console do, and how reading can end
//	source.go   bytes, one at a time, with time-outs and signals
//	keys.go     the reader in front of golang.org/x/term: bytes to whole keys
//	screen.go   the console on a terminal: line editing, ? and Tab, paging
//	secret.go   passwords on a raw terminal
//	plain.go    the console of scripts, pipes and dumb terminals
//	mode.go     terminal modes, and what kind of console there is
package console
