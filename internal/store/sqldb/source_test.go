package sqldb

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		dsn      string
		want     Source
		endpoint driver.Endpoint
	}{
		{"postgres://shadowsync@127.0.0.1/app", Source{Dialect: PostgreSQL, User: "shadowsync", Host: "127.0.0.1", Port: "5432", Database: "app"}, driver.Endpoint{Host: "127.0.0.1", Port: "5432"}},
		{"postgresql://s@localhost:6432/app", Source{Dialect: PostgreSQL, User: "s", Host: "localhost", Port: "6432", Database: "app"}, driver.Endpoint{Addresses: []string{"127.0.0.1", "::1"}, Port: "6432"}},
		{"postgres://s@[::1]/app?sslmode=verify-full", Source{Dialect: PostgreSQL, User: "s", Host: "::1", Port: "5432", Database: "app", Verify: true}, driver.Endpoint{Host: "::1", Port: "5432"}},
		{"postgres://s@db.example/app", Source{Dialect: PostgreSQL, User: "s", Host: "db.example", Port: "5432", Database: "app", Verify: true}, driver.Endpoint{Host: "db.example", Port: "5432"}},
		{"postgres://s@/app?host=/run/postgresql", Source{Dialect: PostgreSQL, User: "s", Socket: "/run/postgresql", Port: "5432", Database: "app"}, driver.Endpoint{Socket: "/run/postgresql/.s.PGSQL.5432"}},
		{"mysql://w%40p@127.0.0.1/a%2Fb", Source{Dialect: MySQL, User: "w@p", Host: "127.0.0.1", Port: "3306", Database: "a/b"}, driver.Endpoint{Host: "127.0.0.1", Port: "3306"}},
		{"mariadb://s@/app?socket=/run/mysqld/mysqld.sock", Source{Dialect: MySQL, User: "s", Socket: "/run/mysqld/mysqld.sock", Port: "3306", Database: "app"}, driver.Endpoint{Socket: "/run/mysqld/mysqld.sock"}},
		{"mysql://s@127.0.0.1/", Source{Dialect: MySQL, User: "s", Host: "127.0.0.1", Port: "3306"}, driver.Endpoint{Host: "127.0.0.1", Port: "3306"}},
		{"sqlite:///var/lib/a%20b/db.sqlite3", Source{Dialect: SQLite, File: "/var/lib/a b/db.sqlite3"}, driver.Endpoint{}},
	} {
		t.Run(tt.dsn, func(t *testing.T) {
			got, err := Parse(tt.dsn)
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
			if tt.want.Dialect != SQLite && !reflect.DeepEqual(got.Endpoint(), tt.endpoint) {
				t.Errorf("reaches %+v, want %+v", got.Endpoint(), tt.endpoint)
			}
		})
	}
}

// TestParseRefuses: no error repeats what may be a password.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ dsn, says string }{
		{"postgres://s:hunter2@127.0.0.1/app", "holds a password"},
		{"postgres://s@127.0.0.1/app?password=hunter2", "holds a password"},
		{"mysql://s:hunter2@tcp(127.0.0.1:3306)/app", "not a URL"},
		{"s:hunter2@tcp(127.0.0.1:3306)/app", "must begin with"},
		{"host=127.0.0.1 password=hunter2", "must begin with"},
		{"oracle://s@127.0.0.1/app", "must begin with"},
		{"postgres://127.0.0.1/app", "no user"},
		{"postgres://s@127.0.0.1/", "no database"},
		{"postgres://s@/app", "either a host or a Unix socket"},
		{"postgres://s@127.0.0.1/app?host=/run/postgresql", "either a host or a Unix socket"},
		{"postgres://s@/app?host=run", "must be absolute"},
		{"postgres://s@127.0.0.1:0/app", "port"},
		{"postgres://s@db.example/app?sslmode=disable", "can be read on the way to db.example"},
		{"postgres://s@db.example/app?sslmode=prefer", "does not verify"},
		{"postgres://s@db.example/app?sslmode=require", "does not verify"},
		{"postgres://s@10.0.0.1/app?sslmode=verify-ca", "does not verify"},
		{"mysql://s@10.0.0.1/app?sslmode=disable", "can be read"},
		{"postgres://s@/app?host=/run/postgresql&sslmode=verify-full", "no TLS"},
		{"postgres://s@db.example/app?sslrootcert=/etc/ca.pem", `key "ca"`},
		{"postgres://s@db.example/app?options=-c", `setting "options"`},
		{"mysql://s@127.0.0.1/app?allowCleartextPasswords=true", "setting"},
		{"postgres://s@db1.example,db2.example/app", "several hosts"},
		{"postgres://s@/app?host=/run/postgresql&host=/tmp", `"host" twice`},
		{"postgres://s@127.0.0.1/app?sslmode=disable&sslmode=verify-full", `"sslmode" twice`},
		{"sqlite://app.db", "absolute"},
		{"sqlite:///var/../etc/shadow", "absolute"},
		{"sqlite:///var/lib/app.db?mode=rwc", "absolute"},
	} {
		t.Run(tt.dsn, func(t *testing.T) {
			_, err := Parse(tt.dsn)
			if !strings.Contains(fmt.Sprint(err), tt.says) || strings.Contains(fmt.Sprint(err), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestBind(t *testing.T) {
	values := map[string]any{"name": "a", "names": List{"x", "y"}}
	for _, tt := range []struct {
		dialect Dialect
		text    string
		query   string
		args    []any
	}{
		{PostgreSQL, "a = :name::text AND b = :name", "a = $1::text::text AND b = $1::text", []any{"a"}},
		{PostgreSQL, `a IN (:names) AND ":name" = ':name' AND c[1:2] = :name`, `a IN (SELECT unnest($1::text[])) AND ":name" = ':name' AND c[1:2] = $2::text`, []any{[]string{"x", "y"}, "a"}},
		{MySQL, "`:name` IN (:names) OR a = :name", "`:name` IN (?,?) OR a = ?", []any{"x", "y", "a"}},
		{SQLite, "a IN (:names) AND b = 'it''s :name' AND c = :name", "a IN (SELECT value FROM json_each(?)) AND b = 'it''s :name' AND c = ?", []any{`["x","y"]`, "a"}},
	} {
		t.Run(tt.text, func(t *testing.T) {
			s, err := Compile(tt.dialect, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if query, args := s.Bind(values); query != tt.query || !reflect.DeepEqual(args, tt.args) {
				t.Errorf("%s %q", query, args)
			}
		})
	}
}

// TestCompileRefuses: SQL in which a parameter could be part of a text, or which is more than one statement.
func TestCompileRefuses(t *testing.T) {
	for _, text := range []string{"a = ':name", "a = :name; DROP TABLE t", "a = :name -- b", "/* :name", "a = $1", "a = ?", `a = 'it\'s :name'`, "a = $$:name$$"} {
		t.Run(text, func(t *testing.T) {
			if s, err := Compile(PostgreSQL, text); err == nil {
				t.Errorf("%+v", s)
			}
		})
	}
}
