// Package sessions finds and ends what a password opened, and looks again to prove that it ended.
//
// What counts is where a process runs, as the kernel reports it. A process of the account has the
// account's uid as one of its four uids, or is in a user namespace of the account. It counts if it
// runs in a login session (of any user: a su(1) shell runs in the session of the user who typed
// it), in the user's own systemd (lingering or not), below a login service, or in no unit at all.
// Everything in any other unit is a system service, a container or a timer's job and is never
// touched: the application itself may run as that user. Root's own processes are never touched
// either.
//
// A process first gets SIGHUP and SIGTERM (an interactive shell ignores the latter), and is killed
// if that does not help. The signals go through a pidfd, so that they cannot hit another process
// that got the pid meanwhile. All of it takes at most two seconds.
//
// A session of a page has no process. It ends with its file, before the others and again after them.
//
//	sessions.go  List, End
//	place.go     which processes are sessions
//	find.go      the present ones
//	leftalone.go the background sessions, which this package does not end
//	signal.go    pidfd
//	doors.go     ways in that need no password, and their removal
package sessions
