package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// patience bounds the wait for another process's lock where the context has no end.
const patience = 5 * time.Second

// Store is the database. It keeps nothing open between calls.
type Store struct {
	root, path string
	group      string
	formats    shadowsync.Formats
}

// Capabilities implements shadowsync.CredentialStore: the store holds every field.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.AllFields, Formats: s.formats}
}

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error { return nil }

// Watch implements shadowsync.CredentialStore by a watch on the file's folders.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return driver.Watch(ctx, s.real())
}

// Revision implements shadowsync.CredentialStore by one row, which triggers keep for
// every writer alike.
func (s *Store) Revision(ctx context.Context) (revision string, err error) {
	err = s.use(ctx, "BEGIN", func(conn *sql.Conn) error {
		revision, err = s.revision(ctx, conn)
		return err
	})
	return revision, err
}

// Read implements shadowsync.CredentialStore.
func (s *Store) Read(ctx context.Context, names []string) (snapshot shadowsync.StoreSnapshot, err error) {
	list, err := json.Marshal(names)
	if err != nil {
		return snapshot, err
	}
	err = s.use(ctx, "BEGIN", func(conn *sql.Conn) error {
		if snapshot.Revision, err = s.revision(ctx, conn); err != nil {
			return err
		}
		return readRecords(ctx, conn, string(list), &snapshot)
	})
	return snapshot, err
}

// readRecords reads the named rows. One that its schema does not allow is no other row's fault.
func readRecords(ctx context.Context, conn *sql.Conn, names string, into *shadowsync.StoreSnapshot) error {
	rows, err := conn.QueryContext(ctx, "SELECT name, "+columns+", changed_at FROM credential WHERE name IN (SELECT value FROM json_each(?))", names)
	if err != nil {
		return err
	}
	defer rows.Close()
	into.Records, into.Malformed = map[string]shadowsync.StoreRecord{}, map[string]string{}
	for rows.Next() {
		var name string
		var changed int64
		c, err := scanCredential(rows, []any{&name}, []any{&changed})
		switch {
		case errors.Is(err, shadowsync.ErrMalformed) && name != "":
			into.Malformed[name] = err.Error()
		case err != nil:
			return err
		default:
			into.Records[name] = shadowsync.StoreRecord{Credential: c, ChangedAt: timeOf(changed)}
		}
	}
	return rows.Err()
}

// revision also makes sure that the database is one that is understood.
func (s *Store) revision(ctx context.Context, conn *sql.Conn) (string, error) {
	var found int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return "", err
	}
	if err := s.checkVersion(found); err != nil {
		return "", err
	}
	var revision string
	err := conn.QueryRowContext(ctx, "SELECT value FROM revision WHERE id = 1").Scan(&revision)
	if errors.Is(err, sql.ErrNoRows) || len(revision) > 256 {
		return "", driver.Malformed("%s has lost its revision", s.path)
	}
	return revision, err
}

// Write implements shadowsync.CredentialStore, in one transaction.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (map[string]error, error) {
	left := make(map[string]error)
	err := s.transact(ctx, func(conn *sql.Conn) error {
		if _, err := s.revision(ctx, conn); err != nil {
			return err
		}
		w, err := newWriter(ctx, conn)
		if err != nil {
			return err
		}
		defer w.close()
		for _, write := range writes {
			why, err := w.write(ctx, write)
			if err != nil {
				return err
			}
			if why != nil {
				left[write.Name] = why
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return left, nil
}

// transact runs do in a transaction that has the write lock from its beginning.
func (s *Store) transact(ctx context.Context, do func(*sql.Conn) error) error {
	return s.use(ctx, "BEGIN IMMEDIATE", do)
}

// use opens the database and runs do in a transaction.
func (s *Store) use(ctx context.Context, begin string, do func(*sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, closeAll, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer closeAll() // rolls back what is not committed
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return s.fault(err)
	}
	if err := do(conn); err != nil {
		return s.fault(err)
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return s.fault(err)
}
