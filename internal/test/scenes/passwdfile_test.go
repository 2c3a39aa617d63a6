package scenes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// passwordFile is a real server with a password file, as its package installs it, and one account.
type passwordFile struct {
	account, unit, format, path string
	before, after               string // the file around the account's value
	value                       string // the account's value at first
	owner, mode                 string
	elsewhere                   string // who owns the file on other machines, with mode 640; empty: nobody else could replace it in its folder
	reload                      bool
	private                     bool   // only the server may enter the folder
	slow                        bool   // its reload takes longer than passwd waits, or must wait for the one before it
	configure                   string // a shell script
	login                       string // a command that succeeds with the password $PASSWORD of $ACCOUNT
}

const nobodysHash = "$6$nobody$nobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobody12"

var passwordFiles = []passwordFile{
	{
		account: "web", unit: "nginx.service", format: "htpasswd", path: "/etc/nginx/users", owner: "root:www-data", elsewhere: "www-data:www-data", mode: "640",
		before: "# web users\r\n\nother:$apr1$x$y\nweb:", value: nobodysHash, after: ":comment\n# no final newline",
		configure: `mkdir -p /srv/web && echo hello >/srv/web/index.html
			printf 'server { listen 127.0.0.1:8081; root /srv/web; auth_basic x; auth_basic_user_file /etc/nginx/users; }' >/etc/nginx/conf.d/web.conf`,
		login: `test "$(curl -s -o /dev/null -w '%{http_code}' -u "$ACCOUNT:$PASSWORD" http://127.0.0.1:8081/)" = 200`,
	},
	{
		account: "imap", unit: "dovecot.service", format: "dovecot", path: "/etc/dovecot/users", owner: "root:dovecot", elsewhere: "dovecot:dovecot", mode: "640",
		before: "other:{PLAIN}secret:::::\nimap:{CRYPT}", value: nobodysHash, after: ":65534:65534::/tmp::userdb_mail=maildir:/tmp/mail\n",
		configure: `sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf
			printf 'passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\nuserdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n' >/etc/dovecot/local.conf`,
		login: `curl -s --url imap://127.0.0.1 --user "$ACCOUNT:$PASSWORD" -X NOOP`,
	},
	{
		account: "radius", unit: "freeradius.service", format: "freeradius", path: "/etc/freeradius/3.0/mods-config/files/authorize", owner: "freerad:freerad", mode: "640", reload: true, private: true, slow: true,
		before: "# users\nDEFAULT Framed-Protocol == PPP\n\tFramed-Protocol = PPP,\n\tFramed-Compression = Van-Jacobson-TCP-IP\n\nradius Crypt-Password := \"", value: nobodysHash, after: "\"\n\tReply-Message := \"Hello, %{User-Name}\"\n",
		login: `radtest "$ACCOUNT" "$PASSWORD" 127.0.0.1 0 testing123 | grep -q Access-Accept`,
	},
	{
		account: "mqtt", unit: "mosquitto.service", format: "mosquitto", path: "/etc/mosquitto/passwd", owner: "mosquitto:mosquitto", elsewhere: "root:mosquitto", mode: "600", reload: true,
		before: "other:$7$101$c2FsdHNhbHRzYWx0$aGFzaA==\nmqtt:", value: "$7$101$c2FsdHNhbHRzYWx0$bm9ib2R5", after: "\n",
		configure: `printf 'listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwd\nallow_anonymous false\n' >/etc/mosquitto/conf.d/users.conf`,
		login:     `mosquitto_pub -h 127.0.0.1 -u "$ACCOUNT" -P "$PASSWORD" -t x -m y`,
	},
	{
		account: "pooled", unit: "pgbouncer.service", format: "pgbouncer", path: "/etc/pgbouncer/userlist.txt", owner: "postgres:postgres", elsewhere: "root:postgres", mode: "640", reload: true,
		before: "; users\n\"a\"\"b\" \"md500112233445566778899aabbccddeeff\"\n\"pooled\" \"", value: "clear text of a former administrator", after: "\"\n",
		configure: `systemctl start postgresql
			sed -i 's/^host .*127.0.0.1.*/host all all 127.0.0.1\/32 trust/' /etc/postgresql/15/main/pg_hba.conf
			systemctl restart postgresql
			su postgres -c 'createuser pooled'
			printf '[databases]\npostgres = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = scram-sha-256\nauth_file = /etc/pgbouncer/userlist.txt\nlogfile = /var/log/postgresql/pgbouncer.log\npidfile = /var/run/postgresql/pgbouncer.pid\nunix_socket_dir = /var/run/postgresql\n' >/etc/pgbouncer/pgbouncer.ini`,
		login: `test "$(PGPASSWORD="$PASSWORD" psql -h 127.0.0.1 -p 6432 -U "$ACCOUNT" -Atc 'select 40 + 2' postgres)" = 42`,
	},
}

