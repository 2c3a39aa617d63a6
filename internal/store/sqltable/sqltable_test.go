package sqltable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestMain(m *testing.M) { os.Exit(sqltest.Run(m)) }

// place is a database in a test.
type place struct {
	dialect sqldb.Dialect
	options driver.Options
	admin   *sql.DB
}

func (p *place) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := p.admin.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// set writes a row as the application does.
func (p *place) insert(t testing.TB, name string, password any) {
	t.Helper()
	s, err := sqldb.Compile(p.dialect, "INSERT INTO "+p.dialect.Table(p.options.Text("table"))+" ("+p.dialect.Identifier(p.options.Text("name"))+", "+
		p.dialect.Identifier(p.options.Text("password"))+") VALUES (:name, :password)")
	if err != nil {
		t.Fatal(err)
	}
	query, args := s.Bind(map[string]any{"name": name, "password": password})
	if _, err := p.admin.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func (p *place) open(t testing.TB) *Store {
	t.Helper()
	s, err := Driver.Open(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.(*Store)
}

// with returns the same place with other keys.
func (p *place) with(keys map[string]any) *place {
	other := *p
	other.options.Keys = maps.Clone(p.options.Keys)
	maps.Copy(other.options.Keys, keys)
	for name, value := range keys {
		if value == nil {
			delete(other.options.Keys, name)
		}
	}
	return &other
}

// kind is a kind of database.
type kind struct {
	name    string
	dialect sqldb.Dialect
	server  func(testing.TB) *sqltest.Server // nil: a file
	text    string                           // the type of the columns
}

var kinds = []kind{
	{"SQLite", sqldb.SQLite, nil, "VARCHAR(128) COLLATE NOCASE"},
	{"PostgreSQL", sqldb.PostgreSQL, sqltest.PostgreSQL, "VARCHAR(128)"},
	{"MariaDB", sqldb.MySQL, sqltest.MariaDB, "VARCHAR(128)"},
}

// everywhere runs a test in each kind of database that the machine has, with an empty table of these names.
func everywhere(t *testing.T, table, name, password string, do func(t *testing.T, p *place)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { do(t, k.place(t, table, name, password)) })
	}
}

// place makes an empty table.
func (k kind) place(t *testing.T, table, name, password string) *place {
	p := &place{dialect: k.dialect, options: driver.Options{Driver: "sql", Keys: map[string]any{"table": table, "name": name, "password": password}}}
	if k.server == nil {
		path := filepath.Join(t.TempDir(), "app.db")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p.options.Keys["dsn"] = "sqlite://" + path
		var err error
		if p.admin, err = sql.Open("sqlite3", path); err != nil {
			t.Fatal(err)
		}
		p.admin.SetMaxIdleConns(0) // what is put in the place of the file is opened
		t.Cleanup(func() { _ = p.admin.Close() })
	} else {
		server := k.server(t)
		p.admin, p.options.Keys["dsn"], p.options.Secret = server.Admin, server.DSN, []byte(sqltest.Secret)
	}
	quoted := p.dialect.Table(table)
	p.exec(t, "DROP TABLE IF EXISTS "+quoted, "CREATE TABLE "+quoted+" ("+p.dialect.Identifier(name)+" "+k.text+", "+p.dialect.Identifier(password)+" "+k.text+")")
	t.Cleanup(func() { _, _ = p.admin.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+quoted) })
	p.grant(t, fmt.Sprintf("SELECT (%[1]s, %[2]s), UPDATE (%[2]s)", p.dialect.Identifier(name), p.dialect.Identifier(password)), quoted)
	return p
}

// grant gives rights as docs/stores.md does.
func (p *place) grant(t testing.TB, rights, table string) {
	t.Helper()
	switch p.dialect {
	case sqldb.PostgreSQL:
		p.exec(t, "GRANT "+rights+" ON "+table+" TO shadowsync")
	case sqldb.MySQL:
		p.exec(t, "GRANT "+rights+" ON "+table+" TO shadowsync@'127.0.0.1'", "GRANT "+rights+" ON "+table+" TO shadowsync@localhost")
	}
}

func credential(field string) shadowsync.Credential {
	var c shadowsync.Credential
	c.Hash, c.Locked = shadowsync.ParsePassword(field)
	return c
}

// hostile are names of which each would change a statement that it became part of, or that a collation
// takes for another.
var hostile = []string{
	"admin", "Admin", "ADMIN", "admin ", "x'; DROP TABLE t; --", `"`, "`", `\`, `\'`, "${x}", "$1", "?", ":name", "%", "_", "ädmin", "a\u0301dmin", "用户", "🔑", "' OR '1'='1", "a\tb\nc", "{a,b}", `{"a"}`, "NULL",
}

