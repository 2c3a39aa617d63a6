package sqlrole

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/sqldb/sqltest"
	"github.com/shadowsync/shadowsync/internal/store/storetest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestMain(m *testing.M) { os.Exit(sqltest.Run(m)) }

// scram is the n-th of many verifiers; no password fits any.
func scram(n int) string {
	return fmt.Sprintf("SCRAM-SHA-256$4096:c2FsdHNhbHQ=$%043d=:%043d=", n, n)
}

func native(n int) string { return fmt.Sprintf("*%040X", n) }

func TestConformancePostgreSQL(t *testing.T) {
	storetest.Run(t, storetest.Fixture{
		Driver: PostgreSQL, Value: scram, Make: inPostgreSQL,
		Lacks: func(name string) bool { return name == "" || len(name) > 63 },
	})
}

// roles makes roles that end with the test.
func roles(t *testing.T, server *sqltest.Server, accounts map[string]string) {
	t.Helper()
	for name, value := range accounts {
		role := sqldb.PostgreSQL.Identifier(name)
		server.Exec(t, "DROP ROLE IF EXISTS "+role, "CREATE ROLE "+role+" LOGIN PASSWORD '"+value+"'")
		t.Cleanup(func() { server.Exec(t, "DROP ROLE IF EXISTS "+role) })
		if needsAdminOption(t, server) {
			server.Exec(t, "GRANT "+role+" TO shadowsync WITH ADMIN OPTION")
		}
	}
}

// needsAdminOption: from PostgreSQL 16 on, the attribute CREATEROLE alone does not let a user alter other roles.
func needsAdminOption(t *testing.T, server *sqltest.Server) (needs bool) {
	t.Helper()
	if err := server.Admin.QueryRow("SELECT current_setting('server_version_num')::int >= 160000").Scan(&needs); err != nil {
		t.Fatal(err)
	}
	return needs
}

func inPostgreSQL(t *testing.T, accounts map[string]string) storetest.Store {
	server := sqltest.PostgreSQL(t)
	server.Exec(t, "ALTER ROLE shadowsync CREATEROLE", "GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_authid TO shadowsync")
	roles(t, server, accounts)
	return storetest.Store{
		Options: driver.Options{Driver: "postgres-role", Keys: map[string]any{"dsn": server.Local}},
		Held: func(name string) (value string, there bool) {
			err := server.Admin.QueryRow("SELECT rolpassword FROM pg_authid WHERE rolname = $1", name).Scan(&value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Error(err)
			}
			return value, err == nil
		},
		Set: func(name, value string) { // also what ALTER ROLE would hash
			tx, err := server.Admin.Begin()
			if err == nil {
				_, err = tx.Exec("SET LOCAL allow_system_table_mods = on")
			}
			if err == nil {
				_, err = tx.Exec("UPDATE pg_authid SET rolpassword = $1 WHERE rolname = $2", value, name)
			}
			if err = errors.Join(err, tx.Commit()); err != nil {
				t.Fatal(err)
			}
		},
		Break:   func() (mend func()) { return stopped(t, server) },
		Restart: func() { server.Restart(t) },
	}
}

