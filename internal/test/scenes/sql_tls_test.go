package scenes

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

//go:embed testdata/impostor.py
var impostor string

// elsewhere is a server that is not on this machine, as far as shadowsync can tell: db.example.net, which is no
// loopback address.
type elsewhere struct {
	name, unit string
	port       int
	store      string
	make       string // a script that makes the server and its table; then serve CERTIFICATE gives it one
	held       func(s *stage, account string) string
	client     string // how the hint's command begins
	refuses    string // what its user sees if nothing proves the server
}

// ofElsewhere has a name and an address for the server, an authority, and certificates.
const ofElsewhere = `ip address add 192.0.2.30/32 dev lo
echo '192.0.2.30 db.example.net' >>/etc/hosts
mkdir /root/tls && cd /root/tls
for ca in authority stranger; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
done
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=db -keyout $1.key -out $1.csr
  printf "subjectAltName=DNS:$2" >san
  openssl x509 -req -in $1.csr -CA $3.pem -CAkey $3.key -CAcreateserial -days $4 -extfile san -out $1.pem
}
certificate right db.example.net authority 2
certificate foreign db.example.net stranger 2
certificate another www.example.net authority 2
certificate expired db.example.net authority -1
cp authority.pem /etc/shadowsync/authority.pem
`

const storeElsewhere = `driver = "sql"
password_file = "/etc/shadowsync/store.password"
ca = "/etc/shadowsync/authority.pem"
`

var allElsewhere = []elsewhere{
	{
		name: "PostgreSQL", unit: "postgresql@15-main.service", port: 5432,
		store: storeElsewhere + `dsn = "postgres://shadowsync@db.example.net/site"
table = "app.user's"
name = "login"
password = "hash"
`,
		make: `cat >/etc/postgresql/15/main/conf.d/tls.conf <<'END'
listen_addresses = '0.0.0.0'
ssl = on
ssl_cert_file = '/etc/postgresql/15/main/tls.pem'
ssl_key_file = '/etc/postgresql/15/main/tls.key'
END
echo 'hostssl all all 192.0.2.0/24 scram-sha-256' >>/etc/postgresql/15/main/pg_hba.conf
cat >/usr/local/bin/serve <<'END'
cd /etc/postgresql/15/main && cp /root/tls/$1.pem tls.pem && cp /root/tls/$1.key tls.key && chown postgres tls.* && chmod 600 tls.key
if [ $1 = none ]; then sed -i 's/^ssl = .*/ssl = off/' conf.d/tls.conf; else sed -i 's/^ssl = .*/ssl = on/' conf.d/tls.conf; fi
systemctl restart postgresql@15-main
END
touch /root/tls/none.pem /root/tls/none.key
sh /usr/local/bin/serve right
` + inPostgres,
		held: func(s *stage, account string) string {
			return s.sql(`SELECT hash FROM app."user's" WHERE login = '` + account + "'")
		},
		client: "PGSSLMODE=verify-full PGSSLROOTCERT='/etc/shadowsync/authority.pem' psql ", refuses: "psql: error: ",
	},
	{
		name: "MariaDB", unit: "mariadb.service", port: 3306,
		store: storeElsewhere + `dsn = "mysql://shadowsync@db.example.net/site"
` + tableInMariaDB,
		make: `cat >/etc/mysql/mariadb.conf.d/99-tls.cnf <<'END'
[mariadbd]
bind_address = 0.0.0.0
ssl_cert = /etc/mysql/tls.pem
ssl_key = /etc/mysql/tls.key
END
cat >/usr/local/bin/serve <<'END'
cd /etc/mysql && cp /root/tls/$1.pem tls.pem && cp /root/tls/$1.key tls.key && chown mysql tls.*
if [ $1 = none ]; then sed -i 's/^ssl_/#&/' mariadb.conf.d/99-tls.cnf; else sed -i 's/^#ssl_/ssl_/' mariadb.conf.d/99-tls.cnf; fi
systemctl restart mariadb
END
touch /root/tls/none.pem /root/tls/none.key
sh /usr/local/bin/serve right
` + inMariaDB + `mariadb -e "RENAME USER shadowsync@'127.0.0.1' TO shadowsync@'192.0.2.%'; ALTER USER shadowsync@'192.0.2.%' REQUIRE SSL"
`,
		held:   heldInMariaDB,
		client: "mariadb --ssl --ssl-verify-server-cert --ssl-ca='/etc/shadowsync/authority.pem' ", refuses: "ERROR 20",
	},
}

