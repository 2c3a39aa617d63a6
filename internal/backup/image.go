package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// Image is one consistent reading of the SQLite database at path, as a database of
// its own. For a moment it lies beside that one, under the same rights.
func Image(ctx context.Context, path string) (image []byte, err error) {
	temp := filepath.Join(filepath.Dir(path), ".shadowsync-image.db")
	if err := remove(temp); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove(temp)) }()
	if err := CopyTo(ctx, path, temp); err != nil {
		return nil, err
	}
	return os.ReadFile(temp)
}

// CopyTo writes one consistent reading of the database at path to a new file,
// which only its owner can read, and which a power loss does not take.
func CopyTo(ctx context.Context, path, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // VACUUM INTO takes an empty file for none
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", path, err)
	}
	err = with(ctx, path, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, "VACUUM INTO ?", to)
		return err
	})
	if err == nil {
		err = flush(to) // which VACUUM INTO does not
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", path, err)
	}
	return nil
}

// flush makes a file or folder durable.
func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Check tells whether an image is a whole database with the header numbers of the
// one at path, and of no newer schema than that.
func Check(ctx context.Context, image []byte, path string) error {
	return withImage(image, path, func(temp string) error {
		theirs, err := header(ctx, temp, true)
		if err != nil {
			return err
		}
		ours, err := header(ctx, path, false)
		switch {
		case err != nil:
			return err
		case theirs.application != ours.application:
			return ErrNotBackup
		case theirs.schema > ours.schema:
			return fmt.Errorf("%w: schema %d, this one knows %d", ErrNewer, theirs.schema, ours.schema)
		}
		return nil
	})
}

type numbers struct{ application, schema int }

func header(ctx context.Context, path string, whole bool) (n numbers, err error) {
	err = with(ctx, path, func(conn *sql.Conn) error {
		row := conn.QueryRowContext(ctx, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version")
		if err := row.Scan(&n.application, &n.schema); err != nil || !whole {
			return err
		}
		var verdict string
		if err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("damaged: %s", verdict)
		}
		return nil
	})
	return n, err
}

// Restore puts an image in the place of the content of the database at path, in
// one transaction: the file stays, and so do those who have it open.
func Restore(ctx context.Context, image []byte, path string) error {
	return withImage(image, path, func(temp string) error {
		return with(ctx, temp, func(from *sql.Conn) error {
			return with(ctx, path, func(to *sql.Conn) error {
				return to.Raw(func(dest any) error {
					return from.Raw(func(source any) error {
						return copyPages(dest.(*sqlite3.SQLiteConn), source.(*sqlite3.SQLiteConn))
					})
				})
			})
		})
	})
}

func copyPages(to, from *sqlite3.SQLiteConn) error {
	b, err := to.Backup("main", from, "main")
	if err != nil {
		return err
	}
	done, err := b.Step(-1)
	if err == nil && !done {
		err = errors.New("the database is in use")
	}
	return errors.Join(err, b.Finish())
}

// withImage lends an image as a file beside the database at path.
func withImage(image []byte, path string, do func(temp string) error) (err error) {
	temp := filepath.Join(filepath.Dir(path), ".shadowsync-image.db")
	if err := remove(temp); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(temp)) }()
	if err := os.WriteFile(temp, image, 0o600); err != nil {
		return err
	}
	return do(temp)
}

func remove(path string) error {
	err := errors.Join(os.Remove(path+"-journal"), os.Remove(path))
	if err == nil || onlyMissing(path) {
		return nil
	}
	return err
}

func onlyMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

// with opens a database for one operation. Durable as the state's own connection is.
func with(ctx context.Context, path string, do func(*sql.Conn) error) (err error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"mode": {"rw"}, "_busy_timeout": {"5000"}, "_synchronous": {"EXTRA"}, "_secure_delete": {"true"},
	}.Encode()}
	db, err := sql.Open("sqlite3", dsn.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return do(conn)
}
