package state

import (
	"context"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func (t *tx) addLogout(application string, l shadowsync.Logout) error {
	origin, err := originText(l.Origin)
	if err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO logout (application, account, keep, origin) VALUES (?, ?, ?, ?)",
		application, l.Account, l.Keep, origin)
	return err
}

// Logouts lists the session ends still due, oldest first.
func (db *DB) Logouts(ctx context.Context, application string) ([]shadowsync.Logout, error) {
	var due []shadowsync.Logout
	err := db.read(ctx, "read the logouts of", func(tx *tx) error {
		var l shadowsync.Logout
		var origin string
		known := origins{}
		return tx.each("SELECT id, account, keep, origin FROM logout WHERE application = +? ORDER BY id", []any{application},
			[]any{&l.ID, &l.Account, &l.Keep, &origin}, func() (err error) {
				if l.Origin, err = known.parse(origin); err != nil {
					return err
				}
				due = append(due, l)
				return nil
			})
	})
	return due, err
}

// LogoutsDone settles session ends and audits them, all or none. A session end that another process
// has settled already is audited only by that process.
func (db *DB) LogoutsDone(ctx context.Context, done ...shadowsync.LoggedOut) error {
	return db.write(ctx, "settle a logout in", func(tx *tx) error {
		var events []shadowsync.Event
		for _, d := range done {
			gone, err := tx.exec("DELETE FROM logout WHERE id = ?", d.ID)
			if err != nil {
				return err
			}
			if gone > 0 {
				events = append(events, d.Event)
			}
		}
		return tx.audit(events...)
	})
}
