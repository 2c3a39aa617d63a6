package main

import (
	"context"

	"github.com/shadowsync/shadowsync/systemd"
)

// hookStatus is a start hook that has failed although its application started.
type hookStatus struct {
	Unit   string `json:"unit"`
	Reason string `json:"reason"`
}

// hookOf returns the failure of an application's start hook; nil: none, unknown, or made up for by
// the second try.
func hookOf(ctx context.Context, application string) *hookStatus {
	failure, failed, err := (&systemd.Bus{}).HookFailed(ctx, application)
	if err != nil || !failed || failure.MadeUp {
		return nil
	}
	return &hookStatus{
		Unit:   failure.Unit,
		Reason: failure.String() + " before " + application + " started, which may have undone a password that was set while shadowsync did not run",
	}
}

// command runs the hook again: it compares both sides, and says what is wrong with it.
func (s hookStatus) command() string { return "systemctl start " + shellWord(s.Unit) }
