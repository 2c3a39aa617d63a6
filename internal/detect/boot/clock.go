package boot

import "golang.org/x/sys/unix"

// ClockAdrift reports whether nothing keeps the wall clock right, as adjtimex(2) says: the codes of second
// factors depend on it. It is false where that cannot be known, as in a container, whose host keeps the clock.
func ClockAdrift() bool {
	var t unix.Timex // its zero value changes nothing
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC != 0
}
