package scenes

import "strings"

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
