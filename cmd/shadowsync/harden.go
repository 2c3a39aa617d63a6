package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// harden keeps the clear text that this process is about to hold out of swap and
// core dumps, and other processes out of its memory. It is done as well as the
// kernel lets us: a container may forbid some of it, and a lost password is to
// be recovered there too. Children inherit the core limit.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// ONFAULT: Go reserves far more address space than it uses.
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// wipe overwrites a token.
func wipe(token []byte) {
	clear(token[:cap(token)])
	runtime.KeepAlive(token)
}
