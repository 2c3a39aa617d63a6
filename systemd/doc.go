// Package systemd is everything of shadowsync that touches systemd: PID 1, logind
// and the files they read.
//
//	units.go      the embedded units and how they are written
//	dropin.go     the hooks of an application's unit, as a drop-in
//	bus.go        access to PID 1 that survives its re-execution and the loss of D-Bus
//	unit.go       the state of units; start, stop, enable, reload
//	guard.go      holding back stop and restart of a unit, and the time limit on it
//	guardfile.go  the runtime drop-in that is the guard and its memory
//	inhibitor.go  delaying a shutdown
//	worker.go     store workers as transient units in a sandbox of their own
//	logind.go     logins: list, end, verify
//	notify.go     readiness, status and watchdog; sockets handed over at start
//
// Every wait is bounded by its context. Nothing here keeps a connection: one that
// outlives its call breaks when systemd re-executes itself, and would wake the
// broker for every job on the machine.
package systemd