func (f passwordFile) table() string {
	return fmt.Sprintf("[[application]]\nname = %q\nunit = %q\naccounts = [%q]\n[application.store]\n", f.account, f.unit, f.account) + f.keys()
}

// keys are those of the store's table.
func (f passwordFile) keys() string {
	text := fmt.Sprintf("driver = \"passwdfile\"\npath = %q\nformat = %q\n", f.path, f.format)
	if f.reload {
		text += fmt.Sprintf("reload_unit = %q\n", f.unit)
	}
	return text
}

const formerPassword = "Lost-long-ago-1"

// serve boots a machine with these servers and sets shadowsync up for them.
func serve(t *testing.T, files []passwordFile) *stage {
	t.Helper()
	s := &stage{T: machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps}), t: t}
	configuration := "[node]\nname = \"node1\"\n"
	for _, f := range files {
		s.AddUser(f.account, formerPassword)
		s.MustShell(f.configure)
		s.WriteFile(f.path, f.before+f.value+f.after, 0o600)
		s.MustShell("chown " + f.owner + " " + f.path + " && chmod " + f.mode + " " + f.path + " && systemctl start " + f.unit)
		configuration += f.table()
	}
	s.InstallShadowsync()
	s.WriteFile("/etc/shadowsync/shadowsync.toml", configuration, 0o600)
	if r := s.Run("shadowsync", "setup", "--first", "os"); r.Code != 0 && r.Code != 3 { // 3: some accounts need a login
		t.Fatalf("setup: %s", r)
	}
	return s
}

// status is the server's entry of status, which has its one account.
func (f passwordFile) status(s *stage) application {
	s.t.Helper()
	a := s.applications()[f.account]
	if len(a.Accounts) != 1 {
		s.t.Fatalf("the status of %s: %+v", f.account, a)
	}
	return a
}

// logsIn reports whether the server lets the account in with this password.
func (f passwordFile) logsIn(s *stage, password string) bool {
	s.t.Helper()
	return s.Env("ACCOUNT="+f.account).Env("PASSWORD="+password).Shell(f.login).Code == 0
}

// serves asserts that the server lets the account in with this password, and not with the other one. A
// server that was sent a signal may need a moment.
func (f passwordFile) serves(s *stage, right, wrong string) {
	s.t.Helper()
	s.eventually(f.account+" logs in with "+right, machine.Patience, func() bool { return f.logsIn(s, right) })
	if f.logsIn(s, wrong) {
		s.t.Errorf("%s still logs in with the password before it (%s)", f.account, wrong)
	}
}

// said sets a password and asserts what passwd says.
func (f passwordFile) said(s *stage, password, want string) {
	s.t.Helper()
	ask := s.answeredByStore
	if f.slow && want == f.persisted() || strings.Contains(want, "reload of ") {
		ask = s.answered
	}
	said := ask(f.account, password)
	later := f.slow && want == f.persisted() && strings.Contains(said, "NOT in force (reload of "+f.unit+" failed: no answer in time)")
	if !later && !strings.Contains(said, "shadowsync: "+f.account+": "+want) {
		s.t.Errorf("passwd said %q, want %q", said, want)
	}
	if later {
		f.inSync(s)
	}
}

func (f passwordFile) inSync(s *stage) {
	s.t.Helper()
	s.eventually(f.account+" is in sync", machine.Patience, func() bool { return f.status(s).Accounts[0].State == "in-sync" })
}

func (f passwordFile) persisted() string { return "persisted in " + f.account + "'s credential store" }

// TestPasswordFiles: root sets a lost password with passwd, and the real server takes it, and no other.
func TestPasswordFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, passwordFiles)
	for _, f := range passwordFiles {
		s.sub(f.format, func(s *stage) {
			s.sub("set", f.set)
			s.sub("stopped", f.stopped)
			s.sub("read-only", f.readOnly)
			s.sub("full", f.full)
			s.sub("its disk fails", f.failing)
			s.sub("another owner", f.odd)
			if f.reload {
				s.sub("a reload that fails", f.notReloaded)
			}
		})
	}
	s.sub("three faults at once", threeFaults)
}

