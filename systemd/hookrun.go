package systemd

import (
	"context"
	"fmt"

	systemd "github.com/coreos/go-systemd/v22/dbus"
)

// HookFailure says that an application started although the last run of its start hook had failed:
// a password that was set while nothing of ours ran may be undone.
type HookFailure struct {
	Unit   string // of the hook
	Result string // what systemd knows: "exit-code, status 226"
	// MadeUp reports whether the second try has done the work, before the application started.
	MadeUp bool
}

func (f HookFailure) String() string { return fmt.Sprintf("%s failed (%s)", f.Unit, f.Result) }

// HookFailed returns the failure of an application's start hook, and whether there is one. It ends
// with the hook's next good run: at the next start of the application, or by `systemctl start`.
func (b *Bus) HookFailed(ctx context.Context, application string) (HookFailure, bool, error) {
	f := HookFailure{Unit: StartUnit(application)}
	var runs [3]serviceRun
	for i, unit := range []string{f.Unit, RetryUnit(application), application} {
		var props map[string]any
		err := b.again(ctx, "read the state of "+unit, func(c *systemd.Conn) (err error) {
			props, err = c.GetAllPropertiesContext(ctx, unit)
			return err
		})
		if err != nil {
			return f, false, err
		}
		runs[i] = runOf(props)
	}
	f, failed := compareRuns(f, runs[0], runs[1], runs[2])
	return f, failed, nil
}

// serviceRun is the last run of a service, in microseconds of CLOCK_MONOTONIC; 0: not since boot.
type serviceRun struct {
	result string // systemd's Result: "success" also before the first run
	status int32
	began  uint64 // with ExecStartPre=, or again after an automatic restart
	ended  uint64 // the last change of its state
}

func runOf(props map[string]any) serviceRun {
	at := func(name string) uint64 { return value[uint64](props, name+"TimestampMonotonic") }
	return serviceRun{
		result: value[string](props, "Result"),
		status: value[int32](props, "ExecMainStatus"),
		began:  max(at("InactiveExit"), at("ActiveEnter"), value[uint64](props, "ExecMainStartTimestampMonotonic")),
		ended:  at("StateChange"),
	}
}

// compareRuns compares the runs of a start hook, its second try and the application. A hook that
// failed while the application ran, or whose failure kept it down, has undone nothing.
func compareRuns(f HookFailure, hook, second, application serviceRun) (HookFailure, bool) {
	if hook.result == "" || hook.result == "success" || application.began < hook.ended {
		return f, false
	}
	f.Result = hook.result
	if hook.result == "exit-code" {
		f.Result = fmt.Sprintf("%s, status %d", hook.result, hook.status)
	}
	f.MadeUp = second.result == "success" && second.ended >= hook.ended && second.ended <= application.began
	return f, true
}