func TestHostileNames(t *testing.T) {
	for _, identifiers := range [][3]string{
		{"auth_user", "username", "password"},
		{`a "quoted" table; --`, "user 'name`", "pass\"word` ü"},
	} {
		t.Run(identifiers[0], func(t *testing.T) {
			everywhere(t, identifiers[0], identifiers[1], identifiers[2], func(t *testing.T, p *place) {
				want := map[string]string{}
				for i, name := range hostile {
					p.insert(t, name, fmt.Sprintf("$6$old$%d", i))
					want[name] = fmt.Sprintf("$6$old$%d", i)
				}
				s := p.open(t)
				for i, name := range hostile { // one after another: no write may touch another row
					before, after := fmt.Sprintf("$6$old$%d", i), fmt.Sprintf(`!$6$new'"\`+"`"+`;:name$1?%d`, i)
					left, err := s.Write(t.Context(), []shadowsync.Write{{Name: name, Expect: credential(before), Want: credential(after)}})
					if err != nil || len(left) > 0 {
						t.Fatalf("%q: left alone %v, %v", name, left, err)
					}
					want[name] = after
				}
				got, err := s.Read(t.Context(), append(hostile, "nobody"))
				if err != nil || len(got.Malformed) > 0 || len(got.Accounts) != len(want) {
					t.Fatalf("%+v, %v", got, err)
				}
				for name, field := range want {
					if got.Accounts[name].Credential != credential(field) {
						t.Errorf("%q holds %+v, want %q", name, got.Accounts[name], field)
					}
				}
				if one, err := s.Read(t.Context(), []string{"aDMIN"}); err != nil || len(one.Accounts) != 0 {
					t.Errorf("another case finds %+v, %v", one, err)
				}
			})
		})
	}
}

func TestCompareAndSwap(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.insert(t, "alice", "$6$Old")
		p.insert(t, "bob", "$6$bob")
		p.insert(t, "twice", "$6$one")
		p.insert(t, "twice", "$6$two")
		p.exec(t, "INSERT INTO auth_user (username) VALUES ('none')")
		s := p.open(t)
		left, err := s.Write(t.Context(), []shadowsync.Write{
			{Name: "alice", Expect: credential("$6$old"), Want: credential("$6$x")}, // another case
			{Name: "bob", Expect: credential("$6$bob"), Want: credential("!$6$new")},
			{Name: "nobody", Want: credential("$6$x")},
			{Name: "twice", Expect: credential("$6$one"), Want: credential("$6$x")},
			{Name: "none", Want: credential("$6$first")},
			{Name: "new", Create: true, Want: credential("$6$x")},
		})
		refused := (*shadowsync.RefusedError)(nil)
		if err != nil || len(left) != 4 || !errors.Is(left["alice"], shadowsync.ErrChanged) || !errors.Is(left["nobody"], shadowsync.ErrNoAccount) ||
			!errors.Is(left["twice"], shadowsync.ErrMalformed) || !errors.As(left["new"], &refused) {
			t.Errorf("left alone: %v, %v", left, err)
		}
		got, err := s.Read(t.Context(), []string{"alice", "bob", "twice", "none"})
		want := map[string]shadowsync.StoredAccount{"alice": {Credential: credential("$6$Old")}, "bob": {Credential: credential("!$6$new")}, "none": {Credential: credential("$6$first")}}
		if err != nil || !maps.Equal(got.Accounts, want) || len(got.Malformed) != 1 || got.Malformed["twice"] == "" {
			t.Errorf("%+v, %v", got, err)
		}
		probe := shadowsync.Write{Name: "bob", Expect: credential("!$6$new"), Want: credential("!$6$new")}
		if left, err := s.Write(t.Context(), []shadowsync.Write{probe}); err != nil || len(left) > 0 {
			t.Errorf("a probe: %v, %v", left, err)
		}
		if err := s.Rehearse(t.Context()); err != nil {
			t.Errorf("rehearsal: %v", err)
		}
	})
}