// TestPasswordFilesPastPAM: files with crypt(3) hashes need no clear text, and take a lock.
func TestPasswordFilesPastPAM(t *testing.T) {
	t.Parallel()
	files := passwordFiles[:3]
	s := serve(t, files)
	for _, f := range files {
		s.sub(f.format, func(s *stage) {
			s.Must("usermod", "-p", s.hashed("Past-PAM-2"), f.account)
			f.serves(s, "Past-PAM-2", formerPassword)
			s.Must("passwd", "-l", f.account)
			s.eventually(f.account+" is locked", machine.Patience, func() bool { return !f.logsIn(s, "Past-PAM-2") })
			s.Must("passwd", "-u", f.account)
			f.serves(s, "Past-PAM-2", formerPassword)
			s.sub("twice within a second", f.twice)
		})
	}
}

// twice: the second of two changes within a second is in force too, though the server has read the file between them.
// The script begins with a second, seven after the last reload: FreeRADIUS takes none before.
func (f passwordFile) twice(s *stage) {
	s.Env("LOGIN=" + f.login).Env("ACCOUNT=" + f.account).MustShell(fmt.Sprintf(`
		change() { usermod -p "$1" %s; for i in $(seq 3000); do grep -qF "$1" %s && return; sleep 0.01; done; exit 1; }
		sleep 7; until [ "$(date +%%N | cut -c1)" = 0 ]; do sleep 0.01; done
		change '%s'; sleep 0.1; PASSWORD=Twice-3 sh -c "$LOGIN"; change '%s'`, f.account, f.path, s.hashed("Twice-3"), s.hashed("Twice-4")))
	f.serves(s, "Twice-4", "Twice-3")
}

// TestUnreadableAtReload: mosquitto reads its file as root when it starts, and as a user of its own at a
// reload.
func TestUnreadableAtReload(t *testing.T) {
	t.Parallel()
	f := passwordFiles[3]
	s := serve(t, []passwordFile{f})
	// No hash was made at setup, because no clear text was known.
	if said := s.Run("shadowsync", "doctor").Stdout; strings.Contains(said, "FAIL") || !strings.Contains(said, "it waits for the next login or password change of "+f.account) || strings.Contains(said, "cannot read") {
		s.t.Errorf("doctor says %s", said)
	}
	f.said(s, "Set-by-root-2", f.persisted())
	if said := s.Must("shadowsync", "user", "show", f.account); !strings.Contains(said, "Store        mosquitto\n") {
		s.t.Errorf("user show says %s", said)
	}
	s.MustShell("chown root:root " + f.path)
	if said := s.Run("shadowsync", "doctor").Stdout; !strings.Contains(said, "which cannot read "+f.path) {
		s.t.Errorf("doctor says %s", said)
	}
}

// set: only the value changes, and a restart of the server does not matter.
func (f passwordFile) set(s *stage) {
	f.said(s, "Set-by-root-2", f.persisted())
	f.serves(s, "Set-by-root-2", formerPassword)
	text := s.ReadFile(f.path)
	if !strings.HasPrefix(text, f.before) || !strings.HasSuffix(text, f.after) || strings.Contains(text, f.value) || strings.Count(text, "\n") != strings.Count(f.before+f.after, "\n") {
		s.t.Errorf("the file is\n%s", text)
	}
	f.belongsTo(s, f.owner, f.mode)
	s.Must("systemctl", "restart", f.unit)
	f.serves(s, "Set-by-root-2", formerPassword)
	f.said(s, "Set-by-root-3", f.persisted())
	f.serves(s, "Set-by-root-3", "Set-by-root-2")
	f.belongsTo(s, f.owner, f.mode)
}

// belongsTo asserts who owns the file, and its mode.
func (f passwordFile) belongsTo(s *stage, owner, mode string) {
	s.t.Helper()
	user, group, _ := strings.Cut(owner, ":")
	if s.Must("find", f.path, "-user", user, "-group", group, "-perm", mode) == "" {
		s.t.Errorf("it is not %s's with mode %s: %s", owner, mode, s.Must("ls", "-l", f.path))
	}
}

func (f passwordFile) stopped(s *stage) {
	s.Must("systemctl", "stop", f.unit)
	f.said(s, "While-stopped-4", f.persisted())
	s.Must("systemctl", "start", f.unit)
	f.serves(s, "While-stopped-4", "Set-by-root-3")
}
