// Package sqlrole has the drivers for the accounts of a database server itself: "postgres-role" for
// PostgreSQL, "mysql-user" for MariaDB and MySQL. Who logs in to the server with a password uses one.
//
// The server gets a verifier and never a clear text. It is written by ALTER ROLE or ALTER USER, which
// take no condition: what was there is read just before, but a change that somebody else makes in
// between is lost. So these drivers do not compare and swap.
//
//	driver.go    the configuration
//	postgres.go  what is PostgreSQL's
//	mysql.go     what is MariaDB's and MySQL's
//	store.go     reads and writes
package sqlrole

import (
	"cmp"
	"context"
	"slices"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// PostgreSQL is the driver "postgres-role".
var PostgreSQL = driverOf(postgres, "a role of PostgreSQL: what it logs in to the server with", nil)

// MySQL is the driver "mysql-user".
var MySQL = driverOf(mysql, "a user of MariaDB or MySQL: what it logs in to the server with", []key.Key{
	{Name: "host", Kind: key.Text, Form: key.Form{Says: "the host of the users", Is: isHost}, Default: "`localhost`", Doc: "The host part of the users, as in `'admin'@'localhost'`."},
})

func isHost(text string) bool { return text != "" && len(text) <= 255 }

func driverOf(k kind, doc string, own []key.Key) driver.Driver {
	keys := slices.Concat(sqldb.Keys, own)
	configured := func(o driver.Options) (*Store, error) { return configure(k, keys, o) }
	return driver.Driver{
		Traits:    driver.Traits{Doc: doc, Schemes: []string{k.scheme}, Polled: true, Blind: true},
		Placement: func(driver.Options) driver.Placement { return driver.NetworkWorker },
		Fields:    shadowsync.FieldHash,
		Keys:      keys,
		Validate:  func(o driver.Options) error { _, err := configured(o); return err },
		Prepare:   driver.NothingToPrepare,
		Plain:     plain,
		Endpoint: func(o driver.Options) driver.Endpoint {
			s, _ := sqldb.Parse(o.Text("dsn")) // Validate has accepted it
			return s.Endpoint()
		},
		Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
			s, err := configured(o)
			if err == nil {
				s.database, err = s.source.Open(o)
			}
			if err != nil {
				return nil, err // a nil *Store would not be a nil interface
			}
			return s, nil
		},
	}
}

func configure(k kind, keys []key.Key, o driver.Options) (*Store, error) {
	if err := o.Check(keys); err != nil {
		return nil, err
	}
	source, err := sqldb.Parse(o.Text("dsn"))
	switch {
	case err != nil:
		return nil, err
	case source.Dialect != k.dialect:
		return nil, key.Bad("dsn", "dsn is of another kind of server than the driver %s: it must begin with %s", o.Driver, k.dialect.Begins())
	case o.Path != "":
		return nil, key.Bad("path", `dsn names the server: "path" is not needed`)
	}
	if _, err := o.Choose([]string{k.scheme}); err != nil {
		return nil, err
	}
	return &Store{source: source, kind: k, host: hostOf(o)}, o.CheckSecret()
}

func hostOf(o driver.Options) string { return cmp.Or(o.Text("host"), "localhost") }

// plain leaves the database out: the accounts are those of the whole server.
func plain(o driver.Options) map[string]string {
	s, _ := sqldb.Parse(o.Text("dsn")) // Validate has accepted it
	keys := map[string]string{"dsn": s.Server()}
	if s.Dialect == sqldb.MySQL {
		keys["host"] = hostOf(o)
	}
	return keys
}
