package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// attempt is how the first try at a hook went. systemd says so in the environment of the second
// (systemd.exec(5)); a version before 251 does not.
type attempt struct{ unit, result, status string }

func firstTry() attempt {
	return attempt{os.Getenv("MONITOR_UNIT"), os.Getenv("MONITOR_SERVICE_RESULT"), os.Getenv("MONITOR_EXIT_STATUS")}
}

func (t attempt) String() string {
	switch {
	case t.unit == "":
		return "the hook's unit failed"
	case t.status == "":
		return fmt.Sprintf("%s failed (%s)", t.unit, t.result)
	}
	return fmt.Sprintf("%s failed (%s, status %s)", t.unit, t.result, t.status)
}

const (
	execFailed = 200 // from here on, an exit status is systemd's, which could not run the program
	crashed    = 2   // Go's, for a panic; a hook itself does not end with it
)

// decided returns an error if the first try was our program's own decision: a second one would make
// the application wait for the same. A program that was killed, or did not run, has decided nothing.
func (t attempt) decided() error {
	status, err := strconv.Atoi(t.status)
	decided := t.result == "exit-code" && err == nil && status != crashed && status < execFailed
	if !decided {
		return nil
	}
	return fmt.Errorf("%s, and said why: there is no second try", t)
}

// recordAgain records that a hook could not run in its own unit, and how the second try went.
func recordAgain(ctx context.Context, e *engine.Engine, o hookOptions, failed error) error {
	a, _ := e.Config.Application(o.unit)
	reason := firstTry().String() + "; the second try did its work"
	if failed != nil {
		reason = firstTry().String() + "; the second try failed too: " + failed.Error()
	}
	return e.Audit(ctx, shadowsync.Event{
		At: time.Now(), Application: a.Name, Action: "hook-failed", Reason: reason, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart},
	})
}
