package scenes

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

//go:embed testdata/wordpress.php
var installWordPress string

// wordPressLogin posts the login page's form with the password of /root/secret. It fails unless WordPress sets
// the cookie of a login.
const wordPressLogin = `curl -sS -o /dev/null -D - -b 'wordpress_test_cookie=WP%20Cookie%20check' -d log=admin -d testcookie=1 \
	--data-urlencode pwd@/root/secret http://127.0.0.1:8080/wp-login.php | grep -qi '^set-cookie: wordpress_logged_in_'`

// bootWordPress boots a machine on which WordPress answers at port 8080.
func bootWordPress(t *testing.T) *machine.T {
	t.Helper()
	m := machine.BootWith(t, machine.Trixie, machine.Options{Layer: machine.WordPress})
	m.WriteFile("/etc/wordpress/config-default.php", `<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'wordpress');
define('DB_PASSWORD', 'wordpress');
define('DB_HOST', 'localhost');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('DISABLE_WP_CRON', true);
`, 0o644)
	m.WriteFile("/root/install.php", installWordPress, 0o600)
	m.Within(2 * time.Minute).MustShell(`systemctl start mariadb
mariadb -e "CREATE DATABASE wordpress; CREATE USER wordpress@localhost IDENTIFIED BY 'wordpress'; GRANT ALL ON wordpress.* TO wordpress@localhost"
php /root/install.php >/dev/null
systemd-run -q --unit=wordpress php -S 127.0.0.1:8080 -t /usr/share/wordpress
curl -s -o /dev/null --retry 10 --retry-connrefused http://127.0.0.1:8080/wp-login.php`)
	return m
}

// TestWordPressTakesItsScheme: what our scheme makes logs in at WordPress' page, and what WordPress makes of it
// then (with its own cost and a new salt) is the same password for our scheme.
func TestWordPressTakesItsScheme(t *testing.T) {
	t.Parallel()
	m := bootWordPress(t)
	wordPress, err := scheme.Find("wordpress")
	if err != nil {
		t.Fatal(err)
	}
	value := func() string {
		return strings.TrimSpace(m.Must("mariadb", "-Ne", "SELECT user_pass FROM wordpress.wp_users"))
	}
	if ok, err := wordPress.Verify(value(), []byte("the installer made this"), "admin"); !ok || err != nil {
		t.Errorf("the installer's: %v, %v", ok, err)
	}
	for _, secret := range []string{"correct horse", "pässwörd €", `it's "quoted"`, " \tblank at both ends ", "x%&+=$x", strings.Repeat("long", 40)} {
		t.Run(secret, func(t *testing.T) {
			made, err := wordPress.Make([]byte(secret), "admin", "", 5)
			if err != nil {
				t.Fatal(err)
			}
			m.MustShell(fmt.Sprintf(`mariadb wordpress -e "UPDATE wp_users SET user_pass = '%s'"`, strings.ReplaceAll(made, "$", `\$`)))
			m.WriteFile("/root/secret", "x"+secret, 0o600)
			if m.Within(time.Minute).Shell(wordPressLogin).Code == 0 {
				t.Errorf("WordPress takes another password")
			}
			m.WriteFile("/root/secret", secret, 0o600)
			if r := m.Within(time.Minute).Shell(wordPressLogin); r.Code != 0 {
				t.Errorf("WordPress refuses the password: %s", r)
			}
			again := value()
			if again == made {
				t.Error("WordPress did not hash it again: the rest proves nothing")
			}
			if ok, err := wordPress.Verify(again, []byte(secret), "admin"); !ok || err != nil {
				t.Errorf("hashed again by WordPress: %q, %v, %v", again, ok, err)
			}
		})
	}
}
