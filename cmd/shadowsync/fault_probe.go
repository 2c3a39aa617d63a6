//go:build faultpoints

package main

import (
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultProbe strikes this process at the step that SHADOWSYNC_FAULT names: by
// SIGKILL, as a power loss would, or with "stop:" before the step by SIGSTOP, the
// first time it gets there. Only builds for the tests have it.
func faultProbe() func(shadowsync.Step) {
	at, stops := strings.CutPrefix(os.Getenv("SHADOWSYNC_FAULT"), "stop:")
	if at == "" {
		return nil
	}
	strike := kill
	if stops {
		strike = sync.OnceFunc(stop)
	}
	return func(s shadowsync.Step) {
		if s == shadowsync.Step(at) {
			strike()
		}
	}
}

func kill() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // it does not fail for one's own pid
	select {}
}

// stop returns when somebody lets the process go on. The signal is for this very
// thread, which takes it before tgkill(2) returns: one for the process may go to a
// thread that sleeps, and this one would go on until that has woken.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // it does not fail for one's own thread
}
