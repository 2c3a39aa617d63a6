package state

import (
	"context"
	"database/sql"
	"net/url"
	"os"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Salvage reads the changes in progress, with their accounts' baselines, from a database that was
// moved aside, by application and account. It leaves out what cannot be read. A damaged file may
// hold anything, so the caller must compare the result with both sides.
func Salvage(ctx context.Context, aside string) map[string]map[string]shadowsync.AccountMemory {
	pool := openAside(ctx, aside)
	if pool == nil {
		return nil
	}
	defer pool.Close()
	found := salvagedChanges(ctx, pool)
	for application, accounts := range found {
		for name, m := range accounts {
			m.Baseline = salvagedBaseline(ctx, pool, application, name)
			accounts[name] = m
		}
	}
	return found
}

// openAside opens a damaged database for reading; nil if that fails. It opens no FIFO, which would block
// for ever.
func openAside(ctx context.Context, aside string) *sql.DB {
	if info, err := os.Lstat(aside); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	address, err := litefile.Address(aside, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	if err != nil {
		return nil
	}
	pool, err := sql.Open("sqlite3", address)
	if err != nil {
		return nil
	}
	pool.SetMaxOpenConns(1)
	if _, err := pool.ExecContext(ctx, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY"); err != nil {
		_ = pool.Close() // nothing was read
		return nil
	}
	return pool
}

// SalvageSetup reads from such a database the files that setup wrote, and the applications whose
// unit is held back by hand. The list of files is nil unless all of it can be read, because remove
// deletes what is on it.
func SalvageSetup(ctx context.Context, aside string) (files []SetupFile, held []string) {
	pool := openAside(ctx, aside)
	if pool == nil {
		return nil, nil
	}
	defer pool.Close()
	var f SetupFile
	if salvagedRows(ctx, pool, "SELECT path, wrote, before FROM manifest", []any{&f.Path, &f.Wrote, &f.Before}, func() { files = append(files, f) }) != nil {
		files = nil
	}
	var name string
	_ = salvagedRows(ctx, pool, "SELECT name FROM application WHERE held", []any{&name}, func() { held = append(held, name) }) // the rows before the damage are good
	return files, held
}

// SalvageFactors reads from such a database the second factors, as far as they can be read.
func SalvageFactors(ctx context.Context, aside string) (found []factor.Record) {
	pool := openAside(ctx, aside)
	if pool == nil {
		return nil
	}
	defer pool.Close()
	var row factorRow
	_ = salvagedRows(ctx, pool, "SELECT "+factorColumns+" FROM factor", row.dest(), func() { // the rows before the damage are good
		if r, err := row.record(); err == nil {
			found = append(found, r)
		}
		row = factorRow{}
	})
	return found
}

func salvagedRows(ctx context.Context, pool *sql.DB, query string, dest []any, each func()) error {
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		each()
	}
	return rows.Err()
}

func salvagedChanges(ctx context.Context, pool *sql.DB) map[string]map[string]shadowsync.AccountMemory {
	found := map[string]map[string]shadowsync.AccountMemory{}
	rows, err := pool.QueryContext(ctx, "SELECT application, "+changeColumns+" FROM change")
	if err != nil {
		return found
	}
	defer rows.Close()
	known := origins{}
	for rows.Next() {
		var application string
		var row changeRow
		if rows.Scan(append([]any{&application}, row.dest()...)...) != nil {
			continue
		}
		c, err := row.change(known)
		if err != nil {
			continue
		}
		if found[application] == nil {
			found[application] = map[string]shadowsync.AccountMemory{}
		}
		found[application][c.Account] = shadowsync.AccountMemory{Open: &c}
	}
	_ = rows.Err() // the rows before the damage are good
	return found
}

func salvagedBaseline(ctx context.Context, pool *sql.DB, application, account string) *shadowsync.Baseline {
	var os, store sql.NullString
	err := pool.QueryRowContext(ctx, "SELECT os, store FROM account WHERE application = ? AND account = ?", application, account).Scan(&os, &store)
	if err != nil || !os.Valid {
		return nil
	}
	b, err := pair(os.String, store.String)
	if err != nil {
		return nil
	}
	return &b
}
