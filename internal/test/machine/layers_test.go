package machine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// A program is a server of a layer: how a scene starts it, and what shows that it answers.
type program struct{ name, start, answers, want string }

var layerPrograms = []struct {
	release  machine.Release
	layer    machine.Layer
	programs []program
}{
	{machine.Bookworm, machine.Apps, []program{
		{"mosquitto", "systemctl start mosquitto", "mosquitto_pub -t t -m hello -r && mosquitto_sub -t t -C 1", "hello"},
		{"nginx", "systemctl start nginx", "curl -sS http://127.0.0.1/", "Welcome to nginx"},
		{"htpasswd", "true", "htpasswd -nbB anna secret", "anna:$2y$"},
		{"dovecot", "systemctl start dovecot", "echo a logout | curl -sS telnet://127.0.0.1:143", "Dovecot"},
		{"slapd", "systemctl start slapd", "ldapsearch -x -H ldap://127.0.0.1 -s base -b ''", "result: 0 Success"},
		{"postgresql", "systemctl start postgresql", "su postgres -c 'psql -Atc \"select 40 + 2\"'", "42"},
		{"pgbouncer", "systemctl start pgbouncer", "su postgres -c 'psql -h /var/run/postgresql -p 6432 -U pgbouncer -Atc \"show version\" pgbouncer'", "PgBouncer"},
		{"mariadb", "systemctl start mariadb", "mariadb -Ne 'select 40 + 2'", "42"},
		{"samba", "systemctl start smbd", "smbclient -N -L 127.0.0.1", "IPC$"},
		{"freeradius", "systemctl start freeradius", "radtest anna secret 127.0.0.1 0 testing123", "Access-Reject"},
		{"django", "true", "python3 -c 'import django, psycopg2; print(django.VERSION)'", "(3, 2"},
		{"passlib", "true", "python3 -c 'from passlib.hash import pbkdf2_sha256 as p; print(p.hash(\"x\"))'", "$pbkdf2-sha256$"},
		{"php", "true", "php -r 'echo password_hash(\"x\", PASSWORD_BCRYPT);'", "$2y$"},
	}},
	{machine.Trixie, machine.WordPress, []program{
		{"mariadb", "systemctl start mariadb", "mariadb -Ne 'select 40 + 2'", "42"},
		{"postgresql", "systemctl start postgresql", "su postgres -c 'psql -Atc \"select 40 + 2\"'", "42"},
		{"wordpress", "true", "grep -h '^.wp_version =' /usr/share/wordpress/wp-includes/version.php", "'6.8"},
		{"its hashes", "true", "grep -rh 'wp.*password_hash' /usr/share/wordpress/wp-includes/pluggable.php", "$wp"},
		{"php", "true", "php -r 'echo extension_loaded(\"mysqli\") ? \"mysqli\" : \"none\";'", "mysqli"},
	}},
}

// active are the units of a machine that run, listen or wait for their time.
func active(m *machine.T) []string {
	listing := m.Must("systemctl", "list-units", "--plain", "--no-legend", "--state=active", "--type=service,socket,timer")
	var units []string
	for line := range strings.Lines(listing) {
		units = append(units, strings.Fields(line)[0])
	}
	return units
}

// A layer brings servers. None of them runs before a scene starts it, and then each answers.
func TestLayers(t *testing.T) {
	t.Parallel()
	machine.Need(t)
	for _, test := range layerPrograms {
		t.Run(string(test.release)+"+"+string(test.layer), func(t *testing.T) {
			bare := machine.Boot(t, test.release)
			m := machine.BootWith(t, test.release, machine.Options{Layer: test.layer})
			usual := active(bare)
			for _, unit := range active(m) {
				if !slices.Contains(usual, unit) {
					t.Errorf("%s runs on a machine that nothing was started on", unit)
				}
			}
			t.Logf("%s", m.Must("systemd-analyze", "time"))
			for _, p := range test.programs {
				t.Run(p.name, func(t *testing.T) {
					if r := m.Shell(p.start); r.Code != 0 {
						t.Fatalf("%s: %s", p.start, r)
					}
					if r := m.Within(30 * time.Second).Shell(p.answers); !strings.Contains(r.Stdout, p.want) {
						t.Errorf("%s: %s, want %q", p.answers, r, p.want)
					}
				})
			}
		})
	}
}
