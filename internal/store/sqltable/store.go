package sqltable

import (
	"context"
	"errors"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Store is the table.
type Store struct {
	source       sqldb.Source
	statements   statements
	capabilities shadowsync.Capabilities
	database     *sqldb.Database
}

// Capabilities implements shadowsync.CredentialStore.
func (s *Store) Capabilities() shadowsync.Capabilities { return s.capabilities }

// Revision implements shadowsync.CredentialStore: a table has none.
func (s *Store) Revision(context.Context) (string, error) { return "", shadowsync.ErrNoRevision }

// Watch implements shadowsync.CredentialStore: to be told of changes, a trigger in the application's schema
// would be needed.
func (s *Store) Watch(context.Context) (<-chan struct{}, error) { return nil, shadowsync.ErrNoWatch }

// Close implements shadowsync.CredentialStore.
func (s *Store) Close() error { return s.database.Close() }

// Read implements shadowsync.CredentialStore.
func (s *Store) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	snapshot, err := s.database.Accounts(ctx, s.question(), names)
	return snapshot, s.source.Fault(err)
}

func (s *Store) question() sqldb.Question {
	return sqldb.Question{Statement: s.statements.read, Parts: len(s.statements.parts), Opaque: s.capabilities.Opaque()}
}

// Rehearse implements driver.Rehearser. It does all of a write, for an account that cannot be, and undoes
// it. The name is none that a table without transactions may hold, such as that of an anonymous visitor.
func (s *Store) Rehearse(ctx context.Context) error {
	err := s.database.Try(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		values, _ := s.values(shadowsync.Write{Name: "shadowsync: no account has this name"})
		if _, err := tx.Exec(ctx, s.statements.update, values); err != nil {
			return err
		}
		return s.clear(ctx, tx, values)
	})
	return s.source.Fault(err)
}

// Write implements shadowsync.CredentialStore, in one transaction. If the server refuses one account, which
// ends the transaction, each gets one of its own.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if err := driver.CheckBatch(writes); err != nil {
		return nil, err
	}
	left, err := s.write(ctx, writes)
	if s.source.OfAccount(err) != nil {
		left, err = s.writeEach(ctx, writes)
	}
	if err != nil {
		return nil, s.source.Fault(err)
	}
	return left, nil
}

// mostBarred is how many accounts may lack a right, as rows can by a policy of the server's, before that is a
// fault of the whole store. Once one could be written, it is none.
const mostBarred = 10

func (s *Store) writeEach(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	left, barred := make(shadowsync.Unwritten), 0
	for i, w := range writes {
		one, err := s.write(ctx, []shadowsync.Write{w})
		why := s.source.OfAccount(err)
		switch {
		case why == nil && err != nil:
			return nil, err
		case why == nil:
			maps.Copy(left, one)
			continue
		case errors.Is(why, shadowsync.ErrMalformed):
			barred++
		}
		left[w.Name] = why
		if barred == i+1 && (barred == len(writes) || barred == mostBarred) {
			return nil, err
		}
	}
	return left, nil
}

func (s *Store) write(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, err error) {
	var missed []shadowsync.Write
	err = s.database.Change(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		left, missed = make(shadowsync.Unwritten), nil
		present, err := tx.Accounts(ctx, s.question(), sqldb.Names(writes))
		if err != nil {
			return err
		}
		for _, w := range writes {
			if why := s.refuse(w, present); why != nil {
				left[w.Name] = why
				continue
			}
			switch found, err := s.replace(ctx, tx, w); {
			case err != nil:
				return err
			case !found:
				missed = append(missed, w)
			}
		}
		return nil
	})
	if err == nil && len(missed) > 0 {
		s.whyMissed(ctx, missed, left)
	}
	return left, err
}

// whyMissed tells a row that changed meanwhile from one that update never finds, which would otherwise be
// tried without end.
func (s *Store) whyMissed(ctx context.Context, missed []shadowsync.Write, left shadowsync.Unwritten) {
	now, err := s.database.Accounts(ctx, s.question(), sqldb.Names(missed))
	for _, w := range missed {
		left[w.Name] = shadowsync.ErrChanged
		if there, found := now.Accounts[w.Name]; err == nil && found && shadowsync.Equal(there.Credential, w.Expect, s.capabilities.Fields) {
			left[w.Name] = driver.Malformed("update changes no row, although read finds the account: its condition never fits (NULL equals nothing), or the server hides the row from it")
		}
	}
}

// refuse returns why an account is left alone.
func (s *Store) refuse(w shadowsync.Write, present shadowsync.StoreSnapshot) error {
	if err := sqldb.Refuse(w, present, s.capabilities.Fields); err != nil {
		return err
	}
	if _, fits := s.values(w); !fits {
		return &shadowsync.RefusedError{Reason: "the value is too long, not UTF-8, or not one of the store's scheme"}
	}
	return nil
}

// replace is the compare-and-swap. It reports whether it found the row.
func (s *Store) replace(ctx context.Context, tx sqldb.Tx, w shadowsync.Write) (found bool, err error) {
	values, _ := s.values(w)
	switch n, err := tx.Exec(ctx, s.statements.update, values); {
	case err != nil || n == 0:
		return false, err
	case n > 1:
		return false, driver.Malformed("update finds %d rows for one account", n)
	case w.Probes():
		return true, nil
	}
	return true, s.clear(ctx, tx, values)
}

// clear ends the sessions of an account.
func (s *Store) clear(ctx context.Context, tx sqldb.Tx, values map[string]any) error {
	if s.statements.clear == nil {
		return nil
	}
	_, err := tx.Exec(ctx, *s.statements.clear, values)
	return err
}

// values returns the parameters of a write; fits is false if the columns cannot hold what it wants.
func (s *Store) values(w shadowsync.Write) (values map[string]any, fits bool) {
	want, fits := s.split(w.Want)
	expect, _ := s.split(w.Expect)
	values = map[string]any{nameParameter: w.Name}
	for i, part := range s.statements.parts {
		values[part], values[oldPrefix+part] = want[i], expect[i]
	}
	return values, fits
}

// split returns the columns' values of a credential; fits is false if there are none.
func (s *Store) split(c shadowsync.Credential) (parts []string, fits bool) {
	value := c.Password()
	n := len(s.statements.parts)
	parts, fits = scheme.Split(value, n)
	if !fits { // an account without a password yet
		parts, fits = make([]string, n), value == ""
	}
	return parts, fits && len(value) <= sqldb.MaxPassword && utf8.ValidString(value) && !strings.ContainsRune(value, 0)
}
