// Package pcli is the operators' shell: a prompt like that of network appliances, where an operator
// changes their own password and an administrator manages accounts.
//
// The shell decides nothing. For every command the broker decides anew who the operator is and what
// they may do (package operator). The shell only hides commands that the role may not run. What the
// broker reports about others is foreign text, and is quoted (package printable) before it reaches
// the terminal.
//
// A password travels in locked memory of this process, from the terminal to a sealed memfd, and is
// wiped after each use. It is in no history, argument or environment variable.
//
//	run.go       from options to exit status: one command, a script or a person
//	shell.go     the loop: read a line, run it, keep its status
//	commands.go  the one table of commands, and that of the edit menu
//	password.go  set password, also for an expired one
//	factor.go    codes of a second factor: asked for, enrolled, renewed, reset
//	lost.go      the way back for who lost the authenticator; the mail address
//	users.go     create, delete, lock, unlock, expire, disconnect
//	edit.go      edit user, in one line or in its menu
//	show.go      the show commands
//	local.go     help, history, exit
//	layout.go    tables and records in the appliance's layout
//	errors.go    from error to text and exit status
//	history.go   the lines typed, and their recall with !
//	man.go       the man page
package pcli
