package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// patience is how long to wait for transactions of other processes. Each takes milliseconds.
const patience = 2 * time.Second

// tx is a running transaction.
type tx struct {
	ctx     context.Context
	db      *DB
	carried func() // called when the transaction is durable; nil: see carry
}

// read runs do on one consistent snapshot of the database.
func (db *DB) read(ctx context.Context, doing string, do func(*tx) error) error {
	return db.transact(ctx, doing, beginRead, do)
}

// write runs do in a transaction that is durable when write returns nil. EXCLUSIVE, not IMMEDIATE:
// then all waiting happens at the begin, none at the commit.
func (db *DB) write(ctx context.Context, doing string, do func(*tx) error) error {
	return db.transact(ctx, doing, beginWrite, do)
}

// A plain BEGIN takes no lock; the SELECT takes the shared lock of readers, and rolls back what a
// crash left.
const (
	beginRead  = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1"
	beginWrite = "BEGIN EXCLUSIVE"
)

func (db *DB) transact(ctx context.Context, doing, begin string, do func(*tx) error) error {
	select {
	case db.turn <- struct{}{}:
		defer func() { <-db.turn }()
	case <-ctx.Done():
		return db.fault(doing, ctx.Err())
	}
	t := &tx{ctx: ctx, db: db}
	if begin == beginWrite {
		db.writes++
	}
	err := db.still()
	if err == nil {
		err = db.patiently(ctx, func() error { return t.begin(begin) })
	}
	if err != nil {
		return db.fault(doing, err)
	}
	committed := false
	defer func() { // also when do panics
		if !committed {
			_ = t.run("ROLLBACK") // an error means that SQLite has rolled back by itself
		}
	}()
	if begin == beginWrite {
		err = t.same()
	}
	if err == nil {
		err = do(t)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = t.run("COMMIT")
		committed = err == nil
	}
	if err == nil && begin == beginWrite {
		err = db.still() // what was written to a replaced file is not recorded
	}
	if err != nil {
		return db.fault(doing, err)
	}
	if t.carried != nil {
		t.carried()
	}
	return nil
}

func (t *tx) begin(begin string) error {
	err := t.run(begin)
	if err != nil && begin == beginRead {
		_ = t.run("ROLLBACK") // of the BEGIN, if it succeeded
	}
	return err
}

// patiently repeats do while another process holds the database.
func (db *DB) patiently(ctx context.Context, do func() error) error {
	for end := time.Now().Add(patience); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := do()
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy || time.Now().After(end) {
			return err
		}
		if waitErr := wait(ctx, time.Millisecond); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fault adds to an error the operation, the file and the kind of error.
func (db *DB) fault(doing string, err error) error {
	var newer *NewerError
	if errors.As(err, &newer) {
		return err
	}
	if unwritable(err) {
		err = &UnwritableError{err}
	}
	if kind := kindOf(err); kind != nil {
		return db.damage(fmt.Errorf("cannot %s state %s: %w: %w", doing, db.path, kind, err))
	}
	return db.damage(fmt.Errorf("cannot %s state %s: %w", doing, db.path, err))
}

// UnwritableError: nothing can be recorded. The disk is full, over a quota, read-only or failing, or the
// file is immutable.
type UnwritableError struct{ err error }

func (e *UnwritableError) Error() string { return e.err.Error() }
func (e *UnwritableError) Unwrap() error { return e.err }

func unwritable(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && slices.Contains([]sqlite3.ErrNo{sqlite3.ErrFull, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrPerm}, e.Code)
}

func kindOf(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return shadowsync.ErrUnavailable
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return nil
	}
	if missesTables(e) {
		return shadowsync.ErrMalformed
	}
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrIoErr, sqlite3.ErrFull, sqlite3.ErrReadonly,
		sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrNomem, sqlite3.ErrProtocol, sqlite3.ErrInterrupt:
		return shadowsync.ErrUnavailable
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB, sqlite3.ErrFormat:
		return shadowsync.ErrMalformed
	}
	return nil
}

// run executes SQL that is not worth preparing.
//
// Short statements run without the context: with one, the driver would start a
// goroutine for each. The context is checked between them.
func (t *tx) run(query string) error {
	_, err := t.db.conn.ExecContext(context.Background(), query)
	return err
}

// prepare prepares a statement once. A query that orders by a column, or takes its maximum, and
// compares other columns with parameters writes +? instead of ?: SQLite may plan by the value of a
// plain parameter, and would then prepare the statement anew each time.
func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s := t.db.statements[query]; s != nil {
		return s, nil
	}
	s, err := t.db.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.db.statements[query] = s
	}
	return s, err
}

// exec executes a statement and returns how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query)
	if err == nil {
		err = t.ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// get reads the only row of a query and reports whether there was one.
func (t *tx) get(query string, args []any, dest ...any) (bool, error) {
	s, err := t.prepare(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(context.Background(), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls do for every row of a query, after reading its columns into dest. It may take long, so
// the driver watches the context.
func (t *tx) each(query string, args, dest []any, do func() error) (err error) {
	s, err := t.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Rehearse writes a value that is already there, as durably as any other, to find out whether the
// state can be written.
func (db *DB) Rehearse(ctx context.Context) error {
	return db.write(ctx, "write to", func(t *tx) error {
		var version int
		if _, err := t.get("PRAGMA user_version", nil, &version); err != nil {
			return err
		}
		return t.run(fmt.Sprintf("PRAGMA user_version = %d", version))
	})
}
