// Package exit has the exit statuses that the root tool and the operators' shell share.
package exit

// The statuses.
const (
	Done             = 0
	Failed           = 1
	Usage            = 2
	NotInSync        = 3 // or done on the OS side and pending on the store's
	Conflict         = 4 // a person must decide
	Unknown          = 5 // no such account or application
	Policy           = 6 // refused by the password policy
	NotAuthenticated = 7
	NotPermitted     = 8
	Unavailable      = 9 // the store, a lock or the daemon, in time
	Interrupted      = 130
)
