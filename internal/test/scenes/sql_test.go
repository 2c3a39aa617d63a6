package scenes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// siteConfiguration is a site.service whose store is described by what follows.
const siteConfiguration = `[node]
name  = "node1"

[[application]]
name     = "site"
unit     = "site.service"
accounts = ["admin", "user222"]

[application.store]
`

// storePassword is that of the database user "shadowsync".
const storePassword = "Pg-of-the-store-1"

// onSite is a stage whose application is site.service, which runs a command. prepare makes the store.
func onSite(t *testing.T, m *machine.T, command, store, prepare string) *stage {
	t.Helper()
	s := &stage{T: m, t: t}
	for _, account := range []string{"admin", "user222"} {
		m.AddUser(account, machine.OldPassword)
	}
	m.WriteFile("/etc/systemd/system/site.service", "[Unit]\nDescription=Site\n[Service]\nExecStart="+command+"\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	m.MustShell("mkdir -p /etc/shadowsync && chmod 700 /etc/shadowsync")
	m.WriteFile("/etc/shadowsync/store.password", storePassword+"\n", 0o600)
	m.WriteFile("/etc/shadowsync/shadowsync.toml", siteConfiguration+store, 0o600)
	m.Within(2 * time.Minute).MustShell("set -e\nsystemctl daemon-reload\n" + prepare)
	m.InstallShadowsync()
	m.MustShell("systemctl enable --now site.service")
	m.Must("shadowsync", "setup", "--first", "os")
	s.WaitFor("the daemon's worker runs", machine.Patience, func() bool {
		return m.Run("systemctl", "is-active", "--quiet", "shadowsync-store-site.service").Code == 0
	})
	return s
}

// inPostgres makes a table, with the rights that docs/stores.md names.
const inPostgres = `systemctl start postgresql
cd /
sql() { runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qtA "$@"; }
echo "CREATE ROLE shadowsync LOGIN PASSWORD '$(cat /etc/shadowsync/store.password)'" | sql
sql -c 'CREATE DATABASE site'
sql site <<'END'
CREATE SCHEMA app;
CREATE TABLE app."user's" (id serial, login varchar(150) PRIMARY KEY, hash varchar(128) NOT NULL);
INSERT INTO app."user's" (login, hash) VALUES ('admin', '*'), ('user222', '*'), ('other', 'stays');
CREATE TABLE app.sessions (user_id int, token text);
GRANT USAGE ON SCHEMA app TO shadowsync;
GRANT SELECT (id, login, hash), UPDATE (hash) ON app."user's" TO shadowsync;
GRANT SELECT, DELETE ON app.sessions TO shadowsync;
END
`

// sql asks PostgreSQL as its administrator.
func (s *stage) sql(query string) string {
	s.t.Helper()
	return strings.TrimSpace(s.Must("runuser", "-u", "postgres", "--", "psql", "-v", "ON_ERROR_STOP=1", "-qtA", "-d", "site", "-c", query))
}

// TestTableInPostgreSQL: a table of crypt(3) hashes, and what may go wrong with its server.
func TestTableInPostgreSQL(t *testing.T) {
	t.Parallel()
	store := `driver = "sql"
dsn = "postgres://shadowsync@127.0.0.1/site"
password_file = "/etc/shadowsync/store.password"
table = "app.user's"
name = "login"
password = "hash"
sessions = "app.sessions"
sessions_account = "user_id"
sessions_refers = "id"
`
	s := onSite(t, machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), "/bin/sleep infinity", store, inPostgres)
	held := func(account string) string {
		return s.sql(`SELECT hash FROM app."user's" WHERE login = '` + account + "'")
	}

	s.sub("recovery", func(s *stage) {
		s.sql("INSERT INTO app.sessions SELECT id, 'x' FROM app.\"user's\"")
		s.persists("admin", "Found-in-the-table-1", "site's")
		if held("admin") != s.ShadowHash("admin") || held("other") != "stays" {
			s.t.Errorf("the table holds %q and %q", held("admin"), held("other"))
		}
		if n := s.sql("SELECT count(*) FROM app.sessions"); n != "2" {
			s.t.Errorf("%s sessions are left, want those of the two others", n)
		}
	})
	s.sub("confined", storeProcess)
	s.sub("the server restarts", func(s *stage) {
		s.Must("systemctl", "restart", "postgresql@15-main")
		if s.persists("admin", "After-the-restart-2", "site's"); held("admin") != s.ShadowHash("admin") {
			s.t.Errorf("the table holds %q", held("admin"))
		}
	})
	s.sub("the application's own change", func(s *stage) {
		s.sql(`UPDATE app."user's" SET hash = '` + strings.ReplaceAll(s.hashed("Clicked-in-the-app-3"), "'", "") + `' WHERE login = 'admin'`)
		s.eventually("the OS has it", time.Minute, func() bool { return s.opensHash(s.ShadowHash("admin"), "Clicked-in-the-app-3") })
	})
	s.sub("a credential", func(s *stage) {
		s.MustShell(`mkdir -p /etc/credstore.encrypted
systemd-creds encrypt --with-key=host --name=store-site /etc/shadowsync/store.password /etc/credstore.encrypted/store-site
sed -i 's/^password_file.*/credential = "store-site"/' /etc/shadowsync/shadowsync.toml
systemctl restart shadowsync.service`)
		s.eventually("the daemon's worker has it", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
		if s.persists("admin", "By-a-credential-4", "site's"); held("admin") != s.ShadowHash("admin") {
			s.t.Errorf("the table holds %q", held("admin"))
		}
		s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket")
		if s.exits(0, "shadowsync", "user", "set", "password", "admin", "By-the-tool-5-x"); held("admin") != s.ShadowHash("admin") {
			s.t.Error("the tool did not reach the store")
		}
		s.MustShell(`systemctl start shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket
mv /etc/credstore.encrypted/store-site /root && systemctl restart shadowsync.service`)
		if said := s.answered("admin", "Without-credential-6"); !strings.Contains(said, "NOT persisted") || !strings.Contains(said, "credential") {
			s.t.Errorf("without it passwd said %q", said)
		}
		s.MustShell("mv /root/store-site /etc/credstore.encrypted")
		s.eventually("it is in the store", machine.Patience, func() bool { return held("admin") == s.ShadowHash("admin") })
	})
	s.sub("without the daemon", func(s *stage) {
		s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket")
		s.passwd("admin", "While-it-was-down-4")
		s.Must("systemctl", "restart", "site.service") // the hook is no child of the daemon
		if held("admin") != s.ShadowHash("admin") {
			s.t.Error("the start hook did not bring it into the store")
		}
		s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync-factor.socket shadowsync.service")
	})
	s.sub("the server starts later", func(s *stage) {
		s.MustShell(`sed -i 's/^unit .*/&\nstart = "refuse"/; s/^driver = "sql"/&\nafter = "postgresql@15-main.service"/' /etc/shadowsync/shadowsync.toml
systemctl restart shadowsync.service; systemctl stop site.service postgresql@15-main.service`)
		s.passwd("admin", "Before-the-server-5")
		began := time.Now()
		if r := s.Run("systemctl", "start", "site.service"); r.Code != 0 || time.Since(began) > 5*time.Second {
			s.t.Errorf("the application's start took %v: %s", time.Since(began), r)
		}
		s.Must("systemctl", "start", "postgresql@15-main.service")
		s.eventually("it is in the store", 10*time.Second, func() bool { return held("admin") == s.ShadowHash("admin") })
		s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 && !s.siteGuarded() })
	})
	s.troubles(inPostgresTroubles, "user222", func(password string) bool {
		return held("user222") == s.ShadowHash("user222") && s.opensHash(held("user222"), password)
	})
}

