package systemd

import (
	"context"
	"errors"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// Reloading says what a reload of a unit would do.
type Reloading struct {
	Exists  bool
	Running bool // otherwise it reads its files when it starts
	Masked  bool // then it cannot be reloaded, even while it still runs
	Can     bool // it has ExecReload=, or reloads by a signal
	MainPID int  // 0: it has no main process
	// Changed is when it was started or reloaded last.
	Changed time.Time
}

// Reloading returns what a reload of a unit would do.
func (b *Bus) Reloading(ctx context.Context, name string) (Reloading, error) {
	props, err := b.properties(ctx, name)
	if err != nil {
		return Reloading{}, err
	}
	load := value[string](props, "LoadState")
	r := Reloading{Exists: load != "not-found", Masked: load == "masked", Can: value[bool](props, "CanReload")}
	r.Changed = fromMicroseconds(value[uint64](props, "StateChangeTimestamp"))
	switch value[string](props, "ActiveState") {
	case "inactive", "failed", "deactivating":
	default:
		r.Running = !strings.HasPrefix(value[string](props, "SubState"), "auto-restart")
	}
	if r.Running {
		err = b.again(ctx, "find the process of "+name, func(c *systemd.Conn) error {
			pid, err := c.GetServicePropertyContext(ctx, name, "MainPID")
			if err == nil {
				main, _ := pid.Value.Value().(uint32)
				r.MainPID = int(main)
			}
			return err
		})
	}
	return r, err
}

var (
	errNoUnit   = errors.New("there is no such unit")
	errMasked   = errors.New("the unit is masked")
	errNoReload = errors.New("the unit has no ExecReload=")
)

// ReloadUnit makes a running unit read its files again, and waits until that is done. A unit that does
// not run has nothing to reload. It fails where a job for the unit is queued, such as an
// administrator's stop, instead of replacing that. The reload begins only when the unit's start and its
// last reload, whoever asked for that, are this long ago.
func (b *Bus) ReloadUnit(ctx context.Context, name string, pause time.Duration) error {
	r, err := b.Reloading(ctx, name)
	switch {
	case err != nil:
		return err
	case !r.Exists:
		return errNoUnit
	case !r.Running:
		return nil
	case r.Masked:
		return errMasked
	case !r.Can:
		return errNoReload
	}
	if early := min(pause, time.Until(r.Changed.Add(pause))); early > 0 {
		if err := sleep(ctx, early); err != nil {
			return err
		}
	}
	return b.job(ctx, "reload "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
		return c.ReloadUnitContext(ctx, name, "fail", done)
	})
}
