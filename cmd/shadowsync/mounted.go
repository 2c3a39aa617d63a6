package main

import (
	"context"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// A mounted system runs nothing: no unit to hold back, nobody logged in.
type (
	noGuard    struct{}
	noSessions struct{}
)

func (noGuard) Set(context.Context, string, []string) error { return nil }

func (noSessions) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return nil, nil, nil
}
