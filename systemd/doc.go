// Package systemd is the part of shadowsync that talks to systemd: to PID 1, to logind and through
// the files they read.
//
//	units.go      the embedded units and how they are written
//	dropin.go     the hooks of an application's unit, as a drop-in
//	bus.go        access to PID 1 that survives its re-execution and the loss of D-Bus
//	reloads.go    one reload for all who wait for one
//	unit.go       the state of units; start, stop, enable, reload
//	reloadunit.go reloads of other services
//	wiring.go     how a unit is loaded and tied to others
//	hookrun.go    how the hooks before an application's last start went
//	guard.go      holding back stop and restart of a unit, and the time limit on it
//	guardmove.go  moves the guard of an application whose unit was edited
//	guardfile.go  the runtime drop-in that is the guard and its memory
//	inhibitor.go  delaying a shutdown
//	worker.go     store workers as transient units, each in its own sandbox
//	network.go    what a worker may reach of the network
//	logind.go     logins: list, end, verify
//	notify.go     readiness, status and watchdog; sockets handed over at start
//	guardlift.go  lifting a guard after the settle time
//	transient.go  units that exist only while something runs
//	helper.go     helpers: one task outside the broker's sandbox
//	notice.go     runs of the administrator's program
//
// Every wait is bounded by its context. No connection outlives its call: it would break when
// systemd re-executes itself, and would wake the broker for every job on the machine.
package systemd
