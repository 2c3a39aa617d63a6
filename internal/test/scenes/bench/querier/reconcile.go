package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const application = "crowded"

// open opens the engine for an application with the whole crowd. Its store runs in a unit, as the daemon's
// does.
func open(ctx context.Context, dsn, passwordFile string) (*engine.Engine, error) {
	c, err := config.Parse(fmt.Appendf(nil, `[[application]]
name = %q
unit = "crowded.service"
accounts = ["%s"]
[application.store]
driver = "sql"
dsn = %q
password_file = %q
table = "crowd"
name = "name"
password = "password"
`, application, strings.Join(names(), `", "`), dsn, passwordFile))
	if err != nil {
		return nil, err
	}
	return engine.Open(ctx, engine.Options{
		Root: "/", Config: c, Program: "querier", StoreTimeout: 5 * time.Second, Guard: engine.NoGuard{}, Sessions: quiet{},
	})
}

// quiet: nobody is logged in.
type quiet struct{}

func (quiet) End(context.Context, shadowsync.Account, shadowsync.Logout) (ended, survivors []shadowsync.Session, err error) {
	return nil, nil, nil
}

// settle brings both sides together, so that nothing is left to do.
func settle(ctx context.Context, e *engine.Engine) error {
	if _, err := e.Reconcile(ctx, application, shadowsync.Request{Force: true, First: shadowsync.OSSide}); err != nil {
		return err
	}
	report, err := e.Reconcile(ctx, application, shadowsync.Request{Force: true})
	if err != nil || report.Fault != nil || len(report.Outcomes) != crowd {
		return fmt.Errorf("%d accounts, %v: %w", len(report.Outcomes), report.Fault, err)
	}
	return nil
}

// reconcile measures a poll that finds nothing changed.
func reconcile(ctx context.Context, e *engine.Engine) error {
	for range reads {
		began := time.Now()
		report, err := e.Reconcile(ctx, application, shadowsync.Request{Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch}})
		if err != nil || !report.Unchanged {
			return fmt.Errorf("it is not unchanged: %w", err)
		}
		fmt.Println("reconciled", time.Since(began).Microseconds())
	}
	return nil
}
