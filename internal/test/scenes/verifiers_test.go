package scenes

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

//go:embed testdata/verify.py
var verifyScript string

// A hashed value of a scheme, and a clear text that another program is to try with it.
type hashed struct {
	Scheme string `json:"scheme"`
	Value  string `json:"value"`
	Secret []byte `json:"secret"`
	fits   bool
}

// schemeSecrets are clear texts that encoders and shells stumble over.
var schemeSecrets = []string{"pässwörd €", `q'uo"te $x %s {} \n`, "correct horse", strings.Repeat("x", 72)}

// bcryptTail makes a whole hash of a cost, for Make to follow.
const bcryptTail = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"

// followed are present values of stores: what Make does not do without one.
var followed = map[string][]string{
	"bcrypt":     {"$2a$05$" + bcryptTail, "$2y$05$" + bcryptTail},
	"argon2id":   {"$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
	"gitea":      {giteaLike("argon2$2$65536$8$50"), giteaLike("scrypt$65536$16$2$50"), giteaLike("pbkdf2$320000$50"), "bcrypt$10\x1f00\x1f$2a$05$" + bcryptTail},
	"nextcloud":  {"1|$2y$05$" + bcryptTail},
	"htpasswd":   {"$apr1$saltsalt$EGVZDNN6gOqijy.tv9axG/", "$5$rounds=1000$abc$/cRuvrIiQqQvcPwD.a/LO47x90cA9f8oqYBouKihds1"},
	"ldap-ssha":  {"{SSHA512}aCu7JRc+kLsuEmFs1zTY+AiP7DSGnjjG+dH28Dp+E5usqoAixeTPihKqZmkWal4mUfp63tqvCAkFV1LKTDFH6XNhbHRzYWx0"},
	"ldap-crypt": {"{BLF-CRYPT}$2y$05$" + bcryptTail},
	"mosquitto":  {"$6$dHdlbHZlIGJ5dGVz$zWqngsH0Dyha2b3frfISkTlYIJwjgORgrgnYQjfdL1fUIKh21bHvmKsPMVykxDc7u+rBaG5orqM+wBypOlUeZA=="},
}

func giteaLike(algorithm string) string {
	return scheme.Join(algorithm, strings.Repeat("00", 16), strings.Repeat("00", 50))
}

// quick are costs far below the defaults: what is proven does not hang on them.
var quick = map[string]int{
	"bcrypt": 5, "argon2id": 1, "scrypt": 12, "passlib-pbkdf2-sha256": 2000, "passlib-pbkdf2-sha512": 2000,
	"django-pbkdf2-sha256": 2000, "django-argon2": 1, "django-bcrypt-sha256": 5, "django-scrypt": 12, "nextcloud": 1,
	"home-assistant": 5, "htpasswd": 5, "mosquitto": 1000,
}

// hashedWith returns values of one scheme for each secret, each to be tried with it and with another.
// Values like a present one are made of the first two secrets.
func hashedWith(t *testing.T, name string, secrets []string) []hashed {
	t.Helper()
	s, err := scheme.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	var cases []hashed
	for i, like := range append([]string{""}, followed[name]...) {
		if i > 0 {
			secrets = secrets[:2]
		}
		for _, secret := range secrets {
			value, err := s.Make([]byte(secret), "admin", like, quick[name])
			if err != nil {
				t.Fatalf("%s of %q: %v", name, secret, err)
			}
			cases = append(cases, hashed{name, value, []byte(secret), true}, hashed{name, value, []byte("y" + secret[1:]), false})
		}
	}
	return cases
}

// TestOthersVerify: passlib, Django, PHP, doveadm, htpasswd and Python's hashlib take what our schemes
// make, and refuse another password; and our schemes take what they make.
func TestOthersVerify(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	var cases []hashed
	for _, name := range scheme.Names() {
		switch name {
		case "wordpress", "mosquitto", "scram-sha-256": // asked of the programs themselves, below
		default:
			cases = append(cases, hashedWith(t, name, schemeSecrets)...)
		}
	}
	question, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteFile("/root/verify.py", verifyScript, 0o600)
	m.WriteFile("/root/cases.json", string(question), 0o600)
	answers := strings.Fields(m.Within(3 * time.Minute).MustShell("python3 /root/verify.py </root/cases.json"))
	if len(answers) != len(cases) {
		t.Fatalf("%d answers to %d questions", len(answers), len(cases))
	}
	for i, c := range cases {
		if got := answers[i] == "True"; got != c.fits {
			t.Errorf("%s: %q with %q: %v, want %v", c.Scheme, c.Value, c.Secret, got, c.fits)
		}
	}
	t.Run("mosquitto", func(t *testing.T) { logsInAtMosquitto(t, m) })
	t.Run("PostgreSQL", func(t *testing.T) { logsInAtPostgreSQL(t, m) })
	t.Run("MariaDB", func(t *testing.T) { logsInAtMariaDB(t, m) })
	t.Run("Samba", func(t *testing.T) { logsInAtSamba(t, m) })
	t.Run("what they make", func(t *testing.T) { verifiesOthers(t, m) })
}

// tried logs in with each case, by a script that has its number in $1 and its secret in $SECRET.
func tried(t *testing.T, m *machine.T, cases []hashed, script string) {
	t.Helper()
	m.WriteFile("/root/try", script, 0o700)
	for i, c := range cases {
		m.WriteFile("/root/secret", string(c.Secret), 0o600)
		r := m.Within(20 * time.Second).Shell(fmt.Sprintf("SECRET=$(cat /root/secret) && export SECRET && exec sh /root/try %d", i))
		if got := r.Code == 0; got != c.fits {
			t.Errorf("%q with %q: %s, want %v", c.Value, c.Secret, r, c.fits)
		}
	}
}

func logsInAtMosquitto(t *testing.T, m *machine.T) {
	cases := hashedWith(t, "mosquitto", schemeSecrets)
	var file strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&file, "user%d:%s\n", i, c.Value)
	}
	m.WriteFile("/etc/mosquitto/passwd", file.String(), 0o644)
	m.WriteFile("/etc/mosquitto/conf.d/passwd.conf", "listener 1883 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/passwd\n", 0o644)
	m.MustShell("systemctl restart mosquitto")
	tried(t, m, cases, `mosquitto_pub -h 127.0.0.1 -u "user$1" -P "$SECRET" -t t -m x`)
}

