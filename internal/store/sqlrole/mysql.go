package sqlrole

import (
	"context"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
)

// mysql is for the plugin mysql_native_password, which both servers have. ALTER USER would take other
// ways to log in away from a user, such as the unix_socket of root in Debian's MariaDB.
var mysql = kind{
	dialect:  sqldb.MySQL,
	scheme:   "mysql-native",
	verifier: expression(`^\*[0-9A-F]{40}$`),
	read: func(ctx context.Context, tx sqldb.Tx) (string, error) {
		version, err := tx.Text(ctx, "SELECT @@version")
		if err != nil || !strings.Contains(version, "MariaDB") {
			return "SELECT User, LEFT(authentication_string, 4097), " + because("plugin", "FALSE") + " FROM mysql.user WHERE User IN (:names) AND Host = :host", err
		}
		return "SELECT User, LEFT(JSON_VALUE(Priv, '$.authentication_string'), 4097), " +
			because("JSON_VALUE(Priv, '$.plugin')", "COALESCE(JSON_EXISTS(Priv, '$.auth_or'), 0)") + " FROM mysql.global_priv WHERE User IN (:names) AND Host = :host", nil
	},
	hindrance: "SELECT IF(COUNT(*) > 0, '', '" + sqldb.SaysMayNotAlter + "') FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE USER' " +
		"AND GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')",
	// Names are quoted like columns: a text may hold a backslash, whose meaning depends on a setting.
	alter: func(name, host, verifier string) string {
		return "ALTER USER " + sqldb.MySQL.Identifier(name) + "@" + sqldb.MySQL.Identifier(host) + " IDENTIFIED WITH mysql_native_password AS '" + verifier + "'"
	},
}

// because is SQL for the reason why a user cannot be used.
func because(plugin, others string) string {
	return "CASE WHEN COALESCE(" + plugin + ", '') NOT IN ('mysql_native_password', '') THEN CONCAT('it logs in by the plugin ', LEFT(" + plugin + ", 64)) " +
		"WHEN " + others + " THEN 'it has several ways to log in' ELSE '' END"
}
