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
	reload                      bool
	private                     bool   // only the server may enter the folder
	slow                        bool   // its reload takes longer than passwd waits, or must wait for the one before it
	configure                   string // a shell script
	login                       string // a command that succeeds with the password $PASSWORD
}

const nobodysHash = "$6$nobody$nobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobodynobody12"

var passwordFiles = []passwordFile{
	{
		account: "web", unit: "nginx.service", format: "htpasswd", path: "/etc/nginx/users", owner: "root:www-data", mode: "640",
		before: "# web users\r\n\nother:$apr1$x$y\nweb:", value: nobodysHash, after: ":comment\n# no final newline",
		configure: `mkdir -p /srv/web && echo hello >/srv/web/index.html
			printf 'server { listen 127.0.0.1:8081; root /srv/web; auth_basic x; auth_basic_user_file /etc/nginx/users; }' >/etc/nginx/conf.d/web.conf`,
		login: `test "$(curl -s -o /dev/null -w '%{http_code}' -u "web:$PASSWORD" http://127.0.0.1:8081/)" = 200`,
	},
	{
		account: "imap", unit: "dovecot.service", format: "dovecot", path: "/etc/dovecot/users", owner: "root:dovecot", mode: "640",
		before: "other:{PLAIN}secret:::::\nimap:{CRYPT}", value: nobodysHash, after: ":65534:65534::/tmp::userdb_mail=maildir:/tmp/mail\n",
		configure: `sed -i 's/^!include auth-system/#&/' /etc/dovecot/conf.d/10-auth.conf
			printf 'passdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\nuserdb {\n driver = passwd-file\n args = /etc/dovecot/users\n}\n' >/etc/dovecot/local.conf`,
		login: `curl -s --url imap://127.0.0.1 --user "imap:$PASSWORD" -X NOOP`,
	},
	{
		account: "radius", unit: "freeradius.service", format: "freeradius", path: "/etc/freeradius/3.0/mods-config/files/authorize", owner: "freerad:freerad", mode: "640", reload: true, private: true, slow: true,
		before: "# users\nDEFAULT Framed-Protocol == PPP\n\tFramed-Protocol = PPP,\n\tFramed-Compression = Van-Jacobson-TCP-IP\n\nradius Crypt-Password := \"", value: nobodysHash, after: "\"\n\tReply-Message := \"Hello, %{User-Name}\"\n",
		login: `radtest radius "$PASSWORD" 127.0.0.1 0 testing123 | grep -q Access-Accept`,
	},
	{
		account: "mqtt", unit: "mosquitto.service", format: "mosquitto", path: "/etc/mosquitto/passwd", owner: "mosquitto:mosquitto", mode: "600", reload: true,
		before: "other:$7$101$c2FsdHNhbHRzYWx0$aGFzaA==\nmqtt:", value: "$7$101$c2FsdHNhbHRzYWx0$bm9ib2R5", after: "\n",
		configure: `printf 'listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwd\nallow_anonymous false\n' >/etc/mosquitto/conf.d/users.conf`,
		login:     `mosquitto_pub -h 127.0.0.1 -u mqtt -P "$PASSWORD" -t x -m y`,
	},
	{
		account: "pooled", unit: "pgbouncer.service", format: "pgbouncer", path: "/etc/pgbouncer/userlist.txt", owner: "postgres:postgres", mode: "640", reload: true,
		before: "; users\n\"a\"\"b\" \"md500112233445566778899aabbccddeeff\"\n\"pooled\" \"", value: "clear text of a former administrator", after: "\"\n",
		configure: `systemctl start postgresql
			sed -i 's/^host .*127.0.0.1.*/host all all 127.0.0.1\/32 trust/' /etc/postgresql/15/main/pg_hba.conf
			systemctl restart postgresql
			su postgres -c 'createuser pooled'
			printf '[databases]\npostgres = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 6432\nauth_type = scram-sha-256\nauth_file = /etc/pgbouncer/userlist.txt\nlogfile = /var/log/postgresql/pgbouncer.log\npidfile = /var/run/postgresql/pgbouncer.pid\nunix_socket_dir = /var/run/postgresql\n' >/etc/pgbouncer/pgbouncer.ini`,
		login: `test "$(PGPASSWORD="$PASSWORD" psql -h 127.0.0.1 -p 6432 -U pooled -Atc 'select 40 + 2' postgres)" = 42`,
	},
}

