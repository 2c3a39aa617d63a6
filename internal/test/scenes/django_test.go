package scenes

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

//go:embed testdata/django.py
var djangoSettings string

// djangoInPostgres makes a small Django project whose accounts are in PostgreSQL.
const djangoInPostgres = `mkdir -p /srv/site && cd /srv/site
echo 50000 >cost
cat >urls.py <<'END'
from django.contrib import admin
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls)]
END
cat >hasher.py <<'END'
from django.contrib.auth.hashers import PBKDF2PasswordHasher

class Hasher(PBKDF2PasswordHasher):
    """Its cost is what the file says at each login: Django hashes a password again that has another."""
    @property
    def iterations(self):
        with open("/srv/site/cost") as cost:
            return int(cost.read())
END
systemctl start postgresql
sql() { runuser -u postgres -- psql -v ON_ERROR_STOP=1 -qtA "$@"; }
echo "CREATE ROLE shadowsync LOGIN PASSWORD '$(cat /etc/shadowsync/store.password)'; CREATE ROLE django LOGIN PASSWORD 'django'" | sql
sql -c 'CREATE DATABASE site OWNER django'
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=/srv/site PYTHONDONTWRITEBYTECODE=1
python3 -m django migrate -v 0
for name in admin user222; do DJANGO_SUPERUSER_PASSWORD=Set-in-Django-0 python3 -m django createsuperuser --noinput --username $name --email $name@localhost; done
sql site -c 'GRANT SELECT (username, password), UPDATE (password) ON auth_user TO shadowsync'
`

// blogInSQLite makes another Django site beside it, whose accounts are in Django's own default: a file. It is started again
// if it fails: on a busy host, Python on a machine's overlay was seen not to find a module of its own, once.
const blogInSQLite = `useradd -r -d /srv/blog blog
install -d -o blog -m 750 /srv/blog
export DJANGO_FILE=` + blogDatabase + `
runuser -u blog -- python3 -m django migrate -v 0
DJANGO_SUPERUSER_PASSWORD=Set-in-Django-0 runuser -u blog -- python3 -m django createsuperuser --noinput --username clerk --email clerk@localhost
cat >/etc/systemd/system/blog.service <<END
[Service]
User=blog
Restart=on-failure
RestartSec=1
Environment=DJANGO_FILE=$DJANGO_FILE DJANGO_SETTINGS_MODULE=$DJANGO_SETTINGS_MODULE PYTHONPATH=$PYTHONPATH PYTHONDONTWRITEBYTECODE=1
ExecStart=python3 -m django runserver --noreload 127.0.0.1:8001
END
systemctl daemon-reload
systemctl start blog.service
`

const blogDatabase = "/srv/blog/db.sqlite3"

const blogConfiguration = `
[[application]]
name = "blog"
unit = "blog.service"
accounts = ["clerk"]

[application.store]
driver = "sql"
dsn = "sqlite://` + blogDatabase + `"
table = "auth_user"
name = "username"
password = "password"
scheme = "django-pbkdf2-sha256"
`

const djangoStore = `driver = "sql"
dsn = "postgres://shadowsync@127.0.0.1/site"
password_file = "/etc/shadowsync/store.password"
table = "auth_user"
name = "username"
password = "password"
scheme = "django-pbkdf2-sha256"
`

// djangoLogin posts the form of Django's login page on a port, with a name and the password of /root/secret. It fails unless
// Django lets the account in.
const djangoLogin = `cd /root && rm -f jar
page=http://127.0.0.1:$port/admin/login/?next=/admin/
curl -sS -o /dev/null -c jar --retry 20 --retry-delay 1 --retry-connrefused $page
test "$(curl -sS -o /dev/null -w '%{http_code}' -b jar -d csrfmiddlewaretoken="$(awk '/csrftoken/ { print $7 }' jar)" -d username=$name --data-urlencode password@secret $page)" = 302`

// django is an application: the port of its login page, and an account of its own.
type django struct{ application, port, name string }