func stopped(t *testing.T, server *sqltest.Server) (start func()) {
	server.Stop()
	return func() {
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformanceMariaDB(t *testing.T) {
	storetest.Run(t, storetest.Fixture{
		Driver: MySQL, Value: native, Make: inMariaDB,
		Lacks: func(name string) bool { return name == "" || len(name) > 128 },
	})
}

func inMariaDB(t *testing.T, accounts map[string]string) storetest.Store {
	server := sqltest.MariaDB(t)
	server.Exec(t, "GRANT CREATE USER ON *.* TO shadowsync@localhost", "GRANT SELECT ON mysql.global_priv TO shadowsync@localhost")
	for name, value := range accounts {
		user := sqldb.MySQL.Identifier(name) + "@localhost"
		server.Exec(t, "CREATE OR REPLACE USER "+user+" IDENTIFIED WITH mysql_native_password AS '"+value+"'")
		t.Cleanup(func() { server.Exec(t, "DROP USER IF EXISTS "+user) })
	}
	return storetest.Store{
		Options: driver.Options{Driver: "mysql-user", Keys: map[string]any{"dsn": strings.Replace(server.Local, "/app", "/", 1)}},
		Held: func(name string) (value string, there bool) {
			err := server.Admin.QueryRow("SELECT JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv WHERE Host = 'localhost' AND User = ?", name).Scan(&value)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				t.Error(err)
			}
			return value, err == nil
		},
		Set: func(name, value string) { // also what ALTER USER would refuse
			_, err := server.Admin.Exec("UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.authentication_string', ?) WHERE Host = 'localhost' AND User = ?", value, name)
			if err != nil {
				t.Fatal(err)
			}
			server.Exec(t, "FLUSH PRIVILEGES")
		},
		Break:   func() (mend func()) { return stopped(t, server) },
		Restart: func() { server.Restart(t) },
	}
}

// TestVerifiers: what is no verifier would be hashed by the server as a clear text.
func TestVerifiers(t *testing.T) {
	for _, k := range []kind{postgres, mysql} {
		for _, value := range []string{"", "secret", scram(1) + "'", "'" + scram(1), scram(1) + "\n", strings.ToLower(native(255)), native(1) + "0", "md5" + strings.Repeat("0", 32)} {
			if k.verifier(value) {
				t.Errorf("%s takes %q", k.scheme, value)
			}
		}
	}
}

// TestRehearsalNamesTheHindrance: a rehearsal succeeds only if the user may alter other roles.
func TestRehearsalNamesTheHindrance(t *testing.T) {
	place := inPostgreSQL(t, map[string]string{"clerk": scram(1)})
	server := sqltest.PostgreSQL(t)
	s, err := PostgreSQL.Open(t.Context(), place.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	withoutOption := "" // before version 16, CREATEROLE is enough
	if needsAdminOption(t, server) {
		withoutOption = sqldb.SaysNoRight + ": permission denied to alter role"
	}
	for _, tt := range []struct{ name, statement, says string }{
		{"the right", "", ""},
		{"no option", "REVOKE clerk FROM shadowsync", withoutOption},
		{"a superuser", "ALTER ROLE shadowsync SUPERUSER NOCREATEROLE", ""},
		{"no right", "ALTER ROLE shadowsync NOSUPERUSER", sqldb.SaysMayNotAlter},
	} {
		if tt.statement != "" {
			server.Exec(t, tt.statement)
		}
		err := s.(driver.Rehearser).Rehearse(t.Context())
		if said := fmt.Sprint(err); (err != nil) != (tt.says != "") || !strings.Contains(said, tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

// TestOneRefusedAccount: an account that the server does not let us change hinders no other one.
func TestOneRefusedAccount(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		place := inPostgreSQL(t, map[string]string{"boss": scram(1), "clerk": scram(2)})
		sqltest.PostgreSQL(t).Exec(t, "ALTER ROLE boss SUPERUSER") // only another one may change it
		left := writeBoth(t, PostgreSQL, place, scram)
		if why := left["boss"]; !errors.Is(why, shadowsync.ErrMalformed) || !strings.Contains(why.Error(), "no right") || left["clerk"] != nil {
			t.Errorf("left %v", left)
		}
		if value, _ := place.Held("clerk"); value != scram(4) {
			t.Errorf("clerk has %s", value)
		}
		s, err := PostgreSQL.Open(t.Context(), place.Options) // for it alone, the right is missing as a whole
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		left, err = s.Write(t.Context(), []shadowsync.Write{{Name: "boss", Expect: shadowsync.Credential{Hash: scram(1)}, Want: shadowsync.Credential{Hash: scram(3)}}})
		if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), "no right") {
			t.Errorf("for one alone: %v, %v", left, err)
		}
	})
	t.Run("MariaDB", func(t *testing.T) {
		place := inMariaDB(t, map[string]string{"boss": native(1), "clerk": native(2)})
		server := sqltest.MariaDB(t)
		server.Exec(t, "INSTALL SONAME 'simple_password_check'") // it refuses every hash
		defer server.Exec(t, "UNINSTALL SONAME 'simple_password_check'")
		left := writeBoth(t, MySQL, place, native)
		for _, name := range []string{"boss", "clerk"} {
			if refused := (*shadowsync.RefusedError)(nil); !errors.As(left[name], &refused) {
				t.Errorf("left %v", left)
			}
		}
	})
}

// writeBoth changes the values of boss and clerk from 1 and 2 to 3 and 4.
func writeBoth(t *testing.T, d driver.Driver, place storetest.Store, value func(int) string) shadowsync.Unwritten {
	t.Helper()
	s, err := d.Open(t.Context(), place.Options)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	write := func(name string, from, to int) shadowsync.Write {
		return shadowsync.Write{Name: name, Expect: shadowsync.Credential{Hash: value(from)}, Want: shadowsync.Credential{Hash: value(to)}}
	}
	left, err := s.Write(t.Context(), []shadowsync.Write{write("boss", 1, 3), write("clerk", 2, 4)})
	if err != nil {
		t.Error(err)
	}
	return left
}
