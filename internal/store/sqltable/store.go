package sqltable

import (
	"context"
	"database/sql"
	"errors"
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

// perQuestion is how many names one statement asks for: MySQL takes 65,535 parameters.
const perQuestion = 20_000

// Read implements shadowsync.CredentialStore.
func (s *Store) Read(ctx context.Context, names []string) (shadowsync.StoreSnapshot, error) {
	f := newFound(s.capabilities.Opaque(), len(s.statements.parts))
	for first := true; first || len(names) > 0; first = false {
		part := names[:min(len(names), perQuestion)]
		names = names[len(part):]
		f.ask(part)
		err := s.database.Query(ctx, s.statements.read, map[string]any{namesParameter: f.list}, f.scan)
		if err != nil {
			return shadowsync.StoreSnapshot{}, s.source.Fault(err)
		}
	}
	return f.snapshot, nil
}

// separator stands between the parts of a value.
var separator = scheme.Join("", "")

// found is what a question has found so far.
type found struct {
	opaque   bool
	parts    int
	asked    map[string]bool
	list     sqldb.List
	snapshot shadowsync.StoreSnapshot
	seen     map[string]bool
}

func newFound(opaque bool, parts int) *found {
	return &found{
		opaque: opaque, parts: parts, asked: map[string]bool{}, seen: map[string]bool{},
		snapshot: shadowsync.StoreSnapshot{Accounts: map[string]shadowsync.StoredAccount{}, Malformed: map[string]string{}},
	}
}

// ask replaces the names that the next statement asks for. No row has a name that cannot be one.
func (f *found) ask(names []string) {
	f.list = f.list[:0]
	for _, name := range names {
		if isName(name) {
			f.asked[name] = true
			f.list = append(f.list, name)
		}
	}
	if len(f.list) == 0 {
		f.list = append(f.list, "") // a list in SQL is never empty
	}
}

func isName(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsRune(name, 0)
}

// scan takes the rows. The collation of a table may find 'Admin' for 'admin': only exact names count.
func (f *found) scan(rows *sql.Rows) error {
	columns, err := rows.Columns()
	if err == nil && len(columns) != 1+f.parts {
		return driver.Malformed("read returns %d columns: there must be %d, the name and then the value", len(columns), 1+f.parts)
	}
	var name sql.NullString
	values := make([]sql.NullString, f.parts)
	into := []any{&name}
	for i := range values {
		into = append(into, &values[i])
	}
	for count := 0; err == nil && rows.Next(); count++ {
		if count > 10*len(f.list)+100 {
			return driver.Malformed("the table has far more rows than there are accounts: is its column of names right?")
		}
		if err = rows.Scan(into...); err == nil && f.asked[name.String] {
			f.take(name.String, values)
		}
	}
	return err
}

func (f *found) take(name string, values []sql.NullString) {
	why := ""
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = v.String // NULL is a value that is empty
		if strings.Contains(v.String, separator) || !utf8.ValidString(v.String) {
			why = "its value holds characters that no hash has"
		}
	}
	value := scheme.Join(parts...)
	switch {
	case f.seen[name]:
		why = "there are several rows of that name"
	case len(value) > maxPassword:
		why = "its value is too long"
	}
	f.seen[name] = true
	if why != "" {
		delete(f.snapshot.Accounts, name)
		f.snapshot.Malformed[name] = why
		return
	}
	c := shadowsync.Credential{Hash: value}
	if !f.opaque {
		c.Hash, c.Locked = shadowsync.ParsePassword(value)
	}
	f.snapshot.Accounts[name] = shadowsync.StoredAccount{Credential: c}
}

// Rehearse implements driver.Rehearser. It does all of a write, for an account that cannot be, and undoes
// it.
func (s *Store) Rehearse(ctx context.Context) error {
	err := s.database.Try(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		values, _ := s.values(shadowsync.Write{})
		if _, err := tx.Exec(ctx, s.statements.update, values); err != nil {
			return err
		}
		return s.clear(ctx, tx, values)
	})
	return s.source.Fault(err)
}

