package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// endSessions ends the sessions that old passwords opened and names the survivors on standard
// error, because they are not the requested output.
func (a *app) endSessions(ctx context.Context, e *engine.Engine, application config.Application) error {
	ctx, cancel := context.WithTimeout(ctx, logoutTimeout)
	defer cancel()
	survivors, err := e.Reconciler(application.Name).EndSessions(ctx)
	for _, name := range slices.Sorted(maps.Keys(survivors)) {
		for _, s := range survivors[name] {
			a.complaint("%s", survivor(name, s))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot end the sessions of %s's accounts: %w", application.Name, err)
	}
	return nil
}

// survivor is the message for a session that could not be ended.
func survivor(name string, s shadowsync.Session) string {
	return fmt.Sprintf("cannot end every session of %s: still logged in: %s", name, sessionText(s))
}

// sessionText describes a session: "session 3 (sshd, pts/0, from 192.0.2.1, since ...)".
func sessionText(s shadowsync.Session) string {
	text := "session " + s.ID + " (" + s.Kind
	if s.Terminal != "" {
		text += ", " + s.Terminal
	}
	if s.Remote != "" {
		text += ", from " + s.Remote
	}
	return text + ", since " + clock(s.Since) + ")"
}