// storeProcess: the process that talks to the server has a user of its own, and neither files nor the secret.
func storeProcess(s *stage) {
	const unit = "shadowsync-store-site.service"
	pid := strings.TrimSpace(s.Must("systemctl", "show", "--value", "-p", "MainPID", unit))
	status := s.ReadFile("/proc/" + pid + "/status")
	for _, line := range []string{"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, line) {
			s.t.Errorf("%q is not in\n%s", line, status)
		}
	}
	if strings.Contains(status, "Uid:\t0") {
		s.t.Errorf("it is root:\n%s", status)
	}
	shown := s.Must("systemctl", "show", "-p", "IPAddressAllow,IPAddressDeny,RestrictAddressFamilies,DynamicUser", unit)
	for _, line := range []string{"IPAddressAllow=127.0.0.1/32", "::/0", "0.0.0.0/0", "RestrictAddressFamilies=AF_INET\n", "DynamicUser=yes"} {
		if !strings.Contains(shown+"\n", line) {
			s.t.Errorf("%q is not in\n%s", line, shown)
		}
	}
	everywhere := s.MustShell("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; journalctl -o json --no-pager; find /var/lib/shadowsync -type f -exec cat {} +")
	if !strings.Contains(everywhere, "SQLite format 3") {
		s.t.Error("no state was looked at")
	}
	if strings.Contains(everywhere, storePassword) {
		s.t.Error("the database's password is in an argument list, an environment, the journal or the state")
	}
}

