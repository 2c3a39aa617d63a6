package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// patience bounds the wait for another process's lock where the context has no end.
const patience = 5 * time.Second

// Store is the database. Its methods may be called from several goroutines; they
// take turns.
type Store struct {
	root, path string
	group      string
	formats    shadowsync.Formats

	turn sync.Mutex
	open *connection // nil: not needed yet, or failed
}

// Capabilities implements shadowsync.CredentialStore: the store holds every field.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.AllFields, Formats: s.formats}
}

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.disconnect()
	return nil
}

// Watch implements shadowsync.CredentialStore by a watch on the file's folders.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return driver.Watch(ctx, s.real())
}

// Revision implements shadowsync.CredentialStore by one row, which triggers keep for
// every writer alike.
func (s *Store) Revision(ctx context.Context) (revision string, err error) {
	err = s.transact(ctx, beginRead, func(c *connection) error {
		revision, err = s.revision(c)
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
	err = s.transact(ctx, beginRead, func(c *connection) error {
		if snapshot.Revision, err = s.revision(c); err != nil {
			return err
		}
		return readRecords(ctx, c, string(list), &snapshot)
	})
	return snapshot, err
}

// readRecords reads the named rows. One that its schema does not allow is no other
// row's fault. It may take long, so that the driver watches the context.
func readRecords(ctx context.Context, c *connection, names string, into *shadowsync.StoreSnapshot) error {
	s, err := c.prepare("SELECT name, " + columns + ", changed_at FROM credential WHERE name IN (SELECT value FROM json_each(?))")
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, names)
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
func (s *Store) revision(c *connection) (string, error) {
	var found int
	if err := c.get("PRAGMA user_version", nil, &found); err != nil {
		return "", err
	}
	if err := s.checkVersion(found); err != nil {
		return "", err
	}
	var revision string
	err := c.get("SELECT value FROM revision WHERE id = 1", nil, &revision)
	if errors.Is(err, sql.ErrNoRows) || len(revision) > 256 {
		return "", driver.Malformed("%s has lost its revision", s.path)
	}
	return revision, err
}

// Write implements shadowsync.CredentialStore, in one transaction.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (map[string]error, error) {
	left := make(map[string]error)
	err := s.transact(ctx, beginWrite, func(c *connection) error {
		if _, err := s.revision(c); err != nil {
			return err
		}
		for _, write := range writes {
			if err := ctx.Err(); err != nil {
				return err
			}
			why, err := c.write(write)
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

// transact runs do in a transaction. A connection on which anything failed is not used again.
func (s *Store) transact(ctx context.Context, begin string, do func(*connection) error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	c, err := s.connect()
	if err != nil {
		s.disconnect()
		return err
	}
	if err = c.begin(ctx, begin); err == nil {
		err = do(c)
	}
	if err == nil {
		err = c.commit()
	}
	if err != nil {
		s.disconnect()
		return s.fault(err)
	}
	s.keep()
	return nil
}
