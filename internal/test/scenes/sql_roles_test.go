package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// inPostgresRoles makes roles and a database for them.
const inPostgresRoles = `systemctl start postgresql
cd /
sql() { runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qtA "$@"; }
echo "CREATE ROLE shadowsync LOGIN CREATEROLE PASSWORD '$(cat /etc/shadowsync/store.password)'" | sql
sql -c 'CREATE DATABASE site' -c 'CREATE ROLE admin LOGIN' -c 'CREATE ROLE user222 LOGIN' -c 'CREATE ROLE other LOGIN'
sql -c 'GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO shadowsync'
`

// inPostgresRoleTroubles are what may be wrong with the server of a role.
var inPostgresRoleTroubles = []trouble{
	inPostgresTroubles[0], // stopped
	inPostgresTroubles[1], // another password
	{"no right", alter("ALTER ROLE shadowsync NOCREATEROLE"), alter("ALTER ROLE shadowsync CREATEROLE"), "no right"},
	inPostgresTroubles[len(inPostgresTroubles)-2], // full
	{"killed between write and read-back", killedAfterWrite, "systemctl start postgresql@15-main", ""},
	inPostgresTroubles[len(inPostgresTroubles)-1], // hung
}

// killedAfterWrite kills the server when it has written a role, and before it answers the question that reads it back. One
// session holds the write up until another one waits behind it for all roles, and so that one gets them before any read.
const killedAfterWrite = `cat >/usr/local/bin/kill-after-write <<'END'
session() { runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qtA "$@"; }
wait_for() { echo "DO \$\$ BEGIN WHILE (SELECT count(*) FROM pg_locks WHERE relation = 'pg_authid'::regclass AND NOT granted) < $1 LOOP PERFORM pg_sleep(0.01); END LOOP; END \$\$"; }
held="SELECT rolpassword FROM pg_authid WHERE rolname = 'admin'"
before=$(session -c "$held")
session -c 'BEGIN; LOCK pg_authid IN SHARE MODE' -c '\! touch /tmp/holds' -c "$(wait_for 2)" &
session -c '\! touch /tmp/waits' -c "$(wait_for 1)" -c 'BEGIN; LOCK pg_authid' -c "$held" -c 'SELECT pg_sleep(60)' |
	{ read -r now; [ "$now" = "$before" ] || systemctl kill -s KILL postgresql@15-main; }
END
systemd-run -q --unit=kill-after-write sh -e /usr/local/bin/kill-after-write
for i in $(seq 200); do [ ! -e /tmp/holds ] || [ ! -e /tmp/waits ] || exit 0; sleep 0.05; done; exit 1`

// TestPostgresRole: a role logs in to PostgreSQL with what root set by passwd. Beside it is the application "shop",
// whose table is in a file.
func TestPostgresRole(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	m.AddUser("clerk", machine.OldPassword)
	s := onSite(t, m, "/bin/sleep infinity", `driver = "postgres-role"
dsn = "postgres://shadowsync@127.0.0.1/postgres"
password_file = "/etc/shadowsync/store.password"
`+shopConfiguration, inPostgresRoles+inShop)
	logsIn := func(password string) bool {
		r := s.Env("PGPASSWORD="+password).Run("psql", "-h", "127.0.0.1", "-U", "admin", "-d", "site", "-tAc", "SELECT 1")
		return r.Code == 0
	}
	s.ownLogin(logsIn, "postgresql@15-main")
	verifier := s.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'admin'")
	if !strings.HasPrefix(verifier, "SCRAM-SHA-256$4096:") {
		s.t.Errorf("the server holds %.20q", verifier)
	}
	s.Must("shadowsync", "user", "set", "password", "user222", "Known-to-both-3")
	old := "Own-login-1"
	s.troubles(inPostgresRoleTroubles, "admin", func(password string) bool {
		if !logsIn(password) {
			return false
		}
		if logsIn(old) {
			t.Errorf("the server takes %q and still takes %q", password, old)
		}
		old = password
		return true
	}, othersTakeIt)
	s.sub("a table in SQLite", tableInSQLite)
	if log := s.MustShell("cat /var/log/postgresql/*.log; journalctl --no-pager"); strings.Contains(log, "Own-login-") || strings.Contains(log, "Trouble-with-it-") {
		s.t.Error("a clear text is in a log")
	}
}