// siteGuarded reports whether systemd refuses to stop the application.
func (s *stage) siteGuarded() bool { s.t.Helper(); return s.guards("site.service") }

// guards reports whether systemd refuses to stop a unit.
func (s *stage) guards(unit string) bool {
	s.t.Helper()
	return s.Must("systemctl", "show", "-P", "RefuseManualStop", unit) == "yes\n"
}

// atPeace: what the application does to its own values at a login is no trouble.
func (s *stage) atPeace() {
	s.t.Helper()
	if r := s.Run("shadowsync", "sync"); r.Code != 0 {
		s.t.Errorf("sync: %s", r)
	}
	if r := s.Run("shadowsync", "status", "--check"); r.Code != 0 || s.siteGuarded() {
		s.t.Errorf("status: %s, guarded %v", r, s.siteGuarded())
	}
}

// trouble is something that is wrong with a server from begin to end, and what passwd says of it.
type trouble struct{ name, begin, end, says string }

// inPostgresTroubles end with a server that hangs: after a time-out passwd does not ask for half a minute.
var inPostgresTroubles = []trouble{
	{"stopped", "systemctl stop postgresql@15-main", "systemctl start postgresql@15-main", "connection refused"},
	{"another password", alter("ALTER ROLE shadowsync PASSWORD 'other'") + "; systemctl restart postgresql@15-main", alter("ALTER ROLE shadowsync PASSWORD '$(cat /etc/shadowsync/store.password)'"), "refuses the login of shadowsync"},
	{"no right", alter(`REVOKE UPDATE (hash) ON app."user's" FROM shadowsync`), alter(`GRANT UPDATE (hash) ON app."user's" TO shadowsync`), "no right"},
	{"read-only", alter("ALTER ROLE shadowsync SET default_transaction_read_only = on") + "; systemctl restart postgresql@15-main", alter("ALTER ROLE shadowsync RESET default_transaction_read_only") + "; systemctl restart postgresql@15-main", "the database is read-only"},
	{"failing between write and read-back", loseRight, "runuser -u postgres -- psql -qd site <<'END'\nDROP TRIGGER lose ON app.\"user's\";\nGRANT SELECT (id, login, hash) ON app.\"user's\" TO shadowsync;\nEND\n", "no right"},
	{"full", fullDisk, "rm /mnt/small/filler; systemctl restart postgresql@15-main", ""},
	{"hung", "systemctl kill -s STOP postgresql@15-main", "systemctl kill -s CONT postgresql@15-main", "no answer in time"},
}

