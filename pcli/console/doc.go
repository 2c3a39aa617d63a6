// Package console connects an operator's shell with a person or a script.
//
// Every file here keeps these terminal manners:
//
//   - The terminal is restored however the shell ends, except by SIGKILL.
//   - Keys are read from the kernel one at a time, and only when a key is needed. Input typed ahead
//     for the next program stays in the kernel, and a password pasted together with its command is
//     never in our buffers.
//   - A password is read without echo, into memory that is wiped, and never enters the history.
//   - Ctrl-C abandons the line, the question or the wait. Ctrl-D on an empty line leaves the shell.
//     Ctrl-Z runs the line and returns to the top.
//   - Escape sequences are sent only to a terminal that understands them.
//   - The idle time, a hang-up or a signal ends every wait.
//
// Output is our own text with \n; foreign text is already escaped (package printable).
//
//	console.go  what both kinds of console do, and how reading can end
//	source.go   bytes, one at a time, with time-outs and signals
//	keys.go     the reader in front of golang.org/x/term: bytes to whole keys
//	screen.go   the console on a terminal: line editing, ? and Tab, paging
//	secret.go   passwords on a raw terminal
//	plain.go    the console of scripts, pipes and dumb terminals
//	mode.go     terminal modes, and what kind of console there is
//	pager.go    a screenful at a time
package console
