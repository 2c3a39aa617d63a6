package scenes

import (
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
)

const wordPressStore = `driver = "sql"
dsn = "mysql://shadowsync@/wordpress?socket=/run/mysqld/mysqld.sock"
password_file = "/etc/shadowsync/store.password"
table = "wp_users"
name = "user_login"
password = "user_pass"
scheme = "wordpress"
`

// inWordPress gives the rights that docs/stores.md names.
const inWordPress = `mariadb <<END
CREATE USER shadowsync@localhost IDENTIFIED BY '$(cat /etc/shadowsync/store.password)';
INSERT INTO wordpress.wp_users (user_login, user_pass) VALUES ('user222', '*');
GRANT SELECT (user_login, user_pass), UPDATE (user_pass) ON wordpress.wp_users TO shadowsync@localhost;
END
`

// inWordPress reports whether WordPress' login page takes a password of admin's.
func (s *stage) inWordPress(password string) bool {
	s.t.Helper()
	s.WriteFile("/root/secret", password, 0o600)
	return s.Within(time.Minute).Shell(wordPressLogin).Code == 0
}

// TestWordPress: root's passwd reaches WordPress' login page, through MariaDB's Unix socket.
func TestWordPress(t *testing.T) {
	t.Parallel()
	m := bootWordPress(t)
	m.MustShell("systemctl stop wordpress") // site.service takes its place
	s := onSite(t, m, "/usr/bin/php -S 127.0.0.1:8080 -t /usr/share/wordpress", wordPressStore, inWordPress)
	held := func() string {
		return strings.TrimSpace(s.Must("mariadb", "-Ne", "SELECT user_pass FROM wordpress.wp_users WHERE user_login = 'admin'"))
	}
	s.MustShell("curl -s -o /dev/null --retry 10 --retry-connrefused http://127.0.0.1:8080/wp-login.php")
	old := "the installer made this"
	for _, password := range []string{"Found for WordPress-1", `it's "Word"press & %-2`} {
		s.persists("admin", password, "site's")
		if !s.inWordPress(password) || s.inWordPress(old) {
			s.t.Errorf("the new password: %v; the old one: %v", s.inWordPress(password), s.inWordPress(old))
		}
		old = password
	}
	s.passwd("user222", "The-other-account-1")
	s.sub("WordPress hashes again", func(s *stage) {
		wordPress, err := scheme.Find("wordpress")
		if err != nil {
			s.t.Fatal(err)
		}
		for range 5 {
			cheap, err := wordPress.Make([]byte(old), "admin", "", 5)
			if err != nil {
				s.t.Fatal(err)
			}
			s.Input("UPDATE wordpress.wp_users SET user_pass = '" + cheap + "'").Must("mariadb")
			if !s.inWordPress(old) {
				s.t.Fatal("the password does not log in")
			}
			if held() == cheap {
				s.t.Fatal("WordPress did not hash it again: this tests nothing")
			}
			s.atPeace()
		}
		const next = "After all of that-3"
		if s.persists("admin", next, "site's"); !s.inWordPress(next) || s.inWordPress(old) {
			s.t.Errorf("the new password: %v, the old one: %v", s.inWordPress(next), s.inWordPress(old))
		}
	})
}
