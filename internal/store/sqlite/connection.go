package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// file identifies a file for as long as it is open or linked.
type file struct{ device, inode uint64 }

// content is a file with the time of its last change (st_ctim): whoever wrote
// since, or gave it another owner or mode, is seen by that.
type content struct {
	file
	changed unix.Timespec
}

// connection is the open database. It is kept, since to open one costs more than
// to write to it, and given up when another file has the database's name, or somebody
// else wrote: what is copied over an open database may have the number of the
// schema that is known, over tables that lie elsewhere.
//
// Statements run without the caller's context: with one the driver starts a
// goroutine for each, and a connection would belong to its first caller. The
// context is looked at between them.
type connection struct {
	content    content // as our last transaction left it
	pool       *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// connect opens the database that has the name now, or goes on with it.
func (s *Store) connect() (*connection, error) {
	before, err := s.checkPlace()
	if err != nil {
		return nil, err
	}
	if s.open != nil && s.open.content == before {
		return s.open, nil
	}
	s.disconnect()
	if s.open, err = dial(s.dsn()); err != nil {
		return nil, s.fault(err)
	}
	if s.open.content, err = s.checkPlace(); err == nil && s.open.content.file != before.file {
		err = driver.Unavailable(fmt.Errorf("%s was replaced while it was opened", s.path))
	}
	return s.open, err
}

// keep goes on with the connection after a transaction, if the file still is the one.
//
// Not where somebody set the journal mode WAL: its log stays for as long as anybody has
// the database open, would be taken for that of a file put in its place, and keeps what
// applications write out of the file that is watched.
func (s *Store) keep() {
	present, err := s.stat(s.real())
	var log unix.Stat_t
	if err != nil || contentOf(present).file != s.open.content.file || unix.Lstat(s.real()+"-wal", &log) == nil {
		s.disconnect()
		return
	}
	s.open.content = contentOf(present)
}

func contentOf(st unix.Stat_t) content { return content{file{st.Dev, st.Ino}, st.Ctim} }

func (s *Store) disconnect() {
	if s.open != nil {
		_ = s.open.close() // what is not committed is rolled back
		s.open = nil
	}
}

// dsn: the journal is deleted after each transaction, and its folder synced
// (EXTRA): otherwise power loss could bring the journal back and undo what was
// acknowledged.
func (s *Store) dsn() string {
	u := url.URL{Scheme: "file", Path: s.real()}
	u.RawQuery = url.Values{
		"mode":         {"rw"}, // never to create
		"_synchronous": {"EXTRA"},
	}.Encode()
	return u.String()
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
		_ = s.Close() // with the connection at the latest
	}
	if c.conn != nil {
		_ = c.conn.Close() // back to the pool, which is closed
	}
	return c.pool.Close()
}

const (
	beginRead  = "BEGIN"
	beginWrite = "BEGIN IMMEDIATE" // the write lock from the beginning
)

// begin starts a transaction. SQLite waits for a lock without looking at a context, so
// it is told how long.
func (c *connection) begin(ctx context.Context, begin string) error {
	wait := patience
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)))
	}
	return c.run(fmt.Sprintf("PRAGMA busy_timeout = %d; %s", wait.Milliseconds(), begin))
}

// commit ends a transaction, and forgets the pages that were read: a database
// that is restored in place may have the same change counter over other content.
func (c *connection) commit() error {
	return c.run("COMMIT; PRAGMA shrink_memory")
}

// run executes what is not worth preparing.
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