// ownLogin: a server takes the password that root just set, and refuses the old one, also after its restart.
func (s *stage) ownLogin(logsIn func(string) bool, unit string) {
	s.t.Helper()
	old := "never set"
	for _, password := range []string{"Own-login-1", `Own'login"\ü-2`} {
		s.persists("admin", password, "site's")
		for _, moment := range []string{"at once", "after a restart"} {
			if !logsIn(password) || logsIn(old) {
				s.t.Errorf("%s: the new password %v, the old one %v", moment, logsIn(password), logsIn(old))
			}
			s.Must("systemctl", "restart", unit)
		}
		old = password
	}
	if r := s.Run("shadowsync", "sync"); r.Code != 0 && r.Code != 3 {
		s.t.Errorf("sync: %s", r)
	}
	if state := s.stateIn("site", "admin"); state != "in-sync" {
		s.t.Errorf("admin is %s", state)
	}
}

// inMariaDBUsers makes users.
const inMariaDBUsers = `systemctl start mariadb
mariadb <<END
CREATE USER shadowsync@'127.0.0.1' IDENTIFIED BY '$(cat /etc/shadowsync/store.password)';
GRANT CREATE USER ON *.* TO shadowsync@'127.0.0.1';
GRANT SELECT ON mysql.global_priv TO shadowsync@'127.0.0.1';
CREATE USER admin@localhost IDENTIFIED BY 'x', user222@localhost IDENTIFIED BY 'y';
END
`

// alterMariaDB runs SQL in MariaDB.
func alterMariaDB(statement string) string { return `mariadb -e "` + statement + `"` }

// TestMariaDBUser: a user logs in to MariaDB with what root set by passwd. One that has another way to log in
// keeps it.
func TestMariaDBUser(t *testing.T) {
	t.Parallel()
	s := onSite(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), "/bin/sleep infinity", `driver = "mysql-user"
dsn = "mysql://shadowsync@127.0.0.1/"
password_file = "/etc/shadowsync/store.password"
`, inMariaDBUsers)
	logsIn := func(password string) bool {
		return s.Env("MYSQL_PWD="+password).Run("mariadb", "-u", "admin", "-e", "SELECT 1").Code == 0
	}
	s.ownLogin(logsIn, "mariadb")
	s.Must("shadowsync", "user", "set", "password", "user222", "Known-to-both-3")
	s.troubles([]trouble{
		{"stopped", "systemctl stop mariadb", "systemctl start mariadb", "connection refused"},
		{"another password", alterMariaDB("SET PASSWORD FOR shadowsync@'127.0.0.1' = PASSWORD('other')") + "; systemctl restart mariadb", alterMariaDB("SET PASSWORD FOR shadowsync@'127.0.0.1' = PASSWORD('$(cat /etc/shadowsync/store.password)')"), "refuses the login of shadowsync"},
		{"no right", alterMariaDB("REVOKE CREATE USER ON *.* FROM shadowsync@'127.0.0.1'") + "; systemctl restart mariadb", alterMariaDB("GRANT CREATE USER ON *.* TO shadowsync@'127.0.0.1'") + "; systemctl restart mariadb", "no right"},
		{"hung", "systemctl kill -s STOP mariadb", "systemctl kill -s CONT mariadb", "no answer in time"},
	}, "admin", logsIn)
	s.Must("mariadb", "-e", "ALTER USER user222@localhost IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket")
	before := s.Must("mariadb", "-Ne", "SHOW CREATE USER user222@localhost")
	if said := s.passwd("user222", "Not-for-it-3"); !strings.Contains(said, "NOT persisted") || !strings.Contains(said, "several ways to log in") {
		s.t.Errorf("passwd said %q", said)
	}
	if now := s.Must("mariadb", "-Ne", "SHOW CREATE USER user222@localhost"); now != before {
		s.t.Errorf("it was %s and is %s", before, now)
	}
}
