package doctor

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

// checkStartHook reports an application that started although the hook before its start had failed.
// The command runs the hook again, which compares both sides now.
func checkStartHook(ctx context.Context, e *exam) verdict {
	return e.eachUnit("none failed before the last start of its application", func(a config.Application) verdict {
		failure, failed, err := e.bus.HookFailed(ctx, a.Unit)
		switch {
		case err != nil:
			return fail("%v", err)
		case !failed:
			return pass("")
		}
		again := []string{"start", failure.Unit}
		command := "systemctl start " + failure.Unit
		if failure.MadeUp {
			return warn("%s before %s started; %s did its work", failure, a.Unit, systemd.RetryUnit(a.Unit)).by(command, systemctl(again...))
		}
		return fail("%s before %s started, which may have undone a password that was set while shadowsync did not run: try the last one that was set", failure, a.Unit).
			by(command, systemctl(again...))
	})
}
