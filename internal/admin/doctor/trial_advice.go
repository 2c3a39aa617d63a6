package doctor

import (
	"errors"
	"fmt"
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
	client := fmt.Sprintf("psql '%s'", dsn)
	administrator := fmt.Sprintf("runuser -u postgres -- psql -d '%s' -c", s.Database)
	service := "postgresql"
	account := s.User
	if s.Dialect == sqldb.MySQL {
		client = fmt.Sprintf("mariadb --host='%s' --port=%s --user='%s' -p '%s'", s.Host, s.Port, s.User, s.Database)
		if s.Host == "" {
			client = fmt.Sprintf("mariadb --socket='%s' --user='%s' -p '%s'", s.Socket, s.User, s.Database)
		}
		administrator = fmt.Sprintf("mariadb '%s' -e", s.Database)
		service, account = "mariadb", fmt.Sprintf("%s@localhost", s.User)
	}
	text := err.Error()
	switch {
	case strings.Contains(text, sqldb.SaysNoRight):
		table := t.options.Text("table")
		if table == "" {
			return fail("%s", text).person("grant what its statements need", administrator+` "SHOW GRANTS"`)
		}
		return fail("%s", text).by(fmt.Sprintf(`%s "GRANT SELECT, UPDATE ON %s TO %s"`, administrator, table, account), nil)
	case strings.Contains(text, sqldb.SaysUnreachable):
		return fail("%s", text).by("systemctl status "+service, nil)
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%s", text).person("compare the table and its columns with the configuration", "editor "+t.File)
	case strings.Contains(text, sqldb.SaysLogin):
		return fail("%s", text).person("give it the password that the server knows", client)
	}
	return fail("%s", text).by(client, nil)
}
