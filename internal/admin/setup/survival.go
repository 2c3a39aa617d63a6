package setup

import (
	"context"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// tellSurvival ends a setup. Only a password change followed by a start of the application can confirm that
// a new password survives a restart; until then setup says that it is not confirmed. With Restart it
// restarts the application and reports what the application reads and writes.
func (j *job) tellSurvival(ctx context.Context) error {
	if j.mounted() || j.DryRun || !j.ledger.exists() {
		return nil
	}
	db, err := j.ledger.open(ctx)
	if err != nil {
		return err
	}
	if j.Restart {
		if err := j.restarts(ctx, db); err != nil {
			return err
		}
	}
	for _, a := range j.config.Firsts() {
		unit, err := j.bus.Unit(ctx, a.Unit)
		if err != nil {
			continue
		}
		if account, at, ok := survived(ctx, db, j.config.Holders(a), unit.Entered); ok && unit.Active == "active" {
			j.note("confirmed: %s's password was changed at %s, and %s kept it when it started at %s",
				account, at.Local().Format(time.DateTime), a.Unit, unit.Entered.Local().Format(time.DateTime))
			continue
		}
		j.note("not confirmed yet that %[1]s keeps a new password: change one (passwd %[2]s), then run shadowsync setup --restart, which restarts %[1]s and watches its start", a.Unit, a.Accounts[0])
	}
	return nil
}

// survived finds an account whose password was changed before the application's last start and that
// is in sync since, as the first store's state has it. An alarm about a store at that start refutes it.
func survived(ctx context.Context, db *state.DB, holders []config.Application, started time.Time) (account string, at time.Time, ok bool) {
	a := holders[0]
	memory, err := db.Load(ctx, a.Name, a.Accounts)
	if err != nil || started.IsZero() || memory.Synced == (shadowsync.Revisions{}) {
		return "", at, false
	}
	for alarm, err := range db.Trail(ctx, state.Query{Since: started.Add(-time.Minute), Action: shadowsync.ActionAlarm}) {
		of := func(h config.Application) bool { return alarm.Event.Application == h.Name }
		if err != nil || slices.ContainsFunc(holders, of) && alarm.Event.WrongStore() {
			return "", at, false
		}
	}
	for _, name := range a.Accounts {
		m := memory.Accounts[name]
		if m.Open != nil || m.Baseline == nil {
			continue
		}
		for _, e := range m.Record {
			if !e.Lost && e.Replaced.Before(started) && e.OS.Hash != m.Baseline.OS.Hash {
				return name, e.Replaced, true
			}
		}
	}
	return "", at, false
}