// troubles are troublesOf the application "site".
func (s *stage) troubles(all []trouble, account string, holds func(password string) bool, meanwhile ...func(*stage, trouble)) {
	s.troublesOf("site.service", all, account, holds, meanwhile...)
}

// troublesOf: whatever is wrong with the store of an application, passwd succeeds in time and tells it, a restart
// is held back, and what passwd set comes into the store afterwards. meanwhile asserts what else is true of one.
func (s *stage) troublesOf(unit string, all []trouble, account string, holds func(password string) bool, meanwhile ...func(*stage, trouble)) {
	for i, trouble := range all {
		s.sub(trouble.name, func(s *stage) {
			password := fmt.Sprintf("Trouble-with-it-%d", i)
			s.MustShell(trouble.begin)
			took, late := s.saysWhy(account, password, trouble.says)
			guarded := s.guards(unit)
			if late { // on a slow machine the daemon knows why only later
				s.eventually("status says why", machine.Patience, func() bool {
					return strings.Contains(strings.Join(strings.Fields(s.Run("shadowsync", "status").Stdout), " "), trouble.says)
				})
			}
			s.eventually("it is pending", machine.Patience, func() bool { return s.stateIn(strings.TrimSuffix(unit, ".service"), account) == "pending" })
			for _, assert := range meanwhile {
				assert(s, trouble)
			}
			s.MustShell(trouble.end)
			if !guarded {
				s.t.Error("a restart is not held back")
			}
			if took > 4*time.Second {
				s.t.Errorf("passwd took %v", took)
			}
			s.eventually("it is in the store", machine.Patience, func() bool { return holds(password) })
			s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
			s.eventually("the guard is lifted", machine.Patience, func() bool { return !s.guards(unit) })
		})
	}
}

// saysWhy sets a password that does not come into the store, until passwd says why, or that it got no answer in time: then late.
// On a busy machine it may first say what was wrong before: for two seconds after a slow answer the daemon repeats that, and
// another process, such as the watch on an application that settles, can bring the change in meanwhile.
func (s *stage) saysWhy(account, password, why string) (took time.Duration, late bool) {
	s.t.Helper()
	s.WaitFor("passwd says: "+why, machine.Patience, func() (right bool) {
		var said string
		said, took = s.answeredIn(account, password)
		s.says(said, "NOT persisted")
		late = strings.Contains(said, "no answer in time")
		if right = late || strings.Contains(said, why); !right {
			s.t.Logf("passwd said %q", said)
		}
		return right
	})
	return took, late
}

// fullDisk moves the server's data to a file system that it fills, with no room for the next segment of the
// write-ahead log either. The server's answer depends on what it was about to do.
const fullDisk = `set -e
data=/var/lib/postgresql/15/main
systemctl stop postgresql@15-main
mkdir /mnt/small
mount -t tmpfs -o size=$(($(du -sm $data | cut -f1) + 64))M tmpfs /mnt/small
cp -a $data /mnt/small/main
mount --bind /mnt/small/main $data
systemctl start postgresql@15-main
cat /dev/zero >/mnt/small/filler 2>/dev/null || true
for database in site postgres; do runuser -u postgres -- psql -qd $database -c 'SELECT pg_switch_wal()' >/dev/null 2>&1 || true; done
`

// loseRight takes the right to read away in the transaction that writes.
const loseRight = `cd /
runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qd site <<'END'
CREATE FUNCTION app.lose() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN REVOKE SELECT (hash) ON app."user's" FROM shadowsync; RETURN NULL; END $$;
CREATE TRIGGER lose AFTER UPDATE ON app."user's" FOR EACH ROW EXECUTE FUNCTION app.lose();
END
`

// alter runs SQL in PostgreSQL.
func alter(statement string) string {
	return "runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qd site -c \"" + strings.ReplaceAll(statement, `"`, `\"`) + `"`
}
