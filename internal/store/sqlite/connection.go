package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"syscall"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// file identifies a file for as long as it is open or linked.
type file struct{ device, inode uint64 }

// content is a file with the time of its last change (st_ctim). Any later write, and any change of
// owner or mode, moves that time.
type content struct {
	file
	changed syscall.Timespec
}

// connection is the open database. It is kept, because opening one costs more than writing to
// it. It is closed when another file has the database's name, or when another process wrote:
// a database that is copied over an open one may have the same schema number, although its
// tables lie elsewhere.
//
// Statements run without the caller's context: with one the driver would start a
// goroutine for each, and a connection would keep its first caller's context. The
// context is checked between them.
type connection struct {
	content    content // as our last transaction left it
	pool       *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// connect opens the database that has the name now, or returns the open connection to it.
func (s *Store) connect(ctx context.Context) (*connection, error) {
	before, err := s.checkPlace()
	if err != nil {
		return nil, err
	}
	if s.open != nil && s.open.content == before {
		return s.open, nil
	}
	s.disconnect()
	if s.open, err = s.dial(ctx); err != nil {
		return nil, s.fault(err)
	}
	if s.open.content, err = s.checkPlace(); err == nil && s.open.content.file != before.file {
		err = driver.Unavailable(fmt.Errorf("%s was replaced while it was opened", s.path))
	}
	return s.open, err
}

// keep keeps the connection after a transaction, if the file is still the same.
//
// It does not if another process set the journal mode WAL: the log file stays as long as any
// process has the database open, SQLite would apply it to a file that replaces the database,
// and writes of applications would not reach the watched file.
func (s *Store) keep() {
	present, err := s.stat("/", s.real())
	var log unix.Stat_t
	if err != nil || contentOf(present).file != s.open.content.file || unix.Lstat(s.real()+"-wal", &log) == nil {
		s.disconnect()
		return
	}
	s.open.content = contentOf(present)
}

func contentOf(st *syscall.Stat_t) content { return content{file{st.Dev, st.Ino}, st.Ctim} }

func (s *Store) disconnect() {
	if s.open != nil {
		_ = s.open.close() // what is not committed is rolled back
		s.open = nil
	}
}

// dsn: the journal is deleted after each transaction, and its folder synced (EXTRA): otherwise a
// power loss could bring the journal back and undo what was acknowledged. To set that, SQLite may have
// to wait for a lock: hence the time-out in the same place.
func (s *Store) dsn(ctx context.Context) (string, error) {
	return litefile.Address(s.real(), url.Values{
		"mode":          {"rw"}, // never create it
		"_synchronous":  {"EXTRA"},
		"_busy_timeout": {strconv.FormatInt(busyFor(ctx), 10)},
	})
}

func (s *Store) dial(ctx context.Context) (*connection, error) {
	dsn, err := s.dsn(ctx)
	if err != nil {
		return nil, err
	}
	return dial(dsn)
}

func dial(dsn string) (*connection, error) {
	pool, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	c := &connection{pool: pool, statements: make(map[string]*sql.Stmt)}
	if c.conn, err = pool.Conn(context.Background()); err == nil {
		err = c.conn.Raw(limitLength)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// limitLength bounds every text, row and statement, whatever the database holds.
func limitLength(conn any) error {
	conn.(*sqlite3.SQLiteConn).SetLimit(sqlite3.SQLITE_LIMIT_LENGTH, maxLength)
	return nil
}

func (c *connection) close() error {
	for _, s := range c.statements {
		_ = s.Close() // otherwise the end of the connection closes it
	}
	if c.conn != nil {
		_ = c.conn.Close() // back to the pool, which is closed next
	}
	return c.pool.Close()
}

const (
	beginRead  = "BEGIN"
	beginWrite = "BEGIN IMMEDIATE" // takes the write lock at once
	beginAlone = "BEGIN EXCLUSIVE" // keeps readers out too
)

// busyFor is how many milliseconds SQLite may wait for a lock. It does so without checking a context, and
// so gets the time left as its limit.
func busyFor(ctx context.Context) int64 {
	wait := patience
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)))
	}
	return wait.Milliseconds()
}

// begin starts a transaction.
func (c *connection) begin(ctx context.Context, begin string) error {
	return c.run(fmt.Sprintf("PRAGMA busy_timeout = %d; %s", busyFor(ctx), begin))
}

// commit ends a transaction, and drops the cached pages: a database that is restored in place may
// have the same change counter with other content.
func (c *connection) commit() error {
	return c.run("COMMIT; PRAGMA shrink_memory")
}

// run executes SQL that is not worth preparing.
func (c *connection) run(query string) error {
	_, err := c.conn.ExecContext(context.Background(), query)
	return err
}

func (c *connection) prepare(query string) (*sql.Stmt, error) {
	if s := c.statements[query]; s != nil {
		return s, nil
	}
	s, err := c.conn.PrepareContext(context.Background(), query)
	if err == nil {
		c.statements[query] = s
	}
	return s, err
}

func (c *connection) exec(query string, args ...any) error {
	s, err := c.prepare(query)
	if err == nil {
		_, err = s.ExecContext(context.Background(), args...)
	}
	return err
}

// row is the only row of a query.
func (c *connection) row(query string, args ...any) (scanner, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.QueryRowContext(context.Background(), args...), nil
}

func (c *connection) get(query string, args []any, dest ...any) error {
	row, err := c.row(query, args...)
	if err != nil {
		return err
	}
	return row.Scan(dest...)
}
