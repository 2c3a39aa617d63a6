package store

import (
	"maps"
	"testing"
)

// with returns a table with other keys.
func with(table, keys map[string]any) map[string]any {
	table = maps.Clone(table)
	maps.Copy(table, keys)
	return table
}

// TestIdentity: how a store is reached and spelled does not matter, but what its values are, and where.
func TestIdentity(t *testing.T) {
	list := map[string]any{"driver": "passwdfile", "path": "/etc/pgbouncer/userlist.txt", "format": "pgbouncer"}
	role := map[string]any{"driver": "postgres-role", "dsn": "postgres://shadowsync@db.example.org/postgres"}
	user := map[string]any{"driver": "mysql-user", "dsn": "mysql://shadowsync@127.0.0.1/"}
	rows := map[string]any{"driver": "sql", "dsn": "postgres://a@127.0.0.1/app", "table": "users", "name": "login", "password": "hash"}
	own := map[string]any{"driver": "sqlite"}
	const same, otherKind, otherPlace = "the same", "another kind", "another place"
	for name, c := range map[string]struct {
		table, edit map[string]any
		want        string
	}{
		"a name and a reload":       {list, map[string]any{"store_name": "x", "reload_unit": "pgbouncer.service"}, same},
		"a scheme that is meant":    {list, map[string]any{"scheme": "scram-sha-256"}, same},
		"names as they are":         {list, map[string]any{"as": "{name}"}, same},
		"other names":               {list, map[string]any{"as": "{name}@x"}, otherPlace},
		"another file":              {list, map[string]any{"path": "/etc/pgbouncer/other.txt"}, otherPlace},
		"another format":            {list, map[string]any{"format": "mosquitto"}, otherKind},
		"roles by another database": {role, map[string]any{"dsn": "postgresql://other@DB.example.org:5432/template1?sslmode=verify-full"}, same},
		"roles of another server":   {role, map[string]any{"dsn": "postgres://shadowsync@db2.example.org/postgres"}, otherPlace},
		"users of localhost":        {user, map[string]any{"host": "localhost", "dsn": "mariadb://x@127.0.0.1:3306/mysql"}, same},
		"users of any host":         {user, map[string]any{"host": "%"}, otherPlace},
		"another login":             {rows, map[string]any{"dsn": "postgresql://b@127.0.0.1:5432/app?sslmode=disable", "password_file": "/etc/b"}, same},
		"another database":          {rows, map[string]any{"dsn": "postgres://a@127.0.0.1/other"}, otherPlace},
		"another column":            {rows, map[string]any{"password": "second"}, otherPlace},
		"a scheme of its own":       {rows, map[string]any{"scheme": "bcrypt"}, otherKind},
		"the default path":          {own, map[string]any{"path": "/var/lib/shadowsync/credentials.db"}, same},
	} {
		t.Run(name, func(t *testing.T) {
			edited := with(c.table, c.edit)
			for _, table := range []map[string]any{c.table, edited} {
				if _, err := Parse(table); err != nil {
					t.Fatal(err)
				}
			}
			kind, place := Identity(c.table)
			kindThen, placeThen := Identity(edited)
			got := same
			switch {
			case kind != kindThen:
				got = otherKind
			case place != placeThen:
				got = otherPlace
			}
			if got != c.want {
				t.Errorf("it counts as %s, want %s", got, c.want)
			}
		})
	}
}
