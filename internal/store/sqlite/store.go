package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// patience bounds the wait for another process's lock if the context has no deadline.
const patience = 5 * time.Second

// Store is the database. Its methods may be called from several goroutines; one runs at a time.
type Store struct {
	root, path string
	folder     *inroot.Folder // nil: not entered yet
	group      string
	formats    shadowsync.Formats

	turn sync.Mutex
	open *connection // nil: not needed yet, or failed
}

// Capabilities implements shadowsync.CredentialStore: the store holds every field.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.AllFields, Formats: s.formats, Creates: true}
}

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.disconnect()
	err := s.folder.Close()
	s.folder = nil
	return err
}

// Watch implements shadowsync.CredentialStore by a watch on the file's folders.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	return driver.Watch(ctx, s.root, s.path)
}

// Revision implements shadowsync.CredentialStore with one row, which triggers update for every
// writer.
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

// readRecords reads the named rows. A row that the schema does not allow does not fail the others.
// Reading may take long, so the driver watches the context.
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
	into.Accounts, into.Malformed = map[string]shadowsync.StoredAccount{}, map[string]string{}
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
			into.Accounts[name] = shadowsync.StoredAccount{Credential: c, ChangedAt: timeOf(changed)}
		}
	}
	return rows.Err()
}

// revision also checks the version of the schema.
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
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if err := driver.CheckBatch(writes); err != nil {
		return nil, err
	}
	left := make(shadowsync.Unwritten)
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

// Rehearse implements driver.Rehearser: it writes a row unchanged, with a journal.
func (s *Store) Rehearse(ctx context.Context) error {
	return s.transact(ctx, beginWrite, func(c *connection) error {
		return c.run("UPDATE revision SET value = value WHERE id = 1")
	})
}

// transact runs do in a transaction. After any failure the connection is not used again.
func (s *Store) transact(ctx context.Context, begin string, do func(*connection) error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	c, err := s.connect(ctx)
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
