//go:build faultpoints

package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultProbe strikes this process at the step that SHADOWSYNC_FAULT names: by
// SIGKILL, as a power loss would, or with "stop:" before the step by SIGSTOP, the
// first time it gets there; with "@2" after the step, once two reconciles of this
// process were committed before. Only builds for the tests have it.
func faultProbe() func(shadowsync.Step) {
	at, stops := strings.CutPrefix(os.Getenv("SHADOWSYNC_FAULT"), "stop:")
	if at == "" {
		return nil
	}
	strike := kill
	if stops {
		strike = sync.OnceFunc(stop)
	}
	at, after, _ := strings.Cut(at, "@")
	commits, _ := strconv.Atoi(after) // none: at once
	var committed atomic.Int64
	return func(s shadowsync.Step) {
		if s == shadowsync.Step(at) && int(committed.Load()) >= commits {
			strike()
		}
		if s == shadowsync.StepCommitted {
			committed.Add(1)
		}
	}
}

// defaultBatchTime is what SHADOWSYNC_BATCH says, so that a crowd that is quickly
// hashed makes several batches.
func defaultBatchTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SHADOWSYNC_BATCH")); err == nil {
		return d
	}
	return 10 * time.Second
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
