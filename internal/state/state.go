// Package state is the memory that shadowsync's processes share: the state
// database, and the engine lock beside it.
//
// It promises:
//
//   - What Journal, Commit, Record and the Set methods acknowledged survives
//     kill -9 and a power loss at any later instant; each call is one transaction,
//     audit included.
//   - Several processes may use the same folder at once, with or without a daemon.
//     A process waits for another one at most two seconds, or until its context ends.
//     Only a hung disk blocks longer: the kernel does not interrupt an fsync(2).
//   - What is deleted or replaced is overwritten in the file (secure_delete), so
//     that no old hash stays in a free page.
//   - A database of a newer shadowsync, or a damaged one, is refused, never guessed at.
//   - The audit trail is append-only and hash-chained: Verify finds a record that
//     was altered, removed or cut off the end. Anyone who can write the file can
//     recompute the whole chain, so it proves nothing against root itself.
//
// Errors name the file. They wrap [shadowsync.ErrUnavailable] if trying again may help
// (locked, disk full, read-only, I/O error), and [shadowsync.ErrMalformed] if a person
// must look.
//
//	state.go    DB: open and close
//	file.go     the folder and the file, before SQLite opens them
//	damage.go   detects a damaged database and moves it aside
//	volatile.go a copy for work that cannot wait while the disk takes no writes
//	takeback.go what the volatile copies know goes back into the state
//	schema.go   the tables, and their migrations
//	tx.go       transactions, bounded waiting, errors
//	text.go     the text form of credentials, times and origins
//	load.go     Load
//	recollection.go  cache of the last reading, until the next write
//	commit.go   Journal, Commit, Mark
//	audit.go    the trail: append, read
//	verify.go   the trail: check the chain
//	outbox.go   session ends still due
//	house.go    follows a configuration whose names changed; move.go takes an account's state along
//	stores.go   follows the tables of stores
//	facts.go    boot, settle time, digests, guard, setup's manifest
//	factor.go   the second factors
//	shell.go    the login shells of accounts before they got the operators' one
//	image.go    Copy and Renew: the state as a file in a backup
//	held.go     Hold: the state is replaced by a backup's
//	unsettle.go  Unsettle: accounts of a restored state about which a person decides
//	lock.go     Locker: the engine lock, a lease
//	lockfile.go the lock file's record of its owner
//	salvage.go  reads what is still readable of a damaged database
//	trim.go     the trail: remove old records
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var (
	_ shadowsync.State  = (*DB)(nil)
	_ shadowsync.Locker = (*Locker)(nil)
)

// FileName is the state database inside its folder.
const FileName = "state.db"

// DB is the open state database. Its methods may be called from several goroutines; one runs at a
// time.
type DB struct {
	path       string // for messages
	name       string // in the folder
	folder     *inroot.Folder
	pool       *sql.DB
	conn       *sql.Conn
	turn       chan struct{} // holds one token while the connection is in use
	statements map[string]*sql.Stmt
	passwords  int // how many passwords of an account its record keeps whatever their age
	file       fileID
	blank      bool // when it was opened
	opened     bool // Open has succeeded
	recorded   bool // the trail had a record when this DB last looked

	writes        uint64 // transactions that this DB has begun
	recollections map[string]recollection
}

// KeepPasswords makes records keep an account's latest n passwords beyond their depth and age, for
// the rule against reuse. Call it before any other method.
func (db *DB) KeepPasswords(n int) { db.passwords = n }

// Open opens the state database in the folder dir, usually /var/lib/shadowsync/state, and creates
// both if they are missing. The folder and its parent must belong to the caller or root, and only
// their owner may be able to write to them.
func Open(ctx context.Context, dir string) (*DB, error) {
	return open(ctx, "/", dir, migrations)
}

// OpenIn is Open in the system that is mounted at root.
func OpenIn(ctx context.Context, root, dir string) (*DB, error) {
	return open(ctx, root, dir, migrations)
}

func open(ctx context.Context, root, dir string, list []string) (*DB, error) {
	folder, err := openFolder(root, dir)
	if err != nil {
		return nil, err
	}
	return openFile(ctx, folder, FileName, list)
}

// openFile opens a database in an open folder. Closing the DB closes the folder too.
func openFile(ctx context.Context, folder *inroot.Folder, name string, list []string) (*DB, error) {
	db := &DB{
		path: folder.Shown(name), name: name, folder: folder, turn: make(chan struct{}, 1),
		statements: make(map[string]*sql.Stmt), recollections: make(map[string]recollection),
	}
	if err := db.start(ctx, list); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connect prepares the database file, and a pool of one connection to it.
func (db *DB) connect() error {
	if err := prepareFile(db.folder, db.name); err != nil {
		return db.damage(err)
	}
	db.file = fileAt(db.folder.Path(db.name))
	address, err := dsn(db.folder.Path(db.name))
	if err == nil {
		db.pool, err = sql.Open("sqlite3", address)
	}
	if err != nil {
		return fmt.Errorf("cannot open state %s: %w", db.path, err)
	}
	db.pool.SetMaxOpenConns(1)
	return nil
}

// dsn returns the address with the settings of the connection.
//
// TRUNCATE: the journal is emptied, not unlinked, which keeps its inode; either way its
// content does not outlive the commit. EXTRA: without it a power loss after the journal
// was removed may bring it back and roll back what was acknowledged. busy_timeout is short,
// because SQLite ignores the context while it sleeps in it; DB.patiently does the waiting.
func dsn(path string) (string, error) {
	settings := url.Values{
		"mode":           {"rw"},
		"_journal_mode":  {"TRUNCATE"},
		"_synchronous":   {"EXTRA"},
		"_secure_delete": {"true"},
		"_busy_timeout":  {"25"},
	}
	return litefile.Address(path, settings)
}

// settings are what the DSN cannot express. temp_store: otherwise SQLite's temporary files would be
// in /var/tmp. cache_spill: writing out half of a large transaction costs an fsync each time the
// cache is full.
const settings = "PRAGMA temp_store = MEMORY; PRAGMA cache_spill = OFF; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON"

// start connects, applies settings, and brings the schema up to date.
func (db *DB) start(ctx context.Context, list []string) error {
	if err := db.connect(); err != nil {
		return err
	}
	err := db.patiently(ctx, func() (err error) {
		// Not ctx: the connection would keep it for its whole life.
		db.conn, err = db.pool.Conn(context.Background())
		return err
	})
	if err == nil {
		_, err = db.conn.ExecContext(context.Background(), settings)
	}
	if err != nil {
		return db.fault("open", err)
	}
	if err := db.migrate(ctx, list); err != nil {
		return err
	}
	db.opened = true
	return nil
}

// Close closes the database. The DB cannot be used afterwards.
func (db *DB) Close() error {
	var errs []error
	for _, s := range db.statements {
		errs = append(errs, s.Close())
	}
	if db.conn != nil {
		errs = append(errs, db.conn.Close())
	}
	if db.pool != nil {
		errs = append(errs, db.pool.Close())
	}
	errs = append(errs, db.folder.Close())
	if err := errors.Join(errs...); err != nil {
		return db.fault("close", err)
	}
	return nil
}