var (
	inSite = django{"site", "8000", "admin"}
	inBlog = django{"blog", "8001", "clerk"}
)

// takes reports whether its login page takes a password of the account's.
func (d django) takes(s *stage, password string) bool {
	s.t.Helper()
	s.WriteFile("/root/secret", password, 0o600)
	return s.Within(time.Minute).Shell("port="+d.port+" name="+d.name+"\n"+djangoLogin).Code == 0
}

// takesAlone asserts that a password logs in there, and that another does not.
func (d django) takesAlone(s *stage, right, wrong string) {
	s.t.Helper()
	if !d.takes(s, right) {
		s.t.Errorf("Django refuses %q of %s", right, d.name)
	}
	if d.takes(s, wrong) {
		s.t.Errorf("Django still takes %q of %s", wrong, d.name)
	}
}

// recovers: its login page takes what root sets by passwd, also after its restart.
func (d django) recovers(s *stage, password string) {
	s.t.Helper()
	const old = "Set-in-Django-0"
	if !d.takes(s, old) {
		s.t.Fatalf("Django's own password does not log in: %s", s.Run("journalctl", "--no-pager", "-u", d.application+".service").Stdout)
	}
	s.persists(d.name, password, d.application+"'s")
	d.takesAlone(s, password, old)
	s.Must("systemctl", "restart", d.application+".service")
	d.takesAlone(s, password, old)
}

// TestDjango: root's passwd reaches Django's login page, and what Django makes of a hash at a login is no
// conflict.
func TestDjango(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	m.MustShell("mkdir -p /srv/site")
	m.WriteFile("/srv/site/settings.py", djangoSettings, 0o644)
	m.AddUser("clerk", machine.OldPassword)
	s := onSite(t, m, "/usr/bin/env DJANGO_SETTINGS_MODULE=settings PYTHONPATH=/srv/site python3 -m django runserver --noreload 127.0.0.1:8000", djangoStore+blogConfiguration, djangoInPostgres+blogInSQLite)
	held := func() string { return s.sql("SELECT password FROM auth_user WHERE username = 'admin'") }

	password := "Found-for-Django-1"
	s.sub("recovery", func(s *stage) { inSite.recovers(s, password) })
	s.sub("recovery in SQLite", func(s *stage) { inBlog.recovers(s, password) })
	s.passwd("user222", "The-other-account-1") // its store waits for a clear text
	s.sub("Django hashes again", func(s *stage) {
		for i := range 5 {
			before := held()
			s.WriteFile("/srv/site/cost", fmt.Sprint(20000+1000*i), 0o644)
			if !inSite.takes(s, password) {
				s.t.Fatal("the password does not log in")
			}
			if held() == before {
				s.t.Fatal("Django did not hash it again: this tests nothing")
			}
			s.atPeace()
			if !s.Login("admin", password) {
				s.t.Error("the OS does not let admin in")
			}
		}
		password = "Found-for-Django-2"
		s.persists("admin", password, "site's")
		if !strings.HasPrefix(held(), "pbkdf2_sha256$24000$") {
			s.t.Errorf("the new value has not the cost of the one before: %.30q", held())
		}
		inSite.takesAlone(s, password, "Found-for-Django-1")
		s.opens("admin", password, "Found-for-Django-1")
	})
	s.sub("Django hashes again in SQLite", func(s *stage) {
		const password = "Found-for-Django-1"
		held := func() string {
			return s.Must("runuser", "-u", "blog", "--", "sqlite3", "-cmd", ".timeout 2000", blogDatabase, "SELECT password FROM auth_user WHERE username = 'clerk'")
		}
		before := held()
		s.WriteFile("/srv/site/cost", "30000", 0o644)
		inBlog.takesAlone(s, password, "Set-in-Django-0")
		if held() == before {
			s.t.Fatal("Django did not hash it again: this tests nothing")
		}
		s.atPeace()
		s.opens("clerk", password, machine.OldPassword)
	})
}