// TestStoreElsewhere: a store on another machine is used over TLS alone, and only if its certificate is right.
// Whoever takes the server's place gets neither the password of the store nor a hash.
func TestStoreElsewhere(t *testing.T) {
	t.Parallel()
	for _, e := range allElsewhere {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
			m.WriteFile("/root/impostor.py", impostor, 0o600)
			s := onSite(t, m, "/bin/sleep infinity", e.store, ofElsewhere+e.make)
			s.sub("recovery", func(s *stage) {
				if s.persists("admin", "Over-TLS-velvet-1", "site's"); e.held(s, "admin") != s.ShadowHash("admin") {
					s.t.Errorf("the table has %q", e.held(s, "admin"))
				}
				s.says(s.Must("shadowsync", "store", "test"), "read back")
			})
			s.sub("the server alone is reached", e.reached)
			s.troubles(e.troubles(), "user222", func(string) bool { return e.held(s, "user222") == s.ShadowHash("user222") }, e.trusts)
			s.sub("several addresses", e.several)
			s.sub("another address", e.moved)
		})
	}
}

// troubles are what may be wrong with a server elsewhere beside what may be wrong with any.
func (e elsewhere) troubles() []trouble {
	const right, unknown = "sh /usr/local/bin/serve right", "the certificate of the database server db.example.net is not trusted: "
	take := func(offer string) string {
		return fmt.Sprintf("systemctl stop %s && rm -f /root/heard && systemd-run --quiet --collect --unit=impostor python3 /root/impostor.py %s %s && timeout 60 sh -c 'until ss -ltn | grep -q :%d; do sleep 0.1; done'",
			e.unit, map[int]string{5432: "postgres", 3306: "mysql"}[e.port], offer, e.port)
	}
	back := "systemctl stop impostor; " + right
	var wrong []trouble
	if e.port == 5432 { // what verifies certificates is the same for both servers
		wrong = []trouble{
			{"another host", "sh /usr/local/bin/serve another", right, unknown + "x509: certificate is valid for www.example.net, not db.example.net"},
			{"expired", "sh /usr/local/bin/serve expired", right, unknown + "x509: certificate has expired"},
		}
	}
	return append(wrong, []trouble{
		{"another authority", "sh /usr/local/bin/serve foreign", right, unknown + "x509: certificate signed by unknown authority"},
		{"no TLS", "sh /usr/local/bin/serve none", right, "the database server db.example.net offers no TLS"},
		{"an impostor", take("none"), back, "the database server db.example.net offers no TLS"},
		{"an impostor with TLS", take("tls"), back, unknown + "x509: certificate signed by unknown authority"},
	}...)
}

// trusts: an impostor hears nothing, and nobody is shown the password by the command that store test names.
func (e elsewhere) trusts(s *stage, trouble trouble) {
	s.Run("shadowsync", "store", "test") // the first one may find the store resting
	r := s.Run("shadowsync", "store", "test")
	_, hint, named := strings.Cut(r.Stdout, "fix it with: ")
	hint, _, _ = strings.Cut(hint, "\n")
	want, untrusted := e.client, strings.Contains(trouble.says, "is not trusted")
	if untrusted { // the client would say no more
		want = "editor "
	}
	if r.Code != 1 || !named || !strings.HasPrefix(hint, want) || !strings.Contains(strings.Join(strings.Fields(r.Stdout), " "), trouble.says) {
		s.t.Fatalf("store test: %s", r)
	}
	if !untrusted {
		d := s.Terminal("sh", "-c", hint)
		if e.port == 3306 { // psql asks when the server does
			d.Answer("password:", storePassword)
		}
		d.Expect(e.refuses, machine.Patience)
	}
	if !strings.Contains(trouble.name, "impostor") {
		return
	}
	heard := s.ReadFile("/root/heard")
	if heard == "" {
		s.t.Error("the impostor had no client: this tests nothing")
	}
	for _, secret := range []string{storePassword, "$6$", "$y$", "shadowsync", "Trouble-with-it"} {
		if strings.Contains(heard, secret) {
			s.t.Errorf("it heard %q in %q", secret, heard)
		}
	}
}

