package scenes

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// documentedServers are the servers of docs/stores.md with an account "admin" and one for store test, before
// shadowsync has any rights there.
const documentedServers = `set -e
cd /
printf '[Service]\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/portal.service
mkdir -p -m 700 /etc/shadowsync
mkdir /var/lib/portal
groupadd conductor
printf '#!/bin/sh\nprintf of-the-store; [ "$1" = -n ] || echo\n' >/usr/local/bin/systemd-ask-password
chmod 755 /usr/local/bin/systemd-ask-password
echo '{"users": [{"name": "admin", "password": "*"}, {"name": "scratch", "password": "*"}]}' >/var/lib/portal/users.json
systemctl start postgresql mariadb freeradius
su postgres -c 'psql -qX -v ON_ERROR_STOP=1' <<'END'
CREATE DATABASE app;
CREATE ROLE admin LOGIN PASSWORD 'x';
CREATE ROLE scratch LOGIN PASSWORD 'x';
\c app
CREATE TABLE public.users (login text PRIMARY KEY, password_hash text);
INSERT INTO public.users VALUES ('admin', '*'), ('scratch', '*');
END
mariadb <<'END'
CREATE DATABASE app;
CREATE TABLE app.users (id int, login varchar(99), password_hash varchar(255));
CREATE TABLE app.passwords (id int, hash varchar(255));
CREATE TABLE app.sessions (user_id int);
INSERT INTO app.users VALUES (1, 'admin', '*'), (2, 'scratch', '*');
INSERT INTO app.passwords VALUES (1, '*'), (2, '*');
CREATE USER admin@'%' IDENTIFIED BY 'x', scratch@'%' IDENTIFIED BY 'x', shadowsync@localhost IDENTIFIED BY 'of-the-store';
GRANT SELECT, UPDATE, DELETE ON app.* TO shadowsync@localhost;
END
hash='$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/'
for name in admin scratch; do
	echo "$name:$hash" >>/etc/nginx/users
	echo "$name:{CRYPT}$hash::::::" >>/etc/dovecot/users
	echo "\"$name\" \"$(su postgres -c "psql -qtAXc \"SELECT rolpassword FROM pg_authid WHERE rolname = '$name'\"")\"" >>/etc/pgbouncer/userlist.txt
	printf '%s Crypt-Password := "%s"\n' $name "$hash" >>/etc/freeradius/3.0/mods-config/files/authorize
	touch /etc/mosquitto/passwd
	mosquitto_passwd -b /etc/mosquitto/passwd $name of-$name
done
chown root:mosquitto /etc/mosquitto/passwd
chmod 640 /etc/mosquitto/passwd
printf 'listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwd\n' >/etc/mosquitto/conf.d/users.conf
systemctl daemon-reload
systemctl start mosquitto pgbouncer
`

// blocks returns what stands in code blocks of a kind in a document.
func blocks(document, kind string) (texts []string) {
	for _, found := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)```").FindAllStringSubmatch(document, -1) {
		texts = append(texts, found[1])
	}
	return texts
}

// TestDocumentedStores: whoever copies a store from docs/stores.md, with the rights and the password as they are
// there, has a store that works.
func TestDocumentedStores(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/stores.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(text)
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	s := &stage{T: m, t: t}
	s.AddUser("admin", machine.OldPassword)
	s.Within(2 * time.Minute).MustShell(documentedServers)
	s.InstallShadowsync()
	s.documentedRights(document)

	stores := blocks(document, "toml")
	if len(stores) < 12 {
		t.Errorf("only %d stores are shown", len(stores))
	}
	for _, store := range stores {
		if !strings.Contains(store, "[[application]]") {
			store = "[[application]]\nunit = \"portal.service\"\naccounts = [\"admin\"]\n" + store
		}
		s.WriteFile(machine.ConfigurationPath, store, 0o600)
		var checked struct{ Applications []struct{ Stores []string } }
		if err := json.Unmarshal([]byte(s.Must("shadowsync", "config", "check", "--json")), &checked); err != nil || len(checked.Applications) != 1 {
			t.Fatalf("config check: %+v, %v of\n%s", checked, err, store)
		}
		tables := strings.Split(store, "application.store]")[1:]
		for i, name := range checked.Applications[0].Stores {
			if strings.Contains(tables[i], `"sqlite"`) {
				continue // setup makes it
			}
			if r := s.Shell("shadowsync store test " + name + " --account scratch"); r.Code != 0 || !strings.Contains(r.Stdout, "scratch has its old value again") {
				t.Errorf("store test %s of\n%s\n%s", name, store, r.Stdout+r.Stderr)
			}
		}
	}
}

// documentedRights runs the SQL and the commands for passwords. Two examples have one user.
func (s *stage) documentedRights(document string) {
	s.t.Helper()
	seen := false
	for _, sql := range blocks(document, "sql") {
		sql = strings.ReplaceAll(sql, "'...'", "'of-the-store'")
		if strings.Contains(sql, "@'") {
			sql = strings.ReplaceAll(sql, "CREATE USER s", "CREATE USER IF NOT EXISTS s")
			s.Input(sql + strings.ReplaceAll(sql, "'127.0.0.1'", "localhost")).Must("mariadb")
			continue
		}
		database := "app"
		if strings.Contains(sql, "pg_authid") { // in the database of the dsn
			database = "postgres"
		}
		if seen {
			sql = strings.ReplaceAll(sql, "CREATE ROLE", "ALTER ROLE")
		}
		seen = true
		s.Input(sql).Must("runuser", "-u", "postgres", "--", "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", database)
	}
	_, section, _ := strings.Cut(document, "\n### The password for a server\n")
	section, _, _ = strings.Cut(section, "\n## ")
	commands := ""
	for line := range strings.Lines(section) {
		if command, is := strings.CutPrefix(line, "    "); is {
			commands += command
		}
	}
	if !seen || !strings.Contains(commands, "systemd-creds encrypt") || !strings.Contains(commands, "app.password") {
		s.t.Fatalf("the document has no such commands: %q", commands)
	}
	s.MustShell("set -e\n" + commands + "for other in postgres mariadb; do cp -p /etc/shadowsync/app.password /etc/shadowsync/$other.password; done")
}
