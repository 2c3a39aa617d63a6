//go:build !faultpoints

package main

import (
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultProbe is nil except in the builds for the crash tests.
func faultProbe() func(shadowsync.Step) { return nil }

// restoreProbe does the same for a restore.
func restoreProbe() func(string) { return nil }

// defaultBatchTime is app.batchTime except in those builds.
func defaultBatchTime() time.Duration { return 10 * time.Second }
