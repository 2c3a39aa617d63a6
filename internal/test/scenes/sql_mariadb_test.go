package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// backquoted has a backquote for each acute accent: Go's raw texts cannot hold one.
func backquoted(text string) string { return strings.ReplaceAll(text, "´", "`") }

// inMariaDB makes a table whose names must be quoted, with the rights that docs/stores.md names.
var inMariaDB = backquoted(`systemctl start mariadb
mariadb -e "CREATE USER shadowsync@'127.0.0.1' IDENTIFIED BY '$(cat /etc/shadowsync/store.password)'"
mariadb <<'END'
CREATE DATABASE site CHARACTER SET utf8mb4;
USE site;
CREATE TABLE ´user's ´´ü´´´ (´lo"gin´ varchar(150) PRIMARY KEY, ´ha´´sh é´ varchar(255) NOT NULL);
INSERT INTO ´user's ´´ü´´´ VALUES ('admin', '*'), ('user222', '*'), ('other', 'stays');
GRANT SELECT (´lo"gin´, ´ha´´sh é´), UPDATE (´ha´´sh é´) ON ´user's ´´ü´´´ TO shadowsync@'127.0.0.1';
END
`)

// tableInMariaDB are the keys of its store.
var tableInMariaDB = backquoted(`table = "user's ´ü´"
name = 'lo"gin'
password = "ha´sh é"
`)

func heldInMariaDB(s *stage, account string) string {
	s.t.Helper()
	return strings.TrimSpace(s.Input(backquoted("SELECT ´ha´´sh é´ FROM ´user's ´´ü´´´ WHERE ´lo\"gin´ = '"+account+"'")).Must("mariadb", "--default-character-set=utf8mb4", "-N", "site"))
}

// withSettings starts MariaDB again with other settings; none: its usual ones.
func withSettings(lines string) string {
	return "printf '[mariadbd]\\n" + lines + "' >/etc/mysql/mariadb.conf.d/99-trouble.cnf; systemctl restart mariadb"
}

// inMariaDBTroubles are what is not the same as with accounts of the server itself.
var inMariaDBTroubles = []trouble{
	{"no right", tableRight("REVOKE", "FROM") + "systemctl restart mariadb", tableRight("GRANT", "TO") + "systemctl restart mariadb", "no right"},
	{"read-only", "mariadb -e 'SET GLOBAL read_only = 1'", "mariadb -e 'SET GLOBAL read_only = 0'", "the database is read-only"},
	{"too many connections", withSettings(`max_user_connections = -1\n`), withSettings(""), "too many connections"},
	{"hung", "systemctl kill -s STOP mariadb", "systemctl kill -s CONT mariadb", "no answer in time"},
}

func tableRight(verb, whom string) string {
	return backquoted("mariadb site <<'END'\n" + verb + " UPDATE (´ha´´sh é´) ON ´user's ´´ü´´´ " + whom + " shadowsync@'127.0.0.1'\nEND\n")
}

// TestTableInMariaDB: a table of crypt(3) hashes whose names must be quoted, and what may go wrong with its
// server.
func TestTableInMariaDB(t *testing.T) {
	t.Parallel()
	s := onSite(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), "/bin/sleep infinity", `driver = "sql"
dsn = "mysql://shadowsync@127.0.0.1/site"
password_file = "/etc/shadowsync/store.password"
`+tableInMariaDB, inMariaDB)
	s.persists("admin", "Found-in-the-table-1", "site's")
	if heldInMariaDB(s, "admin") != s.ShadowHash("admin") || heldInMariaDB(s, "other") != "stays" {
		t.Errorf("the table holds %q and %q", heldInMariaDB(s, "admin"), heldInMariaDB(s, "other"))
	}
	s.troubles(inMariaDBTroubles, "user222", func(password string) bool {
		held := heldInMariaDB(s, "user222")
		return held == s.ShadowHash("user222") && s.opensHash(held, password)
	})
}
