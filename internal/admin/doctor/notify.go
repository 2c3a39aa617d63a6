package doctor

import (
	"context"
	"os"
	"os/user"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// checkNotify checks that the administrator's program can be run, and how its last run ended.
func checkNotify(ctx context.Context, e *exam) verdict {
	program := e.config.Notify.Command
	if program == "" {
		return pass("notify.command is not set: no program is told")
	}
	if v := assessNotifyUser(ctx, e); v.state != OK {
		return v
	}
	switch info, err := os.Stat(program); {
	case err != nil:
		return warn("notify.command: %v; no program is told", err).person("name a program", "editor "+e.Config)
	case !info.Mode().IsRegular():
		return warn("notify.command: %s is not a file; no program is told", program).person("name a program", "editor "+e.Config)
	case info.Mode()&0o111 == 0:
		return warn("notify.command: %s is not executable; no program is told", program).by("chmod a+x "+program, nil)
	}
	if e.state == nil {
		return notChecked("the state cannot be opened")
	}
	last, found, err := e.state.Notified(ctx, time.Now())
	switch {
	case err != nil:
		return fail("%v", err)
	case found && last.Action == state.ActionNotNotified:
		return warn("at %s: %s", last.At.Local().Format(time.DateTime), printable.Quote(last.Reason)).
			person("repair the program", "journalctl -t shadowsync-notify")
	}
	return pass("%s can be run, and no failure is recorded since it last worked", program)
}

// assessNotifyUser asks the directory before it asks the system, which may wait for it without end, and does not tell an
// account that is not there from a directory that does not answer.
func assessNotifyUser(ctx context.Context, e *exam) verdict {
	name := e.config.Notify.User
	if people, err := shadowfile.People(ctx, "/"); err == nil && people[name].Name == name {
		return pass("")
	}
	if _, err := directory.Known(ctx, []string{name}); err != nil {
		return warn("notify.user %s: it is not known whether there is such an account: %v; the program is not run until then", name, err)
	}
	if _, err := user.Lookup(name); err != nil {
		return warn("notify.user %s: %v; the program is not run", name, err).person("name an account", "editor "+e.Config)
	}
	return pass("")
}
