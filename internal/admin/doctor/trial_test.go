package doctor

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
	"github.com/shadowsync/shadowsync/internal/store/storeworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// narrow is a store whose column cuts off long values.
type narrow struct {
	shadowsync.CredentialStore
	value, scheme string
}

func (n *narrow) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{Fields: shadowsync.FieldHash, Scheme: n.scheme}
}

func (n *narrow) Read(context.Context, []string) (shadowsync.StoreSnapshot, error) {
	return shadowsync.StoreSnapshot{Accounts: map[string]shadowsync.StoredAccount{"scratch": {Credential: shadowsync.Credential{Hash: n.value}}}}, nil
}

func (n *narrow) Write(_ context.Context, writes []shadowsync.Write) (shadowsync.Unwritten, error) {
	if writes[0].Expect.Hash != n.value {
		return shadowsync.Unwritten{"scratch": shadowsync.ErrChanged}, nil
	}
	n.value = writes[0].Want.Hash
	n.value = n.value[:min(len(n.value), 20)]
	return nil, nil
}

// TestAFailedTrialPutsTheValueBack: the account of the trial has its old value also after a failure.
func TestAFailedTrialPutsTheValueBack(t *testing.T) {
	s := &narrow{value: "{SSHA}old", scheme: "ldap-ssha"}
	run := &attempt{
		Trial: Trial{Account: "scratch", Root: "/"}, holder: config.Application{Name: "app"}, store: s,
		held: map[string]shadowsync.Credential{"scratch": {Hash: s.value}},
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as by a Ctrl-C
	if run.writes(ctx) || s.value != "{SSHA}old" {
		t.Errorf("the account has %q: %+v", s.value, run.said)
	}
	if len(run.said) != 2 || run.said[0].State != Fail || run.said[1].State != OK {
		t.Errorf("it says %+v", run.said)
	}
}

// TestValuesOfATrial: a value beyond the limits is one of the scheme, and not another's.
func TestValuesOfATrial(t *testing.T) {
	const tail = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	for _, tc := range []struct {
		value string
		state State
		says  string
	}{
		{"$2b$10$" + tail, OK, "the values are of the scheme bcrypt, as configured"},
		{"$2b$31$" + tail, Warn, "too costly to verify, so that a new value has the configured cost: that of scratch"},
		{"$6$salt$x", Fail, "not a value of the scheme bcrypt: that of scratch"},
	} {
		run := &attempt{store: &narrow{scheme: "bcrypt"}, held: map[string]shadowsync.Credential{"scratch": {Hash: tc.value}}}
		if goesOn := run.values(t.Context()); goesOn != (tc.state != Fail) || run.said[0].State != tc.state || !strings.HasPrefix(run.said[0].Detail, tc.says) {
			t.Errorf("%.8q: %v, %+v", tc.value, goesOn, run.said)
		}
	}
}

// TestAnInterruptIsNoFault: after a Ctrl-C nothing has to be mended.
func TestAnInterruptIsNoFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run := &attempt{}
	if run.do(ctx, func(context.Context) bool { return run.say("read", fail("no answer").by("psql", nil)) }) {
		t.Error("it goes on")
	}
	if f := run.said[0]; f.State != Fail || f.Detail != "interrupted" || f.Fix != "" {
		t.Errorf("it says %+v", f)
	}
}

