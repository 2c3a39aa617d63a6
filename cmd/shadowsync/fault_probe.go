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

// faultProbe interrupts this process at the step that SHADOWSYNC_FAULT names: with SIGKILL, as a
// power loss would, or, after the prefix "stop:", with SIGSTOP the first time only. The suffix "@2"
// waits until this process has committed two reconciles. Only test builds contain it.
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
	commits, _ := strconv.Atoi(after) // without a number: at once
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

// restoreProbe kills this process at the step of a restore that SHADOWSYNC_FAULT names.
func restoreProbe() func(string) {
	at, ok := strings.CutPrefix(os.Getenv("SHADOWSYNC_FAULT"), "restore:")
	if !ok {
		return nil
	}
	return func(step string) {
		if step == at {
			kill()
		}
	}
}

// defaultBatchTime comes from SHADOWSYNC_BATCH, so that tests get several batches from accounts
// that are hashed quickly.
func defaultBatchTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("SHADOWSYNC_BATCH")); err == nil {
		return d
	}
	return 10 * time.Second
}

func kill() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // cannot fail for our own pid
	select {}
}

// stop returns once another process continues this one. It signals its own thread, which takes the
// signal before tgkill(2) returns. A signal to the process may go to a sleeping thread, and this
// thread would run on until that one wakes up.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // cannot fail for our own thread
}
