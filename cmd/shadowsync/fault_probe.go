//go:build faultpoints

package main

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultProbe kills this process at the step that SHADOWSYNC_FAULT names, as a
// power loss would. Only builds for the crash tests have it.
func faultProbe() func(shadowsync.Step) {
	die := shadowsync.Step(os.Getenv("SHADOWSYNC_FAULT"))
	if die == "" {
		return nil
	}
	return func(s shadowsync.Step) {
		if s != die {
			return
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL) // it does not fail for one's own pid
		select {}
	}
}