// Write implements shadowsync.CredentialStore, in one transaction. If the server refuses a value, which
// ends the transaction, each account gets one of its own.
func (s *Store) Write(ctx context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if err := driver.CheckBatch(writes); err != nil {
		return nil, err
	}
	left, err := s.write(ctx, writes)
	if sqldb.Refused(err) {
		left = make(shadowsync.Unwritten)
		err = nil
		for _, w := range writes {
			one, oneErr := s.write(ctx, []shadowsync.Write{w})
			switch {
			case sqldb.Refused(oneErr):
				left[w.Name] = s.source.Fault(oneErr)
			case oneErr != nil:
				return nil, s.source.Fault(oneErr)
			case one[w.Name] != nil:
				left[w.Name] = one[w.Name]
			}
		}
	}
	if err != nil {
		return nil, s.source.Fault(err)
	}
	return left, nil
}

func (s *Store) write(ctx context.Context, writes []shadowsync.Write) (left shadowsync.Unwritten, err error) {
	err = s.database.Change(ctx, func(ctx context.Context, tx sqldb.Tx) error {
		left = make(shadowsync.Unwritten)
		present, err := s.present(ctx, tx, writes)
		if err != nil {
			return err
		}
		for _, w := range writes {
			why := s.refuse(w, present)
			if why == nil {
				if why, err = s.replace(ctx, tx, w); err != nil {
					return err
				}
			}
			if why != nil {
				left[w.Name] = why
			}
		}
		return nil
	})
	return left, err
}

// present reads the accounts in the transaction that writes them.
func (s *Store) present(ctx context.Context, tx sqldb.Tx, writes []shadowsync.Write) (shadowsync.StoreSnapshot, error) {
	f := newFound(s.capabilities.Opaque(), len(s.statements.parts))
	for first := true; first || len(writes) > 0; first = false {
		part := writes[:min(len(writes), perQuestion)]
		writes = writes[len(part):]
		names := make([]string, len(part))
		for i, w := range part {
			names[i] = w.Name
		}
		f.ask(names)
		rows, err := tx.Query(ctx, s.statements.read, map[string]any{namesParameter: f.list})
		if err != nil {
			return f.snapshot, err
		}
		err = errors.Join(f.scan(rows), rows.Err(), rows.Close())
		if err != nil {
			return f.snapshot, err
		}
	}
	return f.snapshot, nil
}

// refuse returns why an account is left alone.
func (s *Store) refuse(w shadowsync.Write, present shadowsync.StoreSnapshot) error {
	account, there := present.Accounts[w.Name]
	_, fits := s.values(w)
	switch {
	case w.Create && there:
		return shadowsync.ErrChanged
	case w.Create || w.Delete:
		return &shadowsync.RefusedError{Reason: "only the application adds and removes its accounts"}
	case present.Malformed[w.Name] != "":
		return driver.Malformed("%s", present.Malformed[w.Name])
	case !there:
		return shadowsync.ErrNoAccount
	case !shadowsync.Equal(account.Credential, w.Expect, s.capabilities.Fields):
		return shadowsync.ErrChanged
	case !fits:
		return &shadowsync.RefusedError{Reason: "the value is too long, not UTF-8, or not one of the store's scheme"}
	}
	return nil
}

// replace is the compare-and-swap.
func (s *Store) replace(ctx context.Context, tx sqldb.Tx, w shadowsync.Write) (why, err error) {
	values, _ := s.values(w)
	switch n, err := tx.Exec(ctx, s.statements.update, values); {
	case err != nil:
		return nil, err
	case n > 1:
		return nil, driver.Malformed("update finds %d rows for one account", n)
	case n == 0:
		return shadowsync.ErrChanged, nil
	case w.Probes():
		return nil, nil
	}
	return nil, s.clear(ctx, tx, values)
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
	return parts, fits && len(value) <= maxPassword && utf8.ValidString(value) && !strings.ContainsRune(value, 0)
}
