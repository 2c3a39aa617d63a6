package doctor

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// explain says what prevents the use of a store, and names the command to run next.
func (t *attempt) explain(err error) verdict {
	if s, is := t.server(); is {
		return t.explainServer(err, s)
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
func (t *attempt) explainServer(err error, s sqldb.Source) verdict {
	client := t.client(s)
	text := err.Error()
	says := func(part string) bool { return strings.Contains(text, part) }
	switch edit := "editor " + t.File; {
	case says(sqldb.SaysNoRight), says(sqldb.SaysMayNotAlter):
		return t.grant(text, client, s)
	case says(storeworker.SaysPasswordFile), says(saysNotUsable):
		return t.secret(text)
	case says(storeworker.SaysCA):
		return fail("%s", text).by("ls -lL "+quoted(t.options.Text(driver.CA.Name)), nil)
	case says(storeworker.SaysUnknownHost):
		return fail("%s", text).person("correct the host in dsn, or have its name resolved", "getent hosts "+quoted(s.Host))
	case says(sqldb.SaysUnreachable) && s.Local():
		return fail("%s", text).person("start the server, or correct dsn", t.stateOf(s))
	case says(sqldb.SaysUnreachable):
		return fail("%s", text).person("correct dsn, or let this machine reach the server", client)
	case says(sqldb.SaysNotTrusted):
		return fail("%s", text).person(`name in dsn the host that the certificate is for, and in "ca" a file with the certificate that it is signed by`, edit)
	case says(sqldb.SaysUnverified):
		return fail("%s", text).person("name its Unix socket in dsn", edit)
	case says(sqldb.SaysNoPassword):
		return fail("%s", text).person(`name a "password_file" or a "credential"`, edit)
	case says(sqldb.SaysNotLetIn), says(sqldb.SaysNoSCRAM):
		return fail("%s", text).person("let that user log in, by scram-sha-256 in pg_hba.conf(5)", hostRules(client, s))
	case says(sqldb.SaysLogin):
		return t.login(text, client, s)
	case errors.Is(err, shadowsync.ErrMalformed):
		return fail("%s", text).person("correct "+t.keysIn(text, s)+", or what the server has", edit)
	}
	return fail("%s", text).by(client, nil)
}

// encryptedFolder is where systemd finds encrypted credentials. Debian has no such folder.
const encryptedFolder = "/etc/credstore.encrypted"

// saysNotUsable is a part of the text of a worker.CredentialError.
const saysNotUsable = " is not usable: "

// server is the database server of the store, if it is in one.
func (t *attempt) server() (sqldb.Source, bool) {
	s, err := sqldb.Parse(t.options.Text("dsn"))
	return s, err == nil && s.Dialect != sqldb.SQLite
}

// client is the server's own client. It verifies whom it gets the password for, where we do: by itself it
// would show that to whoever answers.
func (t *attempt) client(s sqldb.Source) string {
	dsn := t.options.Text("dsn")
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

// stateOf is the command that shows whether a server of this machine runs. Debian's unit postgresql.service is
// active also while none of its servers is.
func (t *attempt) stateOf(s sqldb.Source) string {
	const clusters = "/usr/bin/pg_lsclusters"
	_, err := os.Stat(clusters)
	switch {
	case t.options.After != "":
		return "systemctl status " + quoted(t.options.After)
	case s.Dialect == sqldb.MySQL:
		return "systemctl status mariadb"
	case err == nil:
		return "pg_lsclusters"
	}
	return "systemctl status postgresql"
}

// secret explains why there is no password for the server.
func (t *attempt) secret(text string) verdict {
	v := fail("%s", text)
	if name := t.options.Text(driver.Credential.Name); name != "" {
		return v.person("encrypt it under this name", "mkdir -p -m 700 "+encryptedFolder+" && systemd-ask-password -n | systemd-creds encrypt --name="+quoted(name)+" - "+quoted(encryptedFolder+"/"+name))
	}
	path := quoted(t.options.Text(driver.PasswordFile.Name))
	if strings.Contains(text, "is empty") || strings.Contains(text, unix.ENOENT.Error()) {
		return v.person("write the password into its first line", "install -m 600 /dev/null "+path+" && editor "+path)
	}
	return v.by("chown root: "+path+" && chmod 600 "+path, nil)
}

// login explains a server that refuses the user or its password: it does not tell which.
func (t *attempt) login(text, client string, s sqldb.Source) verdict {
	v := fail("%s", text)
	switch {
	case !s.Local():
	case s.Dialect == sqldb.PostgreSQL:
		client = `runuser -u postgres -- psql -c ` + quoted(`\password `+s.Dialect.Identifier(s.User))
	default:
		client = "mariadb -e " + quoted("SELECT user, host, plugin FROM mysql.user WHERE user = "+literal(s.User))
	}
	from := "password_file"
	if t.options.Text(driver.Credential.Name) != "" {
		from = driver.Credential.Name
	}
	return v.person(`correct the user in dsn or the password in "`+from+`", or set that password in the server`, client)
}

// hostRules is the command that shows the rules of pg_hba.conf(5).
func hostRules(client string, s sqldb.Source) string {
	if !s.Local() {
		return client
	}
	return `runuser -u postgres -- psql -c ` + quoted("TABLE pg_hba_file_rules") + ` -c ` + quoted(`\du `+s.Dialect.Identifier(s.User))
}

// keysIn are the keys whose values a server's text names.
func (t *attempt) keysIn(text string, s sqldb.Source) string {
	_, text, _ = strings.Cut(text, sqldb.SaysLayout)
	var named []string
	if namesIt(text, s.Database) {
		named = append(named, "dsn")
	}
	for _, k := range t.driver.Keys {
		if value := t.options.Text(k.Name); value != "" && k.Name != "dsn" && namesIt(text, value) {
			named = append(named, `"`+k.Name+`"`)
		}
	}
	if len(named) == 0 {
		return "the configuration"
	}
	return strings.Join(named, " or ")
}

// namesIt reports whether a text has a name in quotes, alone or as the last part of a longer one.
func namesIt(text, name string) bool {
	return slices.ContainsFunc([]string{`"` + name + `"`, "'" + name + "'", "." + name + "'", ": " + name + " ", "table " + name + " "}, func(quoted string) bool { return strings.Contains(text+" ", quoted) })
}

// literal is a text in MySQL's SQL, as its default settings have it.
func literal(text string) string {
	return "'" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(text) + "'"
}

// quoted is a word of the shell's.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