// preparedSecrets are clear texts that SASLprep changes, refuses, or that are no UTF-8.
var preparedSecrets = []string{
	"pass\u00adword", "zero\u200bwidth", "\ufb01ne", "caf\u00e9", "caf\u0065\u0301", "\u00a0blank", "\U0001f600 face", "\U0001f100",
	"\u0627\u0031", "latin1 \xe9", "tab\tbed",
}

func logsInAtPostgreSQL(t *testing.T, m *machine.T) {
	cases := hashedWith(t, "scram-sha-256", append(preparedSecrets, schemeSecrets...))
	var sql strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&sql, "CREATE ROLE user%d LOGIN PASSWORD '%s';\n", i, c.Value)
	}
	m.WriteFile("/root/roles.sql", sql.String(), 0o600)
	m.MustShell("systemctl start postgresql && su postgres -c 'psql -qv ON_ERROR_STOP=1' </root/roles.sql")
	tried(t, m, cases, `PGPASSWORD=$SECRET exec psql -h 127.0.0.1 -U "user$1" -wAtc 'select 1' postgres`)
}

func logsInAtMariaDB(t *testing.T, m *machine.T) {
	cases := hashedWith(t, "mysql-native", schemeSecrets)
	var sql strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&sql, "CREATE USER user%d@localhost IDENTIFIED BY PASSWORD '%s';\n", i, c.Value)
	}
	m.WriteFile("/root/users.sql", sql.String(), 0o600)
	m.MustShell("systemctl start mariadb && mariadb </root/users.sql")
	tried(t, m, cases, `MYSQL_PWD=$SECRET exec mariadb -u "user$1" -Ne 'select 1'`)
}

func logsInAtSamba(t *testing.T, m *machine.T) {
	cases := hashedWith(t, "nt", schemeSecrets)
	for i, c := range cases {
		m.MustShell(fmt.Sprintf("useradd user%d && printf 'x\\nx\\n' | pdbedit -at -u user%d && pdbedit -u user%d --set-nt-hash=%s", i, i, i, c.Value))
	}
	m.MustShell("systemctl start smbd")
	tried(t, m, cases, `printf 'username = user%s\npassword = %s\n' "$1" "$SECRET" >/root/auth && exec smbclient -A /root/auth -c exit '//127.0.0.1/IPC$'`)
}
