package sqldb

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// patience bounds a transaction whose context has no deadline.
const patience = 5 * time.Second

// idle is how long an unused connection stays open. The keeper asks more often.
const idle = 2 * time.Minute

// Database is a database that is connected to when it is needed.
type Database struct {
	Source
	root string // of SQLite's file
	pool *sql.DB
}

// Open returns the database. It does not connect yet.
func (s Source) Open(o driver.Options) (*Database, error) {
	connector, err := s.connector(o)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	pool.SetConnMaxIdleTime(idle)
	if s.Dialect == SQLite {
		pool.SetMaxIdleConns(-1) // another file may get its name
	}
	return &Database{s, o.Root, pool}, nil
}

// Close ends the connection.
func (d *Database) Close() error { return d.pool.Close() }

// Tx is a transaction.
type Tx struct {
	tx *sql.Tx
}

// Query runs a statement that returns rows.
func (t Tx) Query(ctx context.Context, s Statement, values map[string]any) (*sql.Rows, error) {
	query, args := s.Bind(values)
	return t.tx.QueryContext(ctx, query, args...)
}

// Exec runs a statement and returns how many rows it found.
func (t Tx) Exec(ctx context.Context, s Statement, values map[string]any) (int64, error) {
	query, args := s.Bind(values)
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Text returns the only value of a query.
func (t Tx) Text(ctx context.Context, query string) (text string, err error) {
	err = t.tx.QueryRowContext(ctx, query).Scan(&text)
	return text, err
}

// Run runs SQL that takes no parameters.
func (t Tx) Run(ctx context.Context, statement string) error {
	_, err := t.tx.ExecContext(ctx, statement)
	return err
}

// Query runs one statement in a transaction of its own, in one round trip, and hands its rows to scan. It
// repeats that on a new connection if the server has closed the last one: it may have restarted.
func (d *Database) Query(ctx context.Context, s Statement, values map[string]any, scan func(*sql.Rows) error) error {
	query, args := s.Bind(values)
	return d.again(ctx, func(ctx context.Context) (bool, error) {
		rows, err := d.pool.QueryContext(ctx, query, args...)
		if err != nil {
			return true, err
		}
		defer rows.Close()
		return false, errors.Join(scan(rows), rows.Err())
	})
}

// Change runs do in a transaction. After an error nothing has changed, except that the connection may have
// been lost while the server made it durable.
func (d *Database) Change(ctx context.Context, do func(context.Context, Tx) error) error {
	return d.again(ctx, func(ctx context.Context) (bool, error) {
		tx, err := d.pool.BeginTx(ctx, nil)
		if err != nil {
			return true, err
		}
		if err := do(ctx, Tx{tx}); err != nil {
			_ = tx.Rollback() // a lost connection rolls back too
			return true, err
		}
		return false, tx.Commit()
	})
}

// Try runs do in a transaction and rolls it back.
func (d *Database) Try(ctx context.Context, do func(context.Context, Tx) error) error {
	err := d.Change(ctx, func(ctx context.Context, tx Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return nil
	}
	return err
}

// errTried rolls a trial back.
var errTried = errors.New("only tried")

// again bounds a piece of work, and does it once more if a connection that was open before is lost and the
// work can be repeated.
func (d *Database) again(ctx context.Context, work func(context.Context) (repeatable bool, err error)) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	had := d.pool.Stats().OpenConnections > 0
	repeatable, err := work(ctx)
	if had && repeatable && lost(err) && ctx.Err() == nil {
		_, err = work(ctx)
	}
	if err != nil && !errors.Is(err, errTried) && ctx.Err() != nil {
		return driver.Unavailable(context.Cause(ctx))
	}
	return d.numbered(err)
}

// numbered gives an error of SQLite's about a file that it may not write the kernel's number. SQLite opens such a file for
// reading instead and keeps none: it could be a read-only file system or the file of another owner.
func (d *Database) numbered(err error) error {
	var lite sqlite3.Error
	if !errors.As(err, &lite) || lite.Code != sqlite3.ErrReadonly || lite.SystemErrno != 0 {
		return err
	}
	folder, failed := inroot.OpenPlainFolder(d.root, filepath.Dir(d.File))
	if failed != nil {
		return err
	}
	defer folder.Close()
	file := filepath.Base(d.File)
	for _, name := range []string{file, ".", file + "-wal", file + "-shm"} { // the folder: for a journal
		var number unix.Errno
		refused := errors.As(unix.Faccessat(unix.AT_FDCWD, folder.Path(name), unix.W_OK, unix.AT_EACCESS), &number)
		if refused && number != unix.ENOENT {
			lite.SystemErrno = number
			return lite
		}
	}
	return err
}

// lost reports whether a connection broke, or the server ended it.
func lost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "57P01" || pg.Code == "57P02" || pg.Code == "57P05" // shutdown, crash, idle
	}
	var number *mysql.MySQLError
	if errors.As(err, &number) {
		return number.Number == 1053 || number.Number == 4031 // shutdown, idle
	}
	return errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*net.OpError))
}
