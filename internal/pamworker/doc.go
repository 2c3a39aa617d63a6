// Package pamworker runs one transaction of the machine's own PAM stack for passwd(1), in a
// process that exits afterwards, so that an operator's password change is judged
// exactly as the operator's own passwd would be.
//
// The process has the operator's real uid and the effective uid 0, as the setuid
// passwd has: that is what pam_unix, pam_pwquality and their like go by when
// they ask for the current password and hold somebody to the minimum age. It has a unit
// of its own, never a thread or a child of the broker: whose real uid it has may
// signal it. The kernel kills it at its deadline, for a stopped one may hold the lock of
// the password files.
//
// Clear text comes as sealed memfds that the broker hands on unread.
//
//	worker.go        Main, the process
//	conversation.go  what the stack asks, and what it says
//	deadline.go      its end, whoever stopped it
//	client.go        starting one, from the broker
package pamworker