func (f passwordFile) table() string {
	text := fmt.Sprintf("[[application]]\nname = %q\nunit = %q\naccounts = [%q]\n[application.store]\ndriver = \"passwdfile\"\npath = %q\nformat = %q\n", f.account, f.unit, f.account, f.path, f.format)
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

// serves asserts that the server lets the account in with this password, and not with the other one. A
// server that was sent a signal may need a moment.
func (f passwordFile) serves(s *stage, right, wrong string) {
	s.t.Helper()
	s.eventually(f.account+" logs in with "+right, machine.Patience, func() bool { return s.Env("PASSWORD="+right).Shell(f.login).Code == 0 })
	if r := s.Env("PASSWORD=" + wrong).Shell(f.login); r.Code == 0 {
		s.t.Errorf("%s still logs in with the password before it (%s)", f.account, wrong)
	}
}

// said sets a password and asserts what passwd says.
func (f passwordFile) said(s *stage, password, want string) {
	s.t.Helper()
	ask := s.answeredByStore
	if f.slow || strings.Contains(want, "reload of ") {
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
			s.sub("another owner", f.odd)
			if f.reload {
				s.sub("a reload that fails", f.notReloaded)
			}
		})
	}
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
			s.eventually(f.account+" is locked", machine.Patience, func() bool { return s.Env("PASSWORD=Past-PAM-2").Shell(f.login).Code != 0 })
			s.Must("passwd", "-u", f.account)
			f.serves(s, "Past-PAM-2", formerPassword)
			s.sub("twice within a second", f.twice)
		})
	}
}

// twice: the second of two changes within a second is in force too, though the server has read the file between them.
// The script begins with a second, seven after the last reload: FreeRADIUS takes none before.
func (f passwordFile) twice(s *stage) {
	s.Env("LOGIN=" + f.login).MustShell(fmt.Sprintf(`
		change() { usermod -p "$1" %s; for i in $(seq 3000); do grep -qF "$1" %s && return; sleep 0.01; done; exit 1; }
		sleep 7; until [ "$(date +%%N | cut -c1)" = 0 ]; do sleep 0.01; done
		change '%s'; sleep 0.1; PASSWORD=Twice-3 sh -c "$LOGIN"; change '%s'`, f.account, f.path, s.hashed("Twice-3"), s.hashed("Twice-4")))
	f.serves(s, "Twice-4", "Twice-3")
}

// besideIt are programs that write an account "tool$i" into the file $FILE, without a lock. An administrator appends what
// doveadm made, and edits the file: sed -i~ does what an editor with backups does, and gives the file another name and its
// name to a new one.
var besideIt = []string{
	"htpasswd -b $FILE tool$i secret",
	`{ [ $((i % 2)) = 0 ] && sed -i~ "\$a tool$i:{PLAIN}secret:::::" $FILE || echo "tool$i:$(doveadm pw -s SHA512-CRYPT -p secret):::::" >>$FILE; }`,
	"mosquitto_passwd -b $FILE tool$i secret",
}

// TestPasswordFileBesideItsTool: the server's own tool, or an administrator's, writes its accounts in a loop. What
// root sets is there in the end, and so is each account of the tool.
func TestPasswordFileBesideItsTool(t *testing.T) {
	t.Parallel()
	files := []passwordFile{passwordFiles[0], passwordFiles[1], passwordFiles[3]}
	files[0].after = "\n" // htpasswd appends to an unfinished line
	s := serve(t, files)
	for i, tool := range besideIt {
		f := files[i]
		s.sub(f.format, func(s *stage) {
			const accounts = 20
			// The tool comes first: what it writes later than 50 ms after it opened the file may be lost (docs/limits.md).
			loop := s.Start("nice", "-n", "-20", "sh", "-c", fmt.Sprintf("FILE=%s; for i in $(seq %d); do %s || exit 1; sleep 0.1; done", f.path, accounts, tool))
			last := ""
			for n := range 5 {
				last = fmt.Sprintf("Beside-the-tool-%d", n)
				s.passwd(f.account, last)
			}
			s.WaitFor("the tool to end", machine.Patience, func() bool {
				select {
				case <-loop.Done():
					return true
				default:
					return false
				}
			})
			if loop.Code() != 0 {
				s.t.Errorf("the tool: %s", loop.Output())
			}
			f.inSync(s)
			if f.reload {
				s.Must("systemctl", "reload", f.unit)
			}
			f.serves(s, last, formerPassword)
			text := s.ReadFile(f.path)
			for i := range accounts {
				if !strings.Contains(text, fmt.Sprintf("\ntool%d:", i+1)) {
					s.t.Errorf("tool%d is lost", i+1)
				}
			}
		})
	}
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
	if owner := s.Must("stat", "-c", "%U:%G %a", f.path); owner != f.owner+" "+f.mode+"\n" {
		s.t.Errorf("its owner and mode are %s", owner)
	}
	s.Must("systemctl", "restart", f.unit)
	f.serves(s, "Set-by-root-2", formerPassword)
	f.said(s, "Set-by-root-3", f.persisted())
	f.serves(s, "Set-by-root-3", "Set-by-root-2")
}

