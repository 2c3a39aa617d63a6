//go:build !faultpoints

package main

import (
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// faultProbe is nil but in the builds that the crash tests make.
func faultProbe() func(shadowsync.Step) { return nil }

// defaultBatchTime is app.batchTime but in those builds.
func defaultBatchTime() time.Duration { return 10 * time.Second }
