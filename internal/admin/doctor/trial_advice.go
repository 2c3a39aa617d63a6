package doctor

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// explain says what prevents the use of a store, and names the command to run next.
func (t *attempt) explain(err error) verdict {
	if dsn := t.options.Text("dsn"); dsn != "" && t.options.Path == "" {
		if source, bad := sqldb.Parse(dsn); bad == nil {
			return t.explainServer(err, dsn, source)
		}
	}
	path := storePath(t.holder)
	switch {
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%v", err).person("make it whole", mendStore(t.holder))
	case !inroot.Live(t.Root):
		return fail("%v", err).by("ls -ld "+inroot.Shown(t.Root, path), nil)
	}
	why, command := obstacle(path, err)
	return fail("%s: %s", path, why).by(command, nil)
}

// explainServer is explain for a database server. Its faults reach us as texts, through a worker.
func (t *attempt) explainServer(err error, dsn string, s sqldb.Source) verdict {
	client, service := t.client(dsn, s), "postgresql"
	if s.Dialect == sqldb.MySQL {
		service = "mariadb"
	}
	text := err.Error()
	switch {
	case strings.Contains(text, sqldb.SaysNoRight), strings.Contains(text, sqldb.SaysMayNotAlter):
		return t.grant(text, client, s)
	case strings.Contains(text, sqldb.SaysUnreachable) && s.Local():
		return fail("%s", text).by("systemctl status "+service, nil)
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%s", text).person("compare the database with the configuration", "editor "+t.File)
	case strings.Contains(text, sqldb.SaysUnverified):
		return fail("%s", text).person("name its Unix socket in dsn", "editor "+t.File)
	case strings.Contains(text, sqldb.SaysLogin):
		return fail("%s", text).person("give it the password that the server knows", client)
	}
	return fail("%s", text).by(client, nil)
}

// client is the server's own client. It verifies whom it gets the password for, where we do: by itself it
// would show that to whoever answers.
func (t *attempt) client(dsn string, s sqldb.Source) string {
	authorities := t.options.Text(driver.CA.Name)
	if authorities == "" {
		authorities = systemAuthorities()
	}
	verify, place := "", "--host="+quoted(s.Host)+" --port="+s.Port
	if s.Host == "" {
		place = "--socket=" + quoted(s.Socket)
	}
	switch {
	case s.Dialect == sqldb.PostgreSQL && s.Verify:
		return "PGSSLMODE=verify-full PGSSLROOTCERT=" + quoted(authorities) + " psql " + quoted(dsn)
	case s.Dialect == sqldb.PostgreSQL:
		return "psql " + quoted(dsn)
	case s.Verify:
		verify = "--ssl --ssl-verify-server-cert --ssl-ca=" + quoted(authorities) + " "
	}
	return "mariadb " + verify + "--user=" + quoted(s.User) + " --password " + place + " " + quoted(s.Database)
}

// systemAuthorities is the file with the certificates that the system trusts, in Debian or in Fedora: the
// servers' clients do not all find it by themselves.
func systemAuthorities() string {
	const debian, fedora = "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"
	if _, err := os.Stat(debian); err != nil {
		return fedora
	}
	return debian
}

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
		return t.grantsOfTable(s, to)
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

// literal is a text in MySQL's SQL, as its default settings have it.
func literal(text string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(text) + "'"
}

// quoted is a word of the shell's.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
