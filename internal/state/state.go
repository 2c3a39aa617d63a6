// Package state is what shadowsync remembers between two processes: the state
// database, and the engine lock beside it.
//
// It promises:
//
//   - What Journal, Commit, Record and the Set methods acknowledged survives
//     kill -9 and a power loss at any later instant; each call is one transaction,
//     audit included.
//   - Several processes may use the same folder at once, with or without a daemon.
//     Nobody waits for another one longer than two seconds, or than the context.
//     Only a disk that hangs is waited for: the kernel interrupts no fsync(2).
//   - What is deleted or replaced is overwritten in the file (secure_delete), so
//     that an old hash does not rest in a free page.
//   - A database of a newer shadowsync, or a damaged one, is refused, never guessed at.
//   - The audit trail is append-only and hash-chained: Verify finds a record that
//     was altered, removed or cut off the end. Whoever can write the file can
//     recompute the whole chain, so it proves nothing against root itself.
//
// Errors wrap [shadowsync.ErrUnavailable] where trying again may help (locked,
// disk full, read-only, I/O error), [shadowsync.ErrMalformed] where a person must
// look, and name the file.
//
//	state.go    DB: open and close
//	file.go     the folder and the file, before SQLite sees them
//	schema.go   the tables, and how an older file becomes a present one
//	tx.go       transactions, bounded waiting, errors
//	text.go     how credentials, times and origins are written down
//	load.go     Load
//	recollection.go  what was read last, while nobody writes
//	commit.go   Journal, Commit, Mark
//	audit.go    the trail: append, read
//	verify.go   the trail: check the chain
//	outbox.go   session ends still due
//	facts.go    boot, settle time, digests, guard, setup's manifest
//	lock.go     Locker: the engine lock, a lease
//	lockfile.go what the lock file says of its owner
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"github.com/shadowsync/shadowsync/shadowsync"
)

var (
	_ shadowsync.State  = (*DB)(nil)
	_ shadowsync.Locker = (*Locker)(nil)
)

// FileName is the state database inside its folder.
const FileName = "state.db"

// DB is the open state database. Its methods may be called from several
// goroutines; they take turns.
type DB struct {
	path       string
	pool       *sql.DB
	conn       *sql.Conn
	turn       chan struct{} // holds one token while the connection is in use
	statements map[string]*sql.Stmt
	passwords  int // of an account that its record keeps whatever their age

	writes        uint64 // transactions of ours that were begun
	recollections map[string]recollection
}

// KeepPasswords has records keep an account's latest n passwords beyond their depth and
// age, for the rule that these may not come back. It is called before anything else.
func (db *DB) KeepPasswords(n int) { db.passwords = n }

// Open opens the state database in the folder dir, usually /var/lib/shadowsync/state,
// and creates both where they are missing. The folder and the one it stands in must
// belong to the caller or root and be writable by nobody else.
func Open(ctx context.Context, dir string) (*DB, error) {
	return open(ctx, dir, migrations)
}

func open(ctx context.Context, dir string, list []string) (*DB, error) {
	if err := prepareFolder(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite3", dsn(path))
	if err != nil {
		return nil, fmt.Errorf("cannot open state %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	db := &DB{path: path, pool: pool, turn: make(chan struct{}, 1), statements: make(map[string]*sql.Stmt), recollections: make(map[string]recollection)}
	if err := db.start(ctx, list); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// dsn are the settings of the connection.
//
// TRUNCATE: the journal is emptied, not unlinked, which saves the inode; its
// content does not outlive the commit either way. EXTRA: without it a power loss
// after the journal went away may bring it back and roll back what was
// acknowledged. busy_timeout is short, because inside it SQLite sleeps deaf to any context; the
// patience is in DB.begin.
func dsn(path string) string {
	settings := url.Values{
		"mode":           {"rw"},
		"_journal_mode":  {"TRUNCATE"},
		"_synchronous":   {"EXTRA"},
		"_secure_delete": {"true"},
		"_busy_timeout":  {"25"},
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: settings.Encode()}).String()
}

// settings are what the DSN cannot say. temp_store: SQLite's temporary files
// would be in /var/tmp. cache_spill: writing out half of a large transaction
// costs an fsync each time the cache is full.
const settings = "PRAGMA temp_store = MEMORY; PRAGMA cache_spill = OFF; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON"

// start connects, applies what the DSN cannot say, and brings the schema up to date.
func (db *DB) start(ctx context.Context, list []string) error {
	err := db.patiently(ctx, func() (err error) {
		// Not ctx: it would belong to the connection for its whole life.
		db.conn, err = db.pool.Conn(context.Background())
		return err
	})
	if err == nil {
		_, err = db.conn.ExecContext(context.Background(), settings)
	}
	if err != nil {
		return db.fault("open", err)
	}
	return db.migrate(ctx, list)
}

// Close gives the database back. The DB is of no use afterwards.
func (db *DB) Close() error {
	var errs []error
	for _, s := range db.statements {
		errs = append(errs, s.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	errs = append(errs, db.pool.Close())
	if err := errors.Join(errs...); err != nil {
		return db.fault("close", err)
	}
	return nil
}
