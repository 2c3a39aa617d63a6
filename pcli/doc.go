// Package pcli is the operators' shell: a prompt in the manner of network appliances, from which an operator
// changes their own password and an administrator looks after the managed accounts.
//
// The shell decides nothing. Who somebody is and what they may do is the broker's
// word (package operator), asked anew with every command; the shell only leaves out
// what the role may not run anyway. What comes from the broker about others is foreign text, and
// is quoted (package printable) before it meets the terminal.
//
// A password is on its way in locked memory of this process, from the terminal to a sealed
// memfd, and wiped after each. It is in no history, no argument and no environment.
//
//	run.go       from options to exit status: one command, a script or a person
//	shell.go     the loop: a line, what it means, how it ended
//	commands.go  the one table of commands, and that of the edit menu
//	password.go  set password, and the password that has expired
//	users.go     create, delete, lock, unlock, expire, disconnect
//	edit.go      edit user, in one line or in its menu
//	show.go      the show commands
//	local.go     help, history, exit
//	layout.go    tables and records, as the appliance draws them
//	errors.go    from error to words and exit status
//	history.go   lines, and calling them back with !
//	man.go       the man page
package pcli
