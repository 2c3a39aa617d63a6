package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// MaxImage bounds the database of a backup, in bytes.
const MaxImage = 1 << 30

// pageSize is SQLite's default page size, which a new database has.
const pageSize = 4096

// Copy writes one consistent snapshot of the state to a new database at path, in a folder that only
// root can access. It copies the rows of the state into newly created tables.
func (db *DB) Copy(ctx context.Context, path string) error {
	if err := build(ctx, db.folder.Path(db.name), "rw", path); err != nil {
		return db.fault("copy", err)
	}
	return nil
}

// Renew builds a state at path from the rows of an image, which may be hostile or of an older
// schema. Both are in a folder that only root can access. The image's schema must be exactly the
// one that its version has here. It is not copied: a foreign trigger, view or index is refused and
// never run. Every row must be readable.
func Renew(ctx context.Context, image, path string) error {
	info, err := os.Lstat(image)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxImage {
		return fmt.Errorf("%w: not a regular file of at most %d bytes", shadowsync.ErrMalformed, MaxImage)
	}
	if err := build(ctx, image, "ro", path); err != nil {
		return sorted(err)
	}
	return readable(ctx, path)
}

// sorted wraps an error in its kind.
func sorted(err error) error {
	if kind := kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// builder creates a new database from the rows of another, which is attached as "image".
type builder struct {
	ctx  context.Context
	pool *sql.DB
	conn *sql.Conn
}

// build copies into a new file. It needs no journal: the file is not used before it is complete.
func build(ctx context.Context, from, mode, to string) (err error) {
	if err := unix.Mknod(to, unix.S_IFREG|0o600, 0); err != nil {
		return fmt.Errorf("cannot make %s: %w", to, err)
	}
	b := builder{ctx: ctx}
	b.pool, b.conn, err = connectTo(ctx, to, url.Values{"mode": {"rw"}, "_journal_mode": {"OFF"}, "_synchronous": {"OFF"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(), flush(to)) }()
	if err := attach(ctx, b.conn, from, mode); err != nil {
		return err
	}
	if err := b.run(fmt.Sprintf("PRAGMA main.max_page_count = %d; BEGIN", MaxImage/pageSize)); err != nil {
		return err
	}
	version, err := b.check()
	if err != nil {
		return err
	}
	if err := b.fill(version); err != nil {
		return err
	}
	return b.run("COMMIT")
}

func connectTo(ctx context.Context, path string, settings url.Values) (*sql.DB, *sql.Conn, error) {
	address, err := litefile.Address(path, settings)
	if err != nil {
		return nil, nil, err
	}
	pool, err := sql.Open("sqlite3", address)
	if err != nil {
		return nil, nil, err
	}
	conn, err := pool.Conn(context.WithoutCancel(ctx)) // the connection would keep ctx for its whole life
	if err == nil {
		_, err = conn.ExecContext(ctx, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY")
	}
	if err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	return pool, conn, nil
}

// attach makes the database at path the schema "image". For mode ro no other process may use it: no
// lock is taken on it, and no journal looked for.
func attach(ctx context.Context, conn *sql.Conn, path, mode string) error {
	settings := url.Values{"mode": {mode}}
	if mode == "ro" {
		settings.Set("immutable", "1")
	}
	address, err := litefile.Address(path, settings)
	if err == nil {
		_, err = conn.ExecContext(ctx, "ATTACH ? AS image", address)
	}
	return err
}

func (b builder) close() error { return errors.Join(b.conn.Close(), b.pool.Close()) }

func (b builder) run(query string) error {
	_, err := b.conn.ExecContext(b.ctx, query)
	return err
}

// check returns the version of the image, and checks that its schema is that version's.
func (b builder) check() (int, error) {
	var id, version int
	for query, into := range map[string]*int{"PRAGMA image.application_id": &id, "PRAGMA image.user_version": &version} {
		if err := b.conn.QueryRowContext(b.ctx, query).Scan(into); err != nil {
			return 0, err
		}
	}
	switch {
	case id != applicationID || version < 1:
		return 0, fmt.Errorf("%w: not a state database of shadowsync", shadowsync.ErrMalformed)
	case version > len(migrations):
		return 0, &NewerError{Path: "of the backup", Schema: version, Known: len(migrations)}
	}
	for _, step := range migrations[:version] {
		if err := b.run(step); err != nil {
			return 0, err
		}
	}
	want, err := layoutOf(b.ctx, b.conn, "main")
	if err != nil {
		return 0, err
	}
	have, err := layoutOf(b.ctx, b.conn, "image")
	if err != nil {
		return 0, err
	}
	if !slices.Equal(have, want) {
		return 0, fmt.Errorf("%w: its tables are not those of a state of shadowsync (schema %d)", shadowsync.ErrMalformed, version)
	}
	var verdict string
	if err := b.conn.QueryRowContext(b.ctx, "PRAGMA image.integrity_check(1)").Scan(&verdict); err != nil {
		return 0, err
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("%w: it is damaged: %s", shadowsync.ErrMalformed, verdict)
	}
	return version, nil
}

// layoutOf lists the objects of a database, each with its SQL. Statistics, which a person may have
// made with sqlite3(1), are left out: they are not copied.
func layoutOf(ctx context.Context, conn *sql.Conn, name string) ([]string, error) {
	return texts(ctx, conn, "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') AS text FROM "+name+
		".sqlite_schema WHERE name NOT LIKE 'sqlite_stat_' ORDER BY text")
}

// texts returns the rows of a query with one column.
func texts(ctx context.Context, conn *sql.Conn, query string, args ...any) (list []string, err error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, rows.Err()
}

// fill copies the rows into tables of their version, then migrates those.
func (b builder) fill(version int) error {
	if err := copyRows(b.ctx, b.conn); err != nil {
		return err
	}
	for _, step := range migrations[version:] {
		if err := b.run(step); err != nil {
			return err
		}
	}
	return b.run(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(migrations)))
}

// copyRows copies every row of "image" into the same table of "main". Meanwhile the triggers are
// dropped: they guard changes of a state, not its copying.
func copyRows(ctx context.Context, conn *sql.Conn) error {
	triggers, err := texts(ctx, conn, "SELECT sql FROM main.sqlite_schema WHERE type = 'trigger'")
	if err != nil {
		return err
	}
	tables, err := texts(ctx, conn, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
	if err != nil {
		return err
	}
	if err := drop(ctx, conn, "trigger"); err != nil {
		return err
	}
	for _, table := range tables {
		// Generated columns are hidden: 2 or 3.
		columns, err := texts(ctx, conn, "SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0 ORDER BY cid", table)
		if err != nil {
			return err
		}
		list := quoted(columns...)
		statement := "INSERT INTO main." + quoted(table) + " (" + list + ") SELECT " + list + " FROM image." + quoted(table)
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("cannot copy the table %s: %w", table, err)
		}
	}
	const ids = "DELETE FROM main.sqlite_sequence; INSERT INTO main.sqlite_sequence SELECT name, seq FROM image.sqlite_sequence"
	if _, err := conn.ExecContext(ctx, ids); err != nil {
		return err
	}
	for _, trigger := range triggers {
		if _, err := conn.ExecContext(ctx, trigger); err != nil {
			return err
		}
	}
	return nil
}

// drop removes all objects of a kind from "main".
func drop(ctx context.Context, conn *sql.Conn, kind string) error {
	names, err := texts(ctx, conn, "SELECT name FROM main.sqlite_schema WHERE type = ? AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", kind)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "DROP "+kind+" main."+quoted(name)); err != nil {
			return err
		}
	}
	return nil
}

// quoted returns names quoted for SQL.
func quoted(names ...string) string {
	list := make([]string, 0, len(names))
	for _, name := range names {
		list = append(list, `"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	return strings.Join(list, ", ")
}

// readable checks that all of a new state can be read: after a restore, one malformed credential
// would stop every reconcile.
func readable(ctx context.Context, path string) error {
	db, err := OpenImage(ctx, path)
	if err != nil {
		return err
	}
	applications, err := texts(ctx, db.conn, "SELECT application FROM account UNION SELECT application FROM change UNION "+
		"SELECT application FROM entry UNION SELECT application FROM past UNION SELECT name FROM application")
	for _, name := range applications {
		if err == nil {
			_, err = db.Load(ctx, name, nil)
		}
	}
	if err == nil {
		_, err = db.Factors(ctx)
	}
	if err == nil {
		for _, e := range db.Trail(ctx, Query{Limit: 1}) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, db.Close())
}

// flush makes a file durable.
func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
