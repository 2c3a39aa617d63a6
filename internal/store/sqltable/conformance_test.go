package sqltable

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			storetest.Run(t, storetest.Fixture{Driver: Driver, Make: k.makeStore})
		})
	}
}

// makeStore makes a table that the test reads and writes as an application does.
func (k kind) makeStore(t *testing.T, accounts map[string]string) storetest.Store {
	p := k.place(t, "auth_user", "username", "password")
	if k.server != nil { // the process of a writer that is killed gets no secret
		p.options.Keys["dsn"], p.options.Secret = k.server(t).Local, nil
	}
	for name, value := range accounts {
		p.insert(t, name, value)
	}
	held, err := sqldb.Compile(p.dialect, "SELECT password FROM auth_user WHERE "+p.dialect.Text("username")+" = "+p.dialect.Text(":name"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := sqldb.Compile(p.dialect, "UPDATE auth_user SET password = :password WHERE "+p.dialect.Text("username")+" = "+p.dialect.Text(":name"))
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Store{
		Options: p.options,
		Held: func(name string) (value string, there bool) {
			query, args := held.Bind(map[string]any{"name": name})
			err := p.admin.QueryRow(query, args...).Scan(&value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Error(err)
			}
			return value, err == nil
		},
		Set: func(name, value string) {
			query, args := set.Bind(map[string]any{"name": name, "password": value})
			if _, err := p.admin.Exec(query, args...); err != nil {
				t.Fatal(err)
			}
		},
		Break:   func() (mend func()) { return k.makeUnavailable(t, p) },
		Spoil:   func() { p.exec(t, "ALTER TABLE auth_user RENAME COLUMN password TO gone") },
		Hang:    func() (release func()) { return lock(t, p) },
		Restart: k.restart(t),
	}
}

// restart is nil for a database without a server.
func (k kind) restart(t *testing.T) func() {
	if k.server == nil {
		return nil
	}
	return func() { k.server(t).Restart(t) }
}

func (k kind) makeUnavailable(t *testing.T, p *place) (mend func()) {
	if k.server != nil {
		k.server(t).Stop()
		return func() {
			if err := k.server(t).Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := source(p.options).File
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(path, path+".away")
	return func() { rename(path+".away", path) }
}

// lock keeps everybody else from the table.
func lock(t *testing.T, p *place) (release func()) {
	conn, err := p.admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(statements ...string) {
		for _, statement := range statements {
			if _, err := conn.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	switch p.dialect {
	case sqldb.PostgreSQL:
		run("BEGIN", "LOCK TABLE auth_user IN ACCESS EXCLUSIVE MODE")
		return func() { run("ROLLBACK"); _ = conn.Close() }
	case sqldb.MySQL:
		run("LOCK TABLES auth_user WRITE")
		return func() { run("UNLOCK TABLES"); _ = conn.Close() }
	}
	run("BEGIN EXCLUSIVE")
	return func() { run("ROLLBACK"); _ = conn.Close() }
}
