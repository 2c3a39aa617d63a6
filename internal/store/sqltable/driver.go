// Package sqltable is the driver of a credential store that is a table of an application's in PostgreSQL,
// MySQL, MariaDB or SQLite.
//
// It promises that a value is replaced only while the row holds the expected one, by one statement that
// finds exactly one row, compared byte by byte whatever the table's collation; and that a name of which
// there are two rows is malformed and never written. It adds no account: only the application knows what
// else belongs to one.
//
//	driver.go    the configuration
//	statements.go  the SQL, the application's own or made of the names of its table and columns
//	store.go     reads and writes
package sqltable

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var (
	identifier = key.Form{Says: "a name of a column", Is: isIdentifier}
	table      = key.Form{Says: `a name of a table, such as "auth_user" or "public.auth_user"`, Is: isTable}
)

var keys = slices.Concat(sqldb.Keys, []key.Key{
	{Name: "table", Kind: key.Text, Form: table, Doc: "The table with a row for each account, with or without its schema. Or `read` and `update`."},
	{Name: "name", Kind: key.Text, Form: identifier, Doc: "The column of `table` with the account's name."},
	{Name: "password", Kind: key.Text, Form: identifier, Doc: "The column of `table` with the hash. With no `scheme` it holds the password field of shadow(5): the hash, with `!` before it if locked."},
	{Name: "salt", Kind: key.Text, Form: identifier, Default: "the hash holds it", Doc: "The column of `table` with the salt, for a `scheme` that keeps it apart."},
	{Name: "algorithm", Kind: key.Text, Form: identifier, Default: "the hash holds it", Doc: "The column of `table` with the name of the algorithm, for a `scheme` that keeps it apart."},
	{Name: "sessions", Kind: key.Text, Form: table, Default: "none are cleared", Doc: "A table from which the rows of an account are deleted in the transaction that changes its password."},
	{Name: "sessions_account", Kind: key.Text, Form: identifier, Doc: "The column of `sessions` that says whose a row is."},
	{Name: "sessions_refers", Kind: key.Text, Form: identifier, Default: "`name`", Doc: "The column of `table` with the same value, such as its `id`."},
	{Name: "read", Kind: key.Text, Doc: "The application's own statement instead of `table`: `SELECT` name and password, and then salt and algorithm if `scheme` has them, `WHERE` the name is `IN (:names)`."},
	{Name: "update", Kind: key.Text, Doc: "With `read`: an `UPDATE` to `:password` of the row with `:name` and `:old_password`, and likewise `:salt`, `:old_salt`, `:algorithm`, `:old_algorithm`. Without the old values in it, a change of the application's could be lost."},
	{Name: "clear", Kind: key.Text, Default: "nothing is cleared", Doc: "With `update`: a statement that ends the sessions of `:name`, in the same transaction."},
})

func isIdentifier(text string) bool {
	return text != "" && len(text) <= 128 && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func isTable(text string) bool {
	schema, name, two := strings.Cut(text, ".")
	return isIdentifier(schema) && (!two || isIdentifier(name) && !strings.Contains(name, "."))
}

// Driver is the driver "sql".
var Driver = driver.Driver{
	Traits:    driver.Traits{Doc: "a table of an application's in PostgreSQL, MySQL, MariaDB or SQLite", Schemes: scheme.Names(), Polled: true},
	Placement: placement,
	Fields:    shadowsync.FieldHash | shadowsync.FieldLocked,
	Keys:      keys,
	Validate:  func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:   driver.NothingToPrepare,
	File:      func(o driver.Options) string { return source(o).File },
	Plain:     func(o driver.Options) map[string]string { return map[string]string{"dsn": source(o).Plain()} },
	Endpoint:  func(o driver.Options) driver.Endpoint { return source(o).Endpoint() },
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err == nil {
			s.database, err = s.source.Open(o)
		}
		if err != nil {
			return nil, err // a nil *Store would not be a nil interface
		}
		return s, nil
	},
}

// source is the database of options that Validate has accepted.
func source(o driver.Options) sqldb.Source {
	s, _ := sqldb.Parse(o.Text("dsn"))
	return s
}

func placement(o driver.Options) driver.Placement {
	if source(o).Dialect == sqldb.SQLite {
		return driver.OwnerWorker
	}
	return driver.NetworkWorker
}

func configure(o driver.Options) (*Store, error) {
	if err := o.Check(keys); err != nil {
		return nil, err
	}
	database, err := sqldb.Parse(o.Text("dsn"))
	if err != nil {
		return nil, err
	}
	if o.Path != "" && o.Path != database.File {
		return nil, key.Bad("path", `dsn names the database: "path" is not needed`)
	}
	if err := secret(o, database); err != nil {
		return nil, err
	}
	s := &Store{source: database, capabilities: shadowsync.Capabilities{Fields: shadowsync.FieldHash | shadowsync.FieldLocked}}
	if s.capabilities.Formats, err = o.Accepted(); err != nil {
		return nil, err
	}
	parts := []scheme.Part{scheme.Hash}
	name, err := o.Choose(append([]string{""}, scheme.Names()...))
	if err != nil {
		return nil, err
	}
	if name != "" {
		chosen, err := scheme.Find(name)
		if err != nil {
			return nil, err
		}
		parts = chosen.Parts()
		s.capabilities = shadowsync.Capabilities{Fields: shadowsync.FieldHash, Scheme: name}
	}
	s.statements, err = newStatements(database.Dialect, parts, o)
	return s, err
}

// secret checks the keys for a server that asks who comes.
func secret(o driver.Options, database sqldb.Source) error {
	for _, k := range []key.Key{driver.PasswordFile, driver.Credential, driver.CA} {
		if database.Dialect == sqldb.SQLite && o.Text(k.Name) != "" {
			return key.Bad(k.Name, "%s is for a server: SQLite is a file", k.Name)
		}
	}
	return o.CheckSecret()
}
