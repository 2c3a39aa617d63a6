package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

const userlist = "/etc/pgbouncer/userlist.txt"

// pooledConfiguration has a role and pgbouncer's list. pgbouncer shows PostgreSQL what its list says, so
// that the two must have the same verifier.
const pooledConfiguration = `[[application]]
name = "pool"
unit = "pgbouncer.service"
accounts = ["pooled"]

[[application.store]]
store_name = "role"
driver = "postgres-role"
dsn = "postgres://shadowsync@127.0.0.1/postgres"
password_file = "/etc/shadowsync/postgres.password"

[[application.store]]
store_name = "list"
shares = "role"
driver = "passwdfile"
format = "pgbouncer"
path = "` + userlist + `"
reload_unit = "pgbouncer.service"
`

// TestSharedVerifier: after one passwd the account logs in through pgbouncer, which uses what its list
// has at PostgreSQL, whose role has that too.
func TestSharedVerifier(t *testing.T) {
	t.Parallel()
	s := &stage{T: machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), t: t}
	s.AddUser("pooled", formerPassword)
	s.MustShell(`mkdir -p /etc/shadowsync && chmod 700 /etc/shadowsync && (umask 077 && echo Secret-of-shadowsync-1 >/etc/shadowsync/postgres.password)
		systemctl start postgresql
		su postgres -c 'psql -qv ON_ERROR_STOP=1' <<'SQL'
CREATE ROLE shadowsync LOGIN CREATEROLE PASSWORD 'Secret-of-shadowsync-1';
GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO shadowsync;
CREATE ROLE pooled LOGIN PASSWORD 'Lost-long-ago-1';
SQL
		printf '[databases]\npostgres = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = scram-sha-256\nauth_file = ` + userlist + `\nlogfile = /var/log/postgresql/pgbouncer.log\npidfile = /var/run/postgresql/pgbouncer.pid\nunix_socket_dir = /var/run/postgresql\n' >/etc/pgbouncer/pgbouncer.ini
		printf '"other" "md500112233445566778899aabbccddeeff"\n"pooled" ""\n' >` + userlist + ` && chown postgres:postgres ` + userlist + ` && chmod 640 ` + userlist + `
		systemctl start pgbouncer`)
	s.InstallShadowsync()
	s.WriteFile(machine.ConfigurationPath, pooledConfiguration, 0o600)
	if r := s.Run("shadowsync", "setup", "--first", "os"); r.Code != 0 && r.Code != 3 { // 3: it needs a login
		t.Fatalf("setup: %s", r)
	}
	old := formerPassword
	for _, password := range []string{"Pool-verifier-1", "Pool-verifier-2"} {
		s.persists("pooled", password, "pool's and pool.list's")
		s.logsInByPool(password, old)
		old = password
	}
	s.Must("su", "postgres", "-c", "psql -c 'alter role pooled password null'") // the role is spoilt meanwhile
	s.passwd("pooled", "Pool-verifier-3")
	s.eventually("both are in sync", machine.Patience, func() bool {
		return s.stateIn("pool", "pooled") == "in-sync" && s.stateIn("pool.list", "pooled") == "in-sync"
	})
	s.logsInByPool("Pool-verifier-3", old)
	if list := s.ReadFile(userlist); !strings.HasPrefix(list, "\"other\" \"md500112233445566778899aabbccddeeff\"\n\"pooled\" \"SCRAM-SHA-256$") {
		t.Errorf("the list is %q", list)
	}
}

// logsInByPool asserts that pgbouncer lets the account in with a password and not with the one before: at once, and
// restarted. Without a restart it serves whom its list lets in by a connection that it has open already, and that would
// prove nothing about the role.
func (s *stage) logsInByPool(right, wrong string) {
	s.t.Helper()
	verifier := strings.TrimSpace(s.MustShell("su postgres -c \"psql -Atc \\\"select rolpassword from pg_authid where rolname = 'pooled'\\\"\""))
	if !strings.Contains(s.ReadFile(userlist), `"pooled" "`+verifier+`"`) || !strings.HasPrefix(verifier, "SCRAM-SHA-256$") {
		s.t.Errorf("the role has %q, the list is %q", verifier, s.ReadFile(userlist))
	}
	const login = `test "$(PGPASSWORD="$PASSWORD" psql -h 127.0.0.1 -p 6432 -U pooled -wAtc 'select 40 + 2' postgres)" = 42`
	for i, when := range []string{"after its reload", "after a restart"} {
		if i == 1 {
			s.Must("systemctl", "restart", "pgbouncer.service")
		}
		s.eventually(when+" it logs in with "+right, machine.Patience, func() bool { return s.Env("PASSWORD="+right).Shell(login).Code == 0 })
		if s.Env("PASSWORD="+wrong).Shell(login).Code == 0 {
			s.t.Errorf("%s it still logs in with %q", when, wrong)
		}
	}
}