// TestGrants: the statements that an administrator copies give what is needed, to a user of any name.
func TestGrants(t *testing.T) {
	columns := map[string]any{
		"table": "auth_user", "name": "user name", "password": "pass'word",
		"sessions": "public.sess", "sessions_account": "who", "sessions_refers": "id",
	}
	for name, c := range map[string]struct {
		driver, dsn, text string
		keys              map[string]any
		want              string
	}{
		"a table": {
			"sql", "postgres://shadow%22sync@/app?host=/run/postgresql", "permission denied for table auth_user", columns,
			`runuser -u postgres -- psql -d 'app' -c 'GRANT SELECT ("user name", "pass'\''word", "id"), UPDATE ("pass'\''word") ON "auth_user" TO "shadow""sync"; GRANT SELECT ("who"), DELETE ON "public"."sess" TO "shadow""sync"'`,
		},
		"a database": {
			"sql", "postgres://u@127.0.0.1/app", `permission denied for database "app"`, columns, `psql -d 'app' -c 'GRANT CONNECT ON DATABASE "app" TO "u"; GRANT SELECT (`,
		},
		"a schema": {
			"sql", "postgres://u@127.0.0.1/app", "permission denied for schema public", columns, `psql -d 'app' -c 'GRANT USAGE ON SCHEMA "public" TO "u"; GRANT SELECT (`,
		},
		"a table in MySQL": {
			"sql", "mysql://shadow-sync@127.0.0.1/a%60pp", "UPDATE command denied",
			map[string]any{"table": "users", "name": "n", "password": "p"},
			"GRANT SELECT (`n`, `p`), UPDATE (`p`) ON `a``pp`.`users` TO `shadow-sync`@`HOST`",
		},
		"a user with a quote": {
			"mysql-user", "mysql://o%27brien@127.0.0.1/", "SELECT command denied for table `mysql`.`global_priv`", nil,
			`mariadb -e 'SELECT user, host FROM mysql.user WHERE user = '\''o'\'''\''brien'\'''`,
		},
		"MariaDB's users": {
			"mysql-user", "mysql://u@127.0.0.1/", "SELECT command denied for table `mysql`.`global_priv`", nil,
			"GRANT CREATE USER ON *.* TO `u`@`HOST`; GRANT SELECT ON mysql.global_priv TO `u`@`HOST`",
		},
		"MySQL's users": {
			"mysql-user", "mysql://u@127.0.0.1/", "SELECT command denied for table 'user'", nil,
			"GRANT CREATE USER ON *.* TO `u`@`HOST`; GRANT SELECT ON mysql.user TO `u`@`HOST`",
		},
		"who may read": {
			"mysql-user", "mysql://u@127.0.0.1/", sqldb.SaysMayNotAlter, nil, "names: GRANT CREATE USER ON *.* TO `u`@`HOST`\n",
		},
		"roles": {
			"postgres-role", "postgres://u@127.0.0.1/postgres", "permission denied for table pg_authid", nil,
			`psql -d 'postgres' -c 'ALTER ROLE "u" CREATEROLE; GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO "u"'`,
		},
		"roles from PostgreSQL 16 on": {
			"postgres-role", "postgres://u@127.0.0.1/postgres", "permission denied to alter role", nil, `GRANT "scratch@x" TO "u" WITH ADMIN OPTION`,
		},
		"a superuser's role": {
			"postgres-role", "postgres://u@127.0.0.1/postgres", "must be superuser to alter superuser roles", nil, `ALTER ROLE "u" SUPERUSER`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]any{"dsn": c.dsn}
			maps.Copy(keys, c.keys)
			run := &attempt{
				Trial: Trial{Account: "scratch", Root: "/"}, store: spelling{}, options: driver.Options{Driver: c.driver, Keys: keys},
			}
			v := run.explain(&driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: "u " + sqldb.SaysNoRight + ": " + c.text})
			if said := v.detail + "\n" + v.command; !strings.Contains(said, c.want) {
				t.Errorf("it says %s\nwant %s", said, c.want)
			}
		})
	}
}

// TestTheClientVerifies: the command that is named for a server elsewhere shows the password to nobody who cannot
// prove to be that server.
func TestTheClientVerifies(t *testing.T) {
	for _, c := range []struct{ dsn, ca, want string }{
		{"postgres://u@db.example.net/app", "/etc/my ca.pem", `PGSSLMODE=verify-full PGSSLROOTCERT='/etc/my ca.pem' psql 'postgres://u@db.example.net/app'`},
		{"postgres://u@127.0.0.1/app?sslmode=verify-full", "", "PGSSLMODE=verify-full PGSSLROOTCERT='/etc/"},
		{"postgres://u@127.0.0.1/app", "", "psql 'postgres://u@127.0.0.1/app'"},
		{"mysql://u@db.example.net/app", "/etc/ca.pem", `mariadb --ssl --ssl-verify-server-cert --ssl-ca='/etc/ca.pem' --user='u' --password --host='db.example.net' --port=3306 'app'`},
		{"mysql://u@127.0.0.1/app", "", `mariadb --user='u' --password --host='127.0.0.1' --port=3306 'app'`},
		{"mysql://u@/app?socket=/run/s.sock", "", `mariadb --user='u' --password --socket='/run/s.sock' 'app'`},
	} {
		run := &attempt{options: driver.Options{Driver: "sql", Keys: map[string]any{"dsn": c.dsn, "ca": c.ca}}}
		v := run.explain(&driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: "no answer in time"})
		if !strings.HasPrefix(v.command, c.want) {
			t.Errorf("it names %s, want %s", v.command, c.want)
		}
	}
}

