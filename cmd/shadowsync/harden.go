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
	memoryLocked = unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) == nil
}

// memoryLocked tells whether the memory is kept out of swap.
var memoryLocked bool

// hardenCrowd is for the hashing of many passwords: what is mapped from here on is locked
// whole. yescrypt maps 16 MiB for each hash, and to lock those page by page, as they are
// touched, makes all of it 5 % slower. It costs a stack of 8 MiB for each further thread.
func hardenCrowd() {
	if memoryLocked {
		_ = unix.Mlockall(unix.MCL_FUTURE) // what is mapped already stays as it is
	}
}

// wipe overwrites a token.
func wipe(token []byte) {
	clear(token[:cap(token)])
	runtime.KeepAlive(token)
}
