package main

import (
	"context"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// A mounted system runs nothing: it has no unit to hold and no logged-in user.
type (
	noSessions struct{}
)

func (noSessions) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return nil, nil, nil
}
