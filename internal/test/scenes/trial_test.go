package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// trialServers are PostgreSQL and MariaDB with a table of an application's each, and mosquitto with a password file.
const trialServers = `set -e
systemctl start postgresql
su postgres -c 'psql -q -v ON_ERROR_STOP=1' <<'END'
CREATE ROLE shadowsync LOGIN CREATEROLE PASSWORD 'of-the-store';
GRANT SELECT (rolname, rolpassword, rolcanlogin) ON pg_catalog.pg_authid TO shadowsync;
CREATE ROLE admin LOGIN PASSWORD 'of-admin';
CREATE ROLE user222 LOGIN;
CREATE DATABASE app;
\c app
CREATE TABLE auth_user (username text PRIMARY KEY, password text);
INSERT INTO auth_user VALUES ('admin', '$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/'), ('user222', '!');
GRANT SELECT, UPDATE ON auth_user TO shadowsync;
END
systemctl start mariadb
mariadb -e "CREATE DATABASE app; CREATE TABLE app.users (name varchar(99), password varchar(255)); INSERT INTO app.users VALUES ('admin', '!'), ('user222', '!');
CREATE USER shadowsync@'127.0.0.1' IDENTIFIED BY 'of-the-store'; GRANT SELECT, UPDATE ON app.users TO shadowsync@'127.0.0.1'"
printf 'of-the-store\n' >/root/portal.password && chmod 600 /root/portal.password
mosquitto_passwd -b -c /etc/mosquitto/passwd admin of-admin
for one in user222 scratch; do mosquitto_passwd -b /etc/mosquitto/passwd $one of-$one; done
chown mosquitto: /etc/mosquitto/passwd && chmod 600 /etc/mosquitto/passwd
printf 'listener 1883\npassword_file /etc/mosquitto/passwd\n' >/etc/mosquitto/conf.d/machine.conf
systemctl start mosquitto
cat >/etc/shadowsync/shadowsync.toml <<'END'
[[application]]
name = "portal"
unit = "postgresql.service"
accounts = ["admin", "user222"]
[[application.store]]
driver = "sql"
dsn = "postgres://shadowsync@127.0.0.1/app"
password_file = "/root/portal.password"
table = "auth_user"
name = "username"
password = "password"
[[application.store]]
store_name = "maria"
driver = "sql"
dsn = "mysql://shadowsync@127.0.0.1/app"
password_file = "/root/portal.password"
table = "users"
name = "name"
password = "password"
[[application.store]]
store_name = "role"
driver = "postgres-role"
dsn = "postgres://shadowsync@127.0.0.1/postgres"
password_file = "/root/portal.password"
[[application.store]]
store_name = "broker"
driver = "passwdfile"
format = "mosquitto"
path = "/etc/mosquitto/passwd"
reload_unit = "mosquitto.service"
END
`