// TestAdvice: what is said of a server names the key or the command that mends it.
func TestAdvice(t *testing.T) {
	const local, remote, maria = "postgres://u@127.0.0.1:5433/app", "postgres://u@db.example.org/app", "mysql://u@127.0.0.1/app"
	for name, c := range map[string]struct{ dsn, key, text, says, command string }{
		"no table":             {local, "table", sqldb.SaysLayout + `relation "users" does not exist`, `correct "table", or what the server has`, "editor /c.toml"},
		"no column in MariaDB": {maria, "name", sqldb.SaysLayout + "Unknown column 'users' in 'SELECT'", `correct "name", or what the server has`, "editor /c.toml"},
		"no table in MariaDB":  {maria, "table", sqldb.SaysLayout + "Table 'app.users' doesn't exist", `correct "table", or what the server has`, "editor /c.toml"},
		"a view in MariaDB":    {maria, "table", sqldb.SaysLayout + "The target table users of the UPDATE is not updatable", `correct "table", or what the server has`, "editor /c.toml"},
		"no database":          {local, "table", sqldb.SaysLayout + `database "app" does not exist`, "correct dsn, or what the server has", "editor /c.toml"},
		"nobody knows":         {local, "table", sqldb.SaysLayout + "syntax error", "correct the configuration, or what the server has", "editor /c.toml"},
		"no file":              {local, "password_file", storeworker.SaysPasswordFile + ": users: no such file or directory", "first line", "install -m 600 /dev/null 'users' && editor 'users'"},
		"an open file":         {local, "password_file", storeworker.SaysPasswordFile + ": users can be read by others than root", "read by others", "chown root: 'users' && chmod 600 'users'"},
		"no credential":        {local, "credential", "the credential users is not usable: there is none", "under this name", "mkdir -p -m 700 /etc/credstore.encrypted && systemd-ask-password -n | systemd-creds encrypt --name='users' - '/etc/credstore.encrypted/users'"},
		"no password":          {local, "table", sqldb.SaysNoPassword, `name a "password_file" or a "credential"`, "editor /c.toml"},
		"another password":     {local, "password_file", sqldb.SaysLogin + " of u", `the password in "password_file", or set that`, `runuser -u postgres -- psql -c '\password "u"'`},
		"in MariaDB":           {maria, "credential", sqldb.SaysLogin + " of u", `the password in "credential", or set that`, "mariadb -e 'SELECT user, host, plugin"},
		"elsewhere":            {remote, "table", sqldb.SaysLogin + " of u", "correct the user in dsn", "psql 'postgres://u@db.example.org/app'"},
		"not let in":           {local, "table", sqldb.SaysNotLetIn + ` u: Peer authentication failed for user "u"`, "pg_hba.conf(5)", "TABLE pg_hba_file_rules"},
		"another port":         {local, "table", sqldb.SaysUnreachable + " at 127.0.0.1:5433", "start the server, or correct dsn", ""},
		"its unit":             {local, "after", sqldb.SaysUnreachable + " at 127.0.0.1:5433", "start the server, or correct dsn", "systemctl status 'users'"},
		"out of reach":         {remote, "table", sqldb.SaysUnreachable + " at db.example.org", "let this machine reach", "psql 'postgres://u@db.example.org/app'"},
		"an unknown host":      {remote, "table", storeworker.SaysUnknownHost + " db.example.org", "correct the host in dsn", "getent hosts 'db.example.org'"},
		"a foreign signature":  {remote, "table", "the certificate " + sqldb.SaysNotTrusted, `in "ca"`, "editor /c.toml"},
	} {
		t.Run(name, func(t *testing.T) {
			o := driver.Options{Driver: "sql", Keys: map[string]any{"dsn": c.dsn, c.key: "users"}}
			if c.key == "after" {
				o.After = "users"
			}
			d, err := store.Find("sql")
			if err != nil {
				t.Fatal(err)
			}
			run := &attempt{Trial: Trial{File: "/c.toml", Root: "/"}, options: o, driver: d, store: spelling{}}
			kind := shadowsync.ErrUnavailable
			if strings.HasPrefix(c.text, sqldb.SaysLayout) {
				kind = shadowsync.ErrMalformed
			}
			if v := run.explain(&driver.Fault{Kind: kind, Reason: c.text}); v.state != Fail || !strings.Contains(v.detail, c.says) || !strings.Contains(v.command, c.command) {
				t.Errorf("it says %s\n%s", v.detail, v.command)
			}
		})
	}
}

// TestWhatIsThere: an account that is missing is named as the store would spell it, and a value of another kind
// with what it could be.
func TestWhatIsThere(t *testing.T) {
	d, err := store.Find("sql")
	if err != nil {
		t.Fatal(err)
	}
	for account, want := range map[string]string{"": `scratch@x; a person has to create them in the application, correct "as"`, "other": "other@x; a person has to create it in the application, or name another"} {
		run := &attempt{Trial: Trial{Account: account, Root: "/"}, holder: config.Application{Name: "app", Accounts: []string{"scratch"}}, driver: d, store: spelling{}}
		if run.read(t.Context()) || !strings.Contains(run.said[0].Detail, "has no account "+want) {
			t.Errorf("it says %+v", run.said)
		}
	}
	s := &narrow{scheme: "ldap-ssha", value: "pbkdf2_sha256$1000$salt$Wp0HlBa+uD5GLPcVbAHOTcPGQ9rJbwoKTaDJpLsQvF8="}
	run := &attempt{driver: d, store: s, held: map[string]shadowsync.Credential{"scratch": {Hash: s.value}}}
	if run.values(t.Context()) || !strings.Contains(run.said[0].Detail, "ldap-ssha: that of scratch (it could be of the scheme django-pbkdf2-sha256, or of ") {
		t.Errorf("it says %+v", run.said)
	}
}

// spelling is a store that spells names in its own way.
type spelling struct{ shadowsync.CredentialStore }

func (spelling) Capabilities() shadowsync.Capabilities {
	return shadowsync.Capabilities{As: shadowsync.AsName + "@x"}
}

func (spelling) Read(context.Context, []string) (shadowsync.StoreSnapshot, error) {
	return shadowsync.StoreSnapshot{}, nil
}
