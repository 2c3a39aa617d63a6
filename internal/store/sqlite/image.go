package sqlite

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// maxImage is the largest file of a backup that is read, in bytes.
const maxImage = 256 << 20

// writeImage creates a database with these accounts in a folder that only root can access.
func writeImage(ctx context.Context, path string, rows []driver.Row) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := dialImage(path, url.Values{"mode": {"rw"}, "_journal_mode": {"MEMORY"}, "_synchronous": {"OFF"}})
	if err != nil {
		return err
	}
	err = c.run("BEGIN; " + Schema)
	if err == nil {
		err = c.replaceAll(ctx, rows)
	}
	if err == nil {
		err = c.run("COMMIT")
	}
	return errors.Join(err, c.close(), f.Sync())
}

// readImage returns the accounts of such a file. The file may be hostile, so its schema must be
// exactly the one that writeImage creates: a foreign trigger, view or index is never run.
func readImage(ctx context.Context, path string) (rows []driver.Row, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxImage {
		return nil, driver.Malformed("it is not a regular file of at most %d bytes", maxImage)
	}
	c, err := dialImage(path, url.Values{"mode": {"ro"}, "immutable": {"1"}, "_query_only": {"true"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if rows, err = c.readImage(ctx); err != nil {
		return nil, (&Store{path: filepath.Base(path)}).fault(err)
	}
	return rows, nil
}

func (c *connection) readImage(ctx context.Context) ([]driver.Row, error) {
	if err := c.run("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; BEGIN"); err != nil {
		return nil, err
	}
	if err := c.checkSchema(); err != nil {
		return nil, err
	}
	var verdict string
	if err := c.conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return nil, err
	}
	if verdict != "ok" {
		return nil, driver.Malformed("it is damaged: %s", verdict)
	}
	return allRows(ctx, c)
}

// checkSchema compares the schema with that of a newly created database.
func (c *connection) checkSchema() error {
	own, err := dial("file::memory:")
	if err != nil {
		return err
	}
	err = own.run(Schema)
	var want, have []string
	if err == nil {
		want, err = own.schema()
	}
	if err = errors.Join(err, own.close()); err != nil {
		return err
	}
	if have, err = c.schema(); err == nil && !slices.Equal(have, want) {
		err = driver.Malformed("its tables are not those of a credential store of shadowsync")
	}
	return err
}

func (c *connection) schema() (list []string, err error) {
	rows, err := c.conn.QueryContext(context.Background(),
		"SELECT user_version FROM pragma_user_version UNION ALL SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("cannot read the schema: %w", err)
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list, rows.Err()
}

func dialImage(path string, settings url.Values) (*connection, error) {
	dsn, err := litefile.Address(path, settings)
	if err != nil {
		return nil, err
	}
	return dial(dsn)
}