// trialFaults are what may be wrong with a store: the command that breaks it, what the test says, and the
// command that mends it; empty: the one that the test names.
var trialFaults = []struct{ name, breaking, store, says, mending string }{
	{"no right to write", `su postgres -c 'psql -q app -c "REVOKE UPDATE ON auth_user FROM shadowsync"'`, "portal", "FAIL rights shadowsync has no right to do that", ""},
	{"no right to read", `su postgres -c 'psql -q app -c "REVOKE ALL ON auth_user FROM shadowsync"'`, "portal", "FAIL read shadowsync has no right to do that", ""},
	{"no right in MariaDB", `mariadb -e "REVOKE UPDATE ON app.users FROM shadowsync@'127.0.0.1'"`, "portal.maria", "GRANT SELECT (`name`, `password`), UPDATE (`password`) ON `app`.`users` TO `shadowsync`@`HOST`", `mariadb -e "GRANT UPDATE ON app.users TO shadowsync@'127.0.0.1'"`},
	{"no right to alter roles", "su postgres -c 'psql -q -c \"ALTER ROLE shadowsync NOCREATEROLE\"'", "portal.role", "FAIL rights shadowsync has no right to alter others", ""},
	{"server down", "systemctl stop postgresql@15-main", "portal.role", "FAIL read cannot reach the database server", "systemctl start postgresql@15-main"},
	{"wrong password", "echo another >/root/portal.password", "portal", "FAIL read the database server refuses the login of shadowsync", "echo of-the-store >/root/portal.password"},
	{"no such column", "sed -i 's/^password = .*/password = \"secret\"/' /etc/shadowsync/shadowsync.toml", "portal", "is not as configured", "sed -i 's/^password = .*/password = \"password\"/' /etc/shadowsync/shadowsync.toml"},
	{"another scheme", `su postgres -c 'psql -q app -c "UPDATE auth_user SET password = '"'pbkdf2_sha256\$1\$s\$x'"' WHERE username = '"'user222'"'"'`, "portal", "FAIL scheme not a value of crypt(3): that of user222", `su postgres -c 'psql -q app -c "UPDATE auth_user SET password = '"'!'"' WHERE username = '"'user222'"'"'`},
	{"no such unit", "sed -i s/mosquitto.service/mosquito.service/ /etc/shadowsync/shadowsync.toml", "portal.broker", "FAIL reload portal.broker's reload_unit: there is no unit mosquito.service", "sed -i s/mosquito.service/mosquitto.service/ /etc/shadowsync/shadowsync.toml"},
	{"a unit that cannot reload", "systemd-run --quiet --unit=still sleep infinity && sed -i s/mosquitto.service/still.service/ /etc/shadowsync/shadowsync.toml", "portal.broker", "has no ExecReload=", "sed -i s/still.service/mosquitto.service/ /etc/shadowsync/shadowsync.toml"},
	{"a masked unit", "systemctl mask mosquitto.service", "portal.broker", "FAIL reload portal.broker's reload_unit: mosquitto.service is masked", ""},
	{"an immutable file", "chattr +i /etc/mosquitto/passwd", "portal.broker", "FAIL rights /etc/mosquitto/passwd: /etc/mosquitto/passwd is immutable", ""},
}

// TestStoreTest: what is wrong with a store is named, with the command that mends it, and no secret with it.
func TestStoreTest(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	m.InstallShadowsync()
	m.MustShell("useradd admin && useradd user222 && mkdir -p /etc/shadowsync")
	s := &stage{T: m, t: t}
	s.MustShell(trialServers)
	s.storeTest(0, "all", "2 accounts written as found, and read back", "reload mosquitto.service can be reloaded")
	for _, fault := range trialFaults {
		s.sub(fault.name, func(s *stage) {
			s.MustShell(fault.breaking)
			fix := s.storeTest(1, fault.store, fault.says)
			if fault.mending == "" {
				s.MustShell(fix)
			} else {
				s.MustShell(fault.mending)
			}
			s.storeTest(0, fault.store)
		})
	}
	before := s.ReadFile("/etc/mosquitto/passwd")
	s.storeTest(0, "portal.broker --account scratch", "scratch has a new value, and read back", "scratch has its old value again", "mosquitto.service was reloaded")
	if after := s.ReadFile("/etc/mosquitto/passwd"); after != before {
		s.t.Errorf("the file was\n%s, is\n%s", before, after)
	}
}

// storeTest runs store test, and returns the last command that it names.
func (s *stage) storeTest(status int, store string, says ...string) (fix string) {
	s.t.Helper()
	r := s.Shell("shadowsync store test " + strings.TrimPrefix(store, "all"))
	plain := strings.Join(strings.Fields(r.Stdout), " ")
	for _, want := range says {
		if !strings.Contains(plain, want) {
			s.t.Errorf("store test %s does not say %q: %s", store, want, r)
		}
	}
	if r.Code != status {
		s.t.Errorf("store test %s: %s, want %d", store, r, status)
	}
	for _, secret := range []string{"of-the-store", "of-admin", "$6$", "$7$"} {
		if strings.Contains(r.Stdout+r.Stderr, secret) {
			s.t.Errorf("store test %s shows %s: %s", store, secret, r)
		}
	}
	for line := range strings.Lines(r.Stdout) {
		if _, command, named := strings.Cut(line, "fix it with: "); named {
			fix = command
		}
	}
	return fix
}
