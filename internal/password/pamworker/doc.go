// Package pamworker runs a transaction of the machine's own PAM stack for passwd(1), in a process that
// exits afterwards. So an operator's password change is judged exactly as the operator's own passwd
// would be. The process that proves the current password can stay for the change, which it then begins
// at once, as passwd does before it asks for the new password.
//
// The process has the operator's real uid and the effective uid 0, like the setuid passwd.
// pam_unix, pam_pwquality and similar modules look at that when they ask for the current password
// and enforce the minimum age. The process has its own unit and is never a thread or a child of the
// broker, because the user with its real uid may signal it. The kernel kills it at its deadline,
// because a stopped process may hold the lock of the password files.
//
// Clear text arrives as sealed memfds, which the broker passes on unread.
//
//	worker.go        the process
//	change.go        the change after the proof, in the same process
//	conversation.go  what the stack asks, and what it says
//	deadline.go      its forced end, even if it is stopped
//	client.go        starting one, from the broker
package pamworker
