package sqlrole

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// kind is what differs between the servers.
type kind struct {
	dialect  sqldb.Dialect
	scheme   string
	verifier func(string) bool // whether it is what the server takes as it is: it would hash anything else as a clear text
	// read returns the statement of a sqldb.Question.
	read  func(context.Context, sqldb.Tx) (string, error)
	alter func(name, host, verifier string) string
	// hindrance asks what keeps our own user from altering any other: nothing, or a text about it.
	hindrance string
}

// expression is a match with a regular expression, which is compiled when it is first needed: not at the
// start of every process.
func expression(text string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
	return func(value string) bool { return compiled().MatchString(value) }
}

// Store is a database server.
type Store struct {
	kind
	source   sqldb.Source
	host     string
	database *sqldb.Database
	question *sqldb.Question // nil: the server was not asked for its version yet
}

// Capabilities implements shadowsync.CredentialStore.
func (s *Store) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.FieldHash, Scheme: s.scheme}
}

// Revision implements shadowsync.CredentialStore: a server has none.
func (s *Store) Revision(context.Context) (string, error) { return "", shadowsync.ErrNoRevision }

// Watch implements shadowsync.CredentialStore.
func (s *Store) Watch(context.Context) (<-chan struct{}, error) { return nil, shadowsync.ErrNoWatch }

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error { return s.database.Close() }

// ask returns the question for accounts.
func (s *Store) ask(ctx context.Context, tx sqldb.Tx) (sqldb.Question, error) {
	if s.question != nil {
		return *s.question, nil
	}
	text, err := s.read(ctx, tx)
	if err != nil {
		return sqldb.Question{}, err
	}
	statement, err := sqldb.Compile(s.dialect, text)
	s.question = &sqldb.Question{Statement: statement, Values: map[string]any{"host": s.host}, Parts: 1, Opaque: true, Reasons: true}
	return *s.question, err
}

// Read implements shadowsync.CredentialStore.
func (s *Store) Read(ctx context.Context, names []string) (snapshot shadowsync.StoreSnapshot, err error) {
	err = s.database.Change(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		snapshot, err = s.accounts(ctx, tx, names)
		return err
	})
	return snapshot, s.source.Fault(err)
}

func (s *Store) accounts(ctx context.Context, tx sqldb.Tx, names []string) (shadowsync.StoreSnapshot, error) {
	question, err := s.ask(ctx, tx)
	if err != nil {
		return shadowsync.StoreSnapshot{}, err
	}
	return tx.Accounts(ctx, question, names)
}

// Write implements shadowsync.CredentialStore, in one transaction. If the server refuses one account, which
// ends the transaction, each account gets one of its own. So it is from the start in MySQL, which makes
// each ALTER USER durable by itself.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, err error) {
	if err := driver.CheckBatch(writes); err != nil {
		return nil, err
	}
	most := max(1, len(writes))
	if s.dialect == sqldb.MySQL {
		most = 1
	}
	left, err = s.writeParts(ctx, writes, most)
	if most > 1 && errors.As(err, new(sqldb.QuotesValue)) {
		left, err = s.writeParts(ctx, writes, 1)
	}
	if err != nil {
		return nil, s.source.Fault(err)
	}
	return left, nil
}

// writeParts writes so many accounts in a transaction. If all of them need a right that the store's user
// lacks, the fault is the store's: it can be given that right, and a restart must wait for it.
func (s *Store) writeParts(ctx context.Context, writes []shadowsync.Write, most int) (shadowsync.Unwritten, error) {
	left := make(shadowsync.Unwritten)
	var barred error // the last one
	for part := range slices.Chunk(writes, most) {
		of, err := s.writePart(ctx, part)
		why := s.source.OfAccount(err)
		switch {
		case most == 1 && why != nil && errors.As(err, new(sqldb.QuotesValue)):
			left[part[0].Name] = why
			if errors.Is(why, shadowsync.ErrMalformed) {
				barred = err
			}
		case err != nil:
			return nil, err
		}
		maps.Copy(left, of)
	}
	if barred != nil && len(left) == len(writes) {
		return nil, barred
	}
	return left, nil
}

func (s *Store) writePart(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, err error) {
	err = s.database.Change(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		left = make(shadowsync.Unwritten)
		present, err := s.accounts(ctx, tx, sqldb.Names(writes))
		if err != nil {
			return err
		}
		for _, w := range writes {
			why := sqldb.Refuse(w, present, shadowsync.FieldHash)
			switch {
			case why != nil:
				left[w.Name] = why
				continue
			case !s.verifier(w.Want.Hash):
				left[w.Name] = &shadowsync.RefusedError{Reason: "the value is not one of the scheme " + s.scheme}
				continue
			}
			if err := tx.Run(ctx, s.alter(w.Name, s.host, w.Want.Hash)); err != nil {
				return sqldb.Quoting(err)
			}
		}
		return nil
	})
	return left, err
}

// Rehearse implements driver.Rehearser: it reads, and asks what hinders a write.
func (s *Store) Rehearse(ctx context.Context) error {
	err := s.database.Try(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		if _, err := s.accounts(ctx, tx, nil); err != nil {
			return err
		}
		hindrance, err := tx.Text(ctx, s.hindrance)
		if err == nil && hindrance != "" {
			err = &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: s.source.User + " " + hindrance, Cause: unix.EACCES}
		}
		return err
	})
	return s.source.Fault(err)
}
