package doctor

import (
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/sqldb"
)

// grant names the statements that give a store's user its rights.
func (t *attempt) grant(text, client string, s sqldb.Source) verdict {
	statements := t.grants(text, s)
	switch {
	case statements == "":
		return fail("%s", text).person("grant what its statements need", client)
	case strings.Contains(text, saysAdminOption):
		return fail("%s", text).person("run as a superuser, or make it a superuser itself if one of them is: "+statements, client)
	case strings.Contains(text, saysSuperuser):
		return fail("%s", text).person("make it a superuser, or take superusers' roles off the list of accounts: "+statements, client)
	case !s.Local():
		return fail("%s", text).person("run as the server's administrator: "+statements, client)
	case s.Dialect == sqldb.MySQL: // only the server knows which of its users of that name it took
		return fail("%s", text).person("run, with the host that this names: "+statements, "mariadb -e "+quoted("SELECT user, host FROM mysql.user WHERE user = "+literal(s.User)))
	}
	return fail("%s", text).by("runuser -u postgres -- psql -d "+quoted(s.Database)+" -c "+quoted(statements), nil)
}

// What PostgreSQL says to a role that may alter roles, but not this one: from version 16 on, and before.
const (
	saysAdminOption = "permission denied to alter role"
	saysSuperuser   = "must be superuser"
)

func (t *attempt) grants(text string, s sqldb.Source) string {
	to := s.Dialect.Identifier(s.User)
	switch {
	case t.options.Driver == "mysql-user":
		return grantsOfUsers(text, to+"@"+s.Dialect.Identifier("HOST"))
	case t.options.Driver != "postgres-role":
		return entry(text, s, to) + t.grantsOfTable(s, to)
	case strings.Contains(text, saysSuperuser):
		return "ALTER ROLE " + to + " SUPERUSER"
	case strings.Contains(text, saysAdminOption):
		var all []string
		for _, name := range t.names() {
			all = append(all, "GRANT "+s.Dialect.Identifier(t.store.Capabilities().Spelt(name))+" TO "+to+" WITH ADMIN OPTION")
		}
		return strings.Join(all, "; ")
	}
	return "ALTER ROLE " + to + " CREATEROLE; GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO " + to
}

// grantsOfUsers are those for the users of MariaDB, or of MySQL, which keeps them in another table.
func grantsOfUsers(text, to string) string {
	alter := "GRANT CREATE USER ON *.* TO " + to
	switch {
	case strings.Contains(text, sqldb.SaysMayNotAlter): // so it may read
		return alter
	case strings.Contains(text, "global_priv"):
		return alter + "; GRANT SELECT ON mysql.global_priv TO " + to
	}
	return alter + "; GRANT SELECT ON mysql.user TO " + to
}

// entry is what PostgreSQL asks for before it looks at a table.
func entry(text string, s sqldb.Source, to string) string {
	_, schema, ofSchema := strings.Cut(text, "permission denied for schema ")
	switch {
	case ofSchema:
		return "GRANT USAGE ON SCHEMA " + s.Dialect.Identifier(schema) + " TO " + to + "; "
	case strings.Contains(text, "permission denied for database "):
		return "GRANT CONNECT ON DATABASE " + s.Dialect.Identifier(s.Database) + " TO " + to + "; "
	}
	return ""
}

// grantsOfTable name the columns: the user needs no others.
func (t *attempt) grantsOfTable(s sqldb.Source, to string) string {
	table, sessions := t.options.Text("table"), t.options.Text("sessions")
	if table == "" {
		return ""
	}
	if s.Dialect == sqldb.MySQL {
		to += "@" + s.Dialect.Identifier("HOST")
	}
	columns := func(keys ...string) string {
		var names []string
		for _, k := range keys {
			if column := t.options.Text(k); column != "" && !slices.Contains(names, s.Dialect.Identifier(column)) {
				names = append(names, s.Dialect.Identifier(column))
			}
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	all := "GRANT SELECT " + columns("name", "password", "salt", "algorithm", "sessions_refers") +
		", UPDATE " + columns("password", "salt", "algorithm") + " ON " + s.Table(table) + " TO " + to
	if sessions != "" {
		all += "; GRANT SELECT " + columns("sessions_account") + ", DELETE ON " + s.Table(sessions) + " TO " + to
	}
	return all
}
