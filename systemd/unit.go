package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// UnitState is what systemd knows about a unit.
type UnitState struct {
	Load        string    `json:"load"`   // loaded, not-found, bad-setting, error, masked
	Active      string    `json:"active"` // active, reloading, inactive, failed, activating, deactivating
	Sub         string    `json:"sub"`    // more detailed, depends on the type: running, dead, auto-restart
	Description string    `json:"description"`
	Changed     time.Time `json:"changed"` // when Active changed last
	// Began is when it last left inactive: its start, from ExecStartPre= on. systemd takes the time after
	// it has started the first process. Zero: never since boot.
	Began time.Time `json:"began"`
	// Ended is when it last became inactive or failed. Zero: never since boot.
	Ended      time.Time `json:"ended"`
	Entered    time.Time `json:"entered"`    // when it last became active; zero: never since boot
	Invocation string    `json:"invocation"` // 32 hex digits, new at each start; empty: never started
	// RefusesStop is RefuseManualStop= as systemd has it loaded.
	RefusesStop bool `json:"refuses_stop"`
}

// Unit returns the state of a unit; one that does not exist has Load "not-found".
func (b *Bus) Unit(ctx context.Context, name string) (UnitState, error) {
	props, err := b.properties(ctx, name)
	if err != nil {
		return UnitState{}, err
	}
	return unitState(props), nil
}

func unitState(props map[string]any) UnitState {
	return UnitState{
		Load:        value[string](props, "LoadState"),
		Active:      value[string](props, "ActiveState"),
		Sub:         value[string](props, "SubState"),
		Description: value[string](props, "Description"),
		Changed:     fromMicroseconds(value[uint64](props, "StateChangeTimestamp")),
		Began:       fromMicroseconds(value[uint64](props, "InactiveExitTimestamp")),
		Ended:       fromMicroseconds(value[uint64](props, "InactiveEnterTimestamp")),
		Entered:     fromMicroseconds(value[uint64](props, "ActiveEnterTimestamp")),
		Invocation:  hex.EncodeToString(value[[]byte](props, "InvocationID")),
		RefusesStop: value[bool](props, "RefuseManualStop"),
	}
}

// value returns the zero value for a property that this version of systemd does not have.
func value[T any](props map[string]any, name string) T {
	v, _ := props[name].(T)
	return v
}

// fromMicroseconds converts systemd's times: microseconds since 1970-01-01, 0 for never.
func fromMicroseconds(us uint64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(us))
}

// Start starts a unit and waits until it has started.
func (b *Bus) Start(ctx context.Context, name string) error {
	return b.job(ctx, "start "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
		return c.StartUnitContext(ctx, name, "replace", done)
	})
}

// Restart stops a unit and those that need it, starts them again, and waits until the unit has
// started. It also starts a unit that does not run.
func (b *Bus) Restart(ctx context.Context, name string) error {
	return b.job(ctx, "restart "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
		return c.RestartUnitContext(ctx, name, "replace", done)
	})
}

// RestartIfRunning restarts a unit that runs. It fails where a job for the unit is queued, such as
// an administrator's stop, instead of replacing that.
func (b *Bus) RestartIfRunning(ctx context.Context, name string) error {
	return b.job(ctx, "restart "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
		return c.TryRestartUnitContext(ctx, name, "fail", done)
	})
}

// Stop stops a unit and waits until it has stopped. A unit that is not loaded counts as stopped.
func (b *Bus) Stop(ctx context.Context, name string) error {
	err := b.job(ctx, "stop "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
		return c.StopUnitContext(ctx, name, "replace", done)
	})
	if answered(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

// SetMemoryMax limits the memory of a running unit, in bytes, until the unit stops.
func (b *Bus) SetMemoryMax(ctx context.Context, name string, bytes int64) error {
	return b.again(ctx, "bound the memory of "+name, func(c *systemd.Conn) error {
		return c.SetUnitPropertiesContext(ctx, name, true, prop("MemoryMax", uint64(bytes)))
	})
}

// Enable enables unit files and makes systemd read them.
func (b *Bus) Enable(ctx context.Context, names ...string) error {
	err := b.again(ctx, "enable units", func(c *systemd.Conn) error {
		_, _, err := c.EnableUnitFilesContext(ctx, names, false, false)
		return err
	})
	if err != nil {
		return err
	}
	return b.Reload(ctx)
}

// Disable disables unit files and reloads systemd.
func (b *Bus) Disable(ctx context.Context, names ...string) error {
	err := b.again(ctx, "disable units", func(c *systemd.Conn) error {
		_, err := c.DisableUnitFilesContext(ctx, names, false)
		return err
	})
	if err != nil {
		return err
	}
	return b.Reload(ctx)
}

// job runs a call that queues a job, once, and waits for the job's end.
func (b *Bus) job(ctx context.Context, what string, call func(*systemd.Conn, chan<- string) (int, error)) error {
	return b.once(ctx, what, func(c *systemd.Conn) error {
		done := make(chan string, 1) // go-systemd handles no other signal until this is received
		if _, err := call(c, done); err != nil {
			return err
		}
		select {
		case result := <-done:
			return jobError(result)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// errJob is the error of a job that systemd ran without success.
var errJob = errors.New("the job ended")

func jobError(result string) error {
	switch result {
	case "done", "skipped":
		return nil
	}
	return fmt.Errorf("%w with %q", errJob, result)
}
