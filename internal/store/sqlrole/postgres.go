package sqlrole

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
)

var postgres = kind{
	dialect:  sqldb.PostgreSQL,
	scheme:   "scram-sha-256",
	verifier: expression(`^SCRAM-SHA-256\$[0-9]{1,9}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]+=*:[A-Za-z0-9+/]+=*$`),
	// pg_authid(5) is open to superusers, and to whom one grants these two columns.
	read: func(context.Context, sqldb.Tx) (string, error) {
		return `SELECT rolname, left(rolpassword, 4097), CASE WHEN rolcanlogin THEN '' ELSE 'the role may not log in' END
			FROM pg_catalog.pg_authid WHERE rolname IN (:names)`, nil
	},
	alter: func(name, _, verifier string) string {
		return "ALTER ROLE " + sqldb.PostgreSQL.Identifier(name) + " PASSWORD '" + verifier + "'"
	},
	// From version 16 on CREATEROLE is for roles with the ADMIN OPTION alone (https://www.postgresql.org/docs/16/role-attributes.html).
	// pg_has_role() would tell, too, but took 36 s where the server had 10,000 roles.
	hindrance: `SELECT CASE WHEN own.rolsuper THEN '' WHEN NOT own.rolcreaterole THEN '` + sqldb.SaysMayNotAlter + `'
			WHEN current_setting('server_version_num')::int < 160000 OR EXISTS (
				WITH RECURSIVE mine AS (
					SELECT own.oid UNION SELECT m.roleid FROM mine JOIN pg_catalog.pg_auth_members AS m ON m.member = mine.oid
				)
				SELECT FROM mine JOIN pg_catalog.pg_auth_members AS m ON m.member = mine.oid JOIN pg_catalog.pg_roles AS other ON other.oid = m.roleid
				WHERE m.admin_option AND NOT other.rolsuper AND other.oid <> own.oid
			) THEN '' ELSE '` + sqldb.SaysNoRight + `: permission denied to alter role' END
		FROM pg_catalog.pg_roles AS own WHERE rolname = current_user`,
}