// reached: the worker can connect to the server and to nothing else.
func (e elsewhere) reached(s *stage) {
	const unit = "shadowsync-store-site.service"
	shown := s.Must("systemctl", "show", "-p", "IPAddressAllow,IPAddressDeny,RestrictAddressFamilies", unit)
	for _, line := range []string{"IPAddressAllow=192.0.2.30/32\n", "RestrictAddressFamilies=AF_INET\n", "::/0", "0.0.0.0/0"} {
		if !strings.Contains(shown, line) {
			s.t.Errorf("%q is not in\n%s", line, shown)
		}
	}
	connects := func(address string) bool {
		return s.Shell(fmt.Sprintf(`echo $$ >/sys/fs/cgroup/system.slice/%s/cgroup.procs && exec python3 -c 'import socket; socket.create_connection(("%s", %d), 5)'`, unit, address, e.port)).Code == 0
	}
	if !connects("192.0.2.30") || connects("127.0.0.1") {
		s.t.Errorf("its cgroup reaches the server: %v, another address: %v", connects("192.0.2.30"), connects("127.0.0.1"))
	}
}

// silence is an address that answers nothing, like that of a machine that is off.
const silence = `ip address add 2001:db8::99/128 dev lo
systemd-run --quiet --collect --unit=silence python3 -c '
import signal, socket
listener = socket.socket(socket.AF_INET6)
listener.bind(("2001:db8::99", %[1]d))
listener.listen(0)
full = [socket.socket(socket.AF_INET6) for _ in range(4)]
for one in full:
    one.setblocking(False)
    one.connect_ex(("2001:db8::99", %[1]d))
signal.pause()'
timeout 60 sh -c 'until ss -ltn | grep -q 2001:db8::99; do sleep 0.1; done'
`

// several: a name that means several addresses, of which the first, IPv6's, answers nothing.
func (e elsewhere) several(s *stage) {
	s.MustShell(fmt.Sprintf(silence, e.port) + `echo '2001:db8::99 db.example.net' >>/etc/hosts
systemctl restart shadowsync.service`)
	s.eventually("the daemon reaches it", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	s.passwd("admin", "Several-velvet-2") // its worker may have just been started
	s.eventually("it is in the store", machine.Patience, func() bool { return e.held(s, "admin") == s.ShadowHash("admin") })
	shown := s.Must("systemctl", "show", "-p", "IPAddressAllow", "shadowsync-store-site.service")
	for _, address := range []string{"192.0.2.30/32", "2001:db8::99/128"} {
		if !strings.Contains(shown, address) {
			s.t.Errorf("%s is not in %s", address, shown)
		}
	}
}

// moved: the name means another address from now on, and the former one is gone.
func (e elsewhere) moved(s *stage) {
	s.MustShell(`ip address add 192.0.2.31/32 dev lo
sed -i '/db.example.net/d' /etc/hosts
echo '192.0.2.31 db.example.net' >>/etc/hosts
for gone in 192.0.2.30/32 2001:db8::99/128; do ip address del $gone dev lo; done`)
	s.passwd("admin", "Moved-velvet-3") // the connection hangs
	s.eventually("it is in the store", machine.Patience, func() bool { return e.held(s, "admin") == s.ShadowHash("admin") })
	s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 && !s.siteGuarded() })
	if shown := s.Must("systemctl", "show", "-P", "IPAddressAllow", "shadowsync-store-site.service"); strings.TrimSpace(shown) != "192.0.2.31/32" {
		s.t.Errorf("its worker reaches %s", shown)
	}
}
