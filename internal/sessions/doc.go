// Package sessions finds and ends what a password opened, and proves it by
// looking again.
//
// What counts is where a process is, by the kernel's word: whoever runs with the
// account's real or effective uid in a login session (anybody's: a su(1) shell
// stands in the session of who typed it), in the user's own systemd (lingering or
// not), below a login service, or in no unit at all. What is in any other unit is a
// system service, a container or a timer's job, and is never touched: the
// application itself may run as that user. Nor is anything of root's.
//
// A process is asked with SIGHUP and SIGTERM (an interactive shell ignores the latter), and killed
// where that does not help, through a pidfd, so that no other process
// can be hit that got its pid meanwhile. All of it takes at most two seconds.
//
//	sessions.go  List, End
//	place.go     which processes are sessions
//	find.go      the present ones
//	signal.go    pidfd
//	doors.go     ways in that need no password, and their end
package sessions
