package doctor

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
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
	client, service := "psql "+quoted(dsn), "postgresql"
	if s.Dialect == sqldb.MySQL {
		client, service = "mariadb --user="+quoted(s.User)+" --password --host="+quoted(s.Host)+" --port="+s.Port+" "+quoted(s.Database), "mariadb"
		if s.Host == "" {
			client = "mariadb --user=" + quoted(s.User) + " --password --socket=" + quoted(s.Socket) + " " + quoted(s.Database)
		}
	}
	text := err.Error()
	switch {
	case strings.Contains(text, sqldb.SaysNoRight), strings.Contains(text, "has no right to alter"):
		return t.grant(text, client, s)
	case strings.Contains(text, sqldb.SaysUnreachable) && local(s):
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

// grant names the statements that give a store's user its rights.
func (t *attempt) grant(text, client string, s sqldb.Source) verdict {
	statements := t.grants(s)
	switch {
	case statements == "":
		return fail("%s", text).person("grant what its statements need", client)
	case !local(s):
		return fail("%s", text).person("run as the server's administrator: "+statements, client)
	case s.Dialect == sqldb.MySQL: // only the server knows which of its users of that name it took
		return fail("%s", text).person("run, with the host that this names: "+statements, "mariadb -e "+quoted("SELECT user, host FROM mysql.user WHERE user = '"+s.User+"'"))
	}
	return fail("%s", text).by("runuser -u postgres -- psql -d "+quoted(s.Database)+" -c "+quoted(statements), nil)
}

func (t *attempt) grants(s sqldb.Source) string {
	to := s.User
	if s.Dialect == sqldb.MySQL {
		to += "@HOST"
	}
	switch table, sessions := t.options.Text("table"), t.options.Text("sessions"); {
	case t.options.Driver == "postgres-role":
		return "ALTER ROLE " + to + " CREATEROLE; GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO " + to
	case t.options.Driver == "mysql-user":
		return "GRANT CREATE USER ON *.* TO " + to + "; GRANT SELECT ON mysql.global_priv TO " + to
	case table == "":
		return ""
	case sessions != "":
		return "GRANT SELECT, UPDATE ON " + s.Dialect.Table(table) + " TO " + to + "; GRANT SELECT, DELETE ON " + s.Dialect.Table(sessions) + " TO " + to
	default:
		return "GRANT SELECT, UPDATE ON " + s.Dialect.Table(table) + " TO " + to
	}
}

// local reports whether the server is on this machine.
func local(s sqldb.Source) bool {
	address, err := netip.ParseAddr(s.Host)
	return s.Host == "" || s.Host == "localhost" || err == nil && address.IsLoopback()
}

// quoted is a word of the shell's.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
