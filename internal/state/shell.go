package state

import "context"

// FormerShell is the login shell that an account has, or had before it got the operators' shell.
type FormerShell struct {
	Account string
	UID     int // the account's: another one of that name had not this shell
	Shell   string
}

// FormerShells returns those on record, by account.
func (db *DB) FormerShells(ctx context.Context) (map[string]FormerShell, error) {
	all := map[string]FormerShell{}
	err := db.read(ctx, "read", func(tx *tx) error {
		var f FormerShell
		return tx.each("SELECT account, uid, shell FROM shell", nil, []any{&f.Account, &f.UID, &f.Shell}, func() error {
			all[f.Account] = f
			return nil
		})
	})
	return all, err
}

// NoteShell records an account's login shell. It replaces the record that the account had.
func (db *DB) NoteShell(ctx context.Context, f FormerShell) error {
	return db.write(ctx, "write to", func(tx *tx) error {
		_, err := tx.exec("INSERT INTO shell (account, uid, shell) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET uid = excluded.uid, shell = excluded.shell", f.Account, f.UID, f.Shell)
		return err
	})
}