// TestTooLong: the row that the server refuses keeps its value, and the others are written.
func TestTooLong(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		if p.dialect == sqldb.SQLite {
			t.Skip("a column of SQLite has no length")
		}
		p.insert(t, "alice", "$6$a")
		p.insert(t, "bob", "$6$b")
		s := p.open(t)
		long := "$6$" + strings.Repeat("x", 126)
		left, err := s.Write(t.Context(), []shadowsync.Write{
			{Name: "alice", Expect: credential("$6$a"), Want: credential(long)},
			{Name: "bob", Expect: credential("$6$b"), Want: credential("$6$new")},
		})
		refused := (*shadowsync.RefusedError)(nil)
		if err != nil || len(left) != 1 || !errors.As(left["alice"], &refused) || !strings.Contains(refused.Reason, "longer than the column") {
			t.Errorf("left alone: %v, %v", left, err)
		}
		got, err := s.Read(t.Context(), []string{"alice", "bob"})
		if err != nil || got.Accounts["alice"].Hash != "$6$a" || got.Accounts["bob"].Hash != "$6$new" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestSessionsAreCleared(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.exec(t, "DROP TABLE IF EXISTS sess", "CREATE TABLE sess (who VARCHAR(128), token VARCHAR(128))",
			"INSERT INTO sess VALUES ('alice', '1'), ('alice', '2'), ('bob', '3')")
		p.grant(t, "SELECT, DELETE", "sess")
		p.insert(t, "alice", "$6$a")
		p.insert(t, "bob", "$6$b")
		by := p.with(map[string]any{"sessions": "sess", "sessions_account": "who"})
		own := p.with(map[string]any{
			"table": nil, "name": nil, "password": nil,
			"read": "SELECT username, password FROM auth_user WHERE username IN (:names)", "clear": "DELETE FROM sess WHERE who = :name",
			"update": "UPDATE auth_user SET password = :password WHERE username = :name AND password = :old_password",
		})
		remaining := func() (n int) {
			if err := p.admin.QueryRow("SELECT count(*) FROM sess").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		s := by.open(t)
		for _, step := range []struct {
			store  *Store
			name   string
			expect string
			want   string
			left   int
		}{
			{s, "alice", "$6$other", "$6$x", 3}, // not written: nothing is cleared
			{s, "alice", "$6$a", "$6$a", 3},     // a probe
			{s, "alice", "$6$a", "$6$x", 1},
			{own.open(t), "bob", "$6$b", "$6$y", 0},
		} {
			_, err := step.store.Write(t.Context(), []shadowsync.Write{{Name: step.name, Expect: credential(step.expect), Want: credential(step.want)}})
			if err != nil || remaining() != step.left {
				t.Errorf("%+v: %d sessions, %v", step, remaining(), err)
			}
		}
		if got, err := s.Read(t.Context(), []string{"alice", "bob"}); err != nil || got.Accounts["alice"].Hash != "$6$x" || got.Accounts["bob"].Hash != "$6$y" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestParts: a scheme that keeps algorithm and salt in columns of their own. All of them are compared, and
// all change together.
func TestParts(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.exec(t, "ALTER TABLE auth_user ADD COLUMN algo VARCHAR(20)", "ALTER TABLE auth_user ADD COLUMN salt VARCHAR(20)")
		p.grant(t, "SELECT, UPDATE", "auth_user")
		p.insert(t, "alice", "h1")
		p.exec(t, "UPDATE auth_user SET algo = 'a1', salt = 's1'")
		of := p.with(map[string]any{"algorithm": "algo", "salt": "salt"})
		of.options.Scheme = "gitea"
		s := of.open(t)
		value := func(parts ...string) shadowsync.Credential { return shadowsync.Credential{Hash: scheme.Join(parts...)} }
		for _, step := range []struct {
			expect, want shadowsync.Credential
			why          error
		}{
			{value("a1", "other", "h1"), value("a2", "s2", "h2"), shadowsync.ErrChanged},
			{value("other", "s1", "h1"), value("a2", "s2", "h2"), shadowsync.ErrChanged},
			{value("a1", "s1", "h1"), value("!a2", "*s2", "h2"), nil},
		} {
			left, err := s.Write(t.Context(), []shadowsync.Write{{Name: "alice", Expect: step.expect, Want: step.want}})
			if err != nil || !errors.Is(left["alice"], step.why) {
				t.Errorf("%+v: left %v, %v", step, left, err)
			}
		}
		got, err := s.Read(t.Context(), []string{"alice"})
		if err != nil || got.Accounts["alice"].Hash != scheme.Join("!a2", "*s2", "h2") || got.Accounts["alice"].Locked {
			t.Errorf("%+v, %v", got, err)
		}
		var all string
		if err := p.admin.QueryRow("SELECT concat(algo, salt, password) FROM auth_user").Scan(&all); err != nil || all != "!a2*s2h2" {
			t.Errorf("the columns hold %q, %v", all, err)
		}
	})
}

func TestConfigure(t *testing.T) {
	base := driver.Options{Driver: "sql", Keys: map[string]any{"dsn": "postgres://s@127.0.0.1/a", "table": "t", "name": "n", "password": "p"}}
	p := &place{options: base}
	for _, tt := range []struct {
		name   string
		keys   map[string]any
		scheme string
		says   string
	}{
		{"as it is", nil, "", ""},
		{"a scheme", nil, "django-pbkdf2-sha256", ""},
		{"an unknown scheme", nil, "rot13", "must be"},
		{"no salt", nil, "grafana", `"salt" is missing`},
		{"a salt", map[string]any{"salt": "s"}, "grafana", ""},
		{"a salt too many", map[string]any{"salt": "s"}, "bcrypt", "keeps no salt"},
		{"no table", map[string]any{"table": nil}, "", `"table" is missing`},
		{"a table of three names", map[string]any{"table": "a.b.c"}, "", "a name of a table"},
		{"statements", map[string]any{"table": nil, "name": nil, "password": nil, "read": "SELECT a, b FROM c WHERE a IN (:names)", "update": "UPDATE c SET b = :password WHERE a = :name AND b = :old_password"}, "", ""},
		{"statements and a table", map[string]any{"read": "x", "update": "y"}, "", "say the same"},
		{"a read alone", map[string]any{"table": nil, "name": nil, "password": nil, "read": "x"}, "", `"update" is missing`},
		{"no comparison", map[string]any{"table": nil, "name": nil, "password": nil, "read": "SELECT a, b FROM c WHERE a IN (:names)", "update": "UPDATE c SET b = :password WHERE a = :name"}, "", "no :old_password"},
		{"an unknown parameter", map[string]any{"table": nil, "name": nil, "password": nil, "read": "SELECT a, b FROM c WHERE a IN (:names) AND d = :host", "update": "y"}, "", ":host"},
		{"sessions of nobody", map[string]any{"sessions": "s"}, "", "sessions_account"},
		{"one column for two things", map[string]any{"password": "n"}, "", `password = "n": that is the column of "name"`},
		{"one column for two parts", map[string]any{"salt": "p"}, "grafana", `that is the column of "salt"`},
		{"one column in MySQL", map[string]any{"dsn": "mysql://s@127.0.0.1/a", "password": "N"}, "", `that is the column of "name"`},
		{"sessions are the accounts", map[string]any{"table": "public.t", "sessions": "t", "sessions_account": "n"}, "", "that is the table of the accounts"},
		{"sessions of another schema", map[string]any{"table": "a.t", "sessions": "b.t", "sessions_account": "n"}, "", ""},
		{"a secret twice", map[string]any{"password_file": "/etc/x", "credential": "x"}, "", "one of them"},
		{"a secret for a file", map[string]any{"dsn": "sqlite:///var/lib/x.db", "password_file": "/etc/x"}, "", "SQLite is a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := p.with(tt.keys).options
			o.Scheme = tt.scheme
			if err := Driver.Validate(o); tt.says == "" && err != nil || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTwoWriters: of two writers that expect the same value, one wins.
func TestTwoWriters(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		p.insert(t, "alice", "$6$0")
		stores := []*Store{p.open(t), p.open(t)}
		const rounds = 30
		won := make(chan int, rounds*len(stores))
		for round := range rounds {
			done := make(chan error, len(stores))
			for i, s := range stores {
				go func() {
					w := shadowsync.Write{Name: "alice", Expect: credential(fmt.Sprintf("$6$%d", round)), Want: credential(fmt.Sprintf("$6$%d", round+1))}
					left, err := s.Write(context.WithoutCancel(t.Context()), []shadowsync.Write{w})
					if err == nil && left["alice"] == nil {
						won <- i
					} else if err == nil && !errors.Is(left["alice"], shadowsync.ErrChanged) {
						err = left["alice"]
					}
					if errors.Is(err, shadowsync.ErrUnavailable) { // it lost a race for a lock
						err = nil
					}
					done <- err
				}()
			}
			for range stores {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(won) != rounds {
			t.Errorf("%d writes succeeded in %d rounds", len(won), rounds)
		}
	})
}

// TestPaddedColumns: the blanks with which CHAR(n) is filled up are part of neither a name nor a value.
func TestPaddedColumns(t *testing.T) {
	everywhere(t, "auth_user", "username", "password", func(t *testing.T, p *place) {
		switch p.dialect {
		case sqldb.PostgreSQL:
			p.exec(t, "ALTER TABLE auth_user ALTER username TYPE char(20), ALTER password TYPE char(120)")
		case sqldb.MySQL:
			p.exec(t, "ALTER TABLE auth_user MODIFY username CHAR(20), MODIFY password CHAR(120)")
		}
		p.insert(t, "alice", "$6$a")
		s := p.open(t)
		if err := writeOne(t.Context(), s, "$6$a", "$6$b"); err != nil {
			t.Error(err)
		}
		if got, err := s.Read(t.Context(), []string{"alice", "alice "}); err != nil || got.Accounts["alice"].Hash != "$6$b" || len(got.Accounts) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
