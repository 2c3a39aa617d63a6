//go:build !faultpoints

package main

import "github.com/shadowsync/shadowsync/shadowsync"

// faultProbe is nil but in the builds that the crash tests make.
func faultProbe() func(shadowsync.Step) { return nil }