func (f passwordFile) stopped(s *stage) {
	s.Must("systemctl", "stop", f.unit)
	f.said(s, "While-stopped-4", f.persisted())
	s.Must("systemctl", "start", f.unit)
	f.serves(s, "While-stopped-4", "Set-by-root-3")
}

func (f passwordFile) folder() string { return f.path[:strings.LastIndexByte(f.path, '/')] }

// readOnly: the change is pending, the server is guarded, and the change drains by itself.
func (f passwordFile) readOnly(s *stage) {
	s.MustShell(readOnlyBind(f.folder()))
	f.said(s, "While-read-only-5", "NOT persisted (store: read-only file system); restart of "+f.unit+" is held")
	if a := f.status(s); a.Accounts[0].State != "pending" || a.Guard != "on" {
		s.t.Errorf("%+v", a)
	}
	s.Must("umount", f.folder())
	f.inSync(s)
	f.serves(s, "While-read-only-5", "While-stopped-4")
}

func (f passwordFile) full(s *stage) {
	s.MustShell("mkdir -p /mnt/full && mount -t tmpfs -o size=8m,mode=755 tmpfs /mnt/full && chown --reference=" + f.folder() + " /mnt/full && cp -a " + f.folder() + "/. /mnt/full/ && " +
		"{ dd if=/dev/zero of=/mnt/full/fill bs=4k; mount --bind /mnt/full " + f.folder() + "; }")
	before := s.ReadFile(f.path)
	f.said(s, "While-full-6", "NOT persisted (store: no space left on device); restart of "+f.unit+" is held")
	if s.ReadFile(f.path) != before {
		s.t.Error("the file has changed")
	}
	s.Must("rm", f.folder()+"/fill")
	f.inSync(s)
	s.MustShell("umount " + f.folder() + " && cp -a /mnt/full/. " + f.folder() + "/ && umount /mnt/full")
	f.inSync(s)
	f.serves(s, "While-full-6", "While-read-only-5")
}

// odd: the file belongs to a user that exists nowhere. In a folder that only the server may enter, that user
// has no access, and neither has the worker.
func (f passwordFile) odd(s *stage) {
	s.MustShell("chown 54321:54322 " + f.path + " && chmod 644 " + f.path)
	back := func() {
		s.MustShell("chown " + f.owner + " " + f.path + " && chmod " + f.mode + " " + f.path)
		f.inSync(s)
	}
	s.passwd(f.account, "Of-a-stranger-7") // a worker with the former owner's rights may have been started a moment ago
	if f.private {
		s.eventually("it is refused", machine.Patience, func() bool { return f.status(s).Accounts[0].State == "pending" })
		back()
	}
	f.inSync(s)
	f.serves(s, "Of-a-stranger-7", "While-full-6")
	if f.private {
		return
	}
	if owner := s.Must("stat", "-c", "%u:%g %a", f.path); owner != "54321:54322 644\n" {
		s.t.Errorf("its owner and mode are %s", owner)
	}
	back()
}

// notReloaded: what is written and not in force is pending, and comes into force when a reload works.
func (f passwordFile) notReloaded(s *stage) {
	const folder = "/run/systemd/system/"
	for _, reload := range []string{"/bin/false", "/bin/sleep 1000"} {
		s.MustShell("mkdir -p " + folder + f.unit + ".d && printf '[Service]\nExecReload=\nExecReload=" + reload + "\n' >" + folder + f.unit + ".d/reload.conf && systemctl daemon-reload")
		password := "Not-reloaded" + strings.ReplaceAll(reload, "/", "-") + "-8"
		f.said(s, password, "written to "+f.account+"'s credential store; NOT in force (reload of "+f.unit+" failed: ")
		a := f.status(s)
		if a.Accounts[0].State != "pending" || a.Accounts[0].Reason == nil || !strings.HasPrefix(*a.Accounts[0].Reason, "written; not in force: reload of ") {
			s.t.Errorf("%+v", a)
		}
		s.eventually("nothing is guarded", machine.Patience, func() bool { return f.status(s).Guard == "off" }) // an earlier trouble's guard is lifted a moment later
		s.MustShell("rm -r " + folder + f.unit + ".d && systemctl daemon-reload && systemctl kill --kill-whom=control " + f.unit + "; true")
		f.inSync(s)
		f.serves(s, password, "Of-a-stranger-7")
	}
}
