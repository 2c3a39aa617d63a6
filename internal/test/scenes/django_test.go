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

const djangoStore = `driver = "sql"
dsn = "postgres://shadowsync@127.0.0.1/site"
password_file = "/etc/shadowsync/store.password"
table = "auth_user"
name = "username"
password = "password"
scheme = "django-pbkdf2-sha256"
`

// djangoLogin posts the form of Django's login page with the password of /root/secret. It fails unless Django
// lets admin in.
const djangoLogin = `cd /root && rm -f jar
page=http://127.0.0.1:8000/admin/login/?next=/admin/
curl -sS -o /dev/null -c jar --retry 20 --retry-delay 1 --retry-connrefused $page
test "$(curl -sS -o /dev/null -w '%{http_code}' -b jar -d csrfmiddlewaretoken="$(awk '/csrftoken/ { print $7 }' jar)" -d username=admin --data-urlencode password@secret $page)" = 302`

// inDjango reports whether Django's login page takes a password of admin's.
func (s *stage) inDjango(password string) bool {
	s.t.Helper()
	s.WriteFile("/root/secret", password, 0o600)
	return s.Within(time.Minute).Shell(djangoLogin).Code == 0
}

// TestDjango: root's passwd reaches Django's login page, and what Django makes of a hash at a login is no
// conflict.
func TestDjango(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Bookworm, machine.Options{Layer: machine.Apps})
	m.MustShell("mkdir -p /srv/site")
	m.WriteFile("/srv/site/settings.py", djangoSettings, 0o644)
	s := onSite(t, m, "/usr/bin/env DJANGO_SETTINGS_MODULE=settings PYTHONPATH=/srv/site python3 -m django runserver --noreload 127.0.0.1:8000", djangoStore, djangoInPostgres)
	held := func() string { return s.sql("SELECT password FROM auth_user WHERE username = 'admin'") }

	password := "Found-for-Django-1"
	s.sub("recovery", func(s *stage) {
		if !s.inDjango("Set-in-Django-0") {
			s.t.Fatal("Django's own password does not log in")
		}
		s.persists("admin", password, "site's")
		s.inDjangoAlone(password, "Set-in-Django-0")
		s.Must("systemctl", "restart", "site.service")
		s.inDjangoAlone(password, "Set-in-Django-0")
	})
	s.passwd("user222", "The-other-account-1") // its store waits for a clear text
	s.sub("Django hashes again", func(s *stage) {
		for i := range 5 {
			before := held()
			s.WriteFile("/srv/site/cost", fmt.Sprint(20000+1000*i), 0o644)
			if !s.inDjango(password) {
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
		s.inDjangoAlone(password, "Found-for-Django-1")
		s.opens("admin", password, "Found-for-Django-1")
	})
}

// inDjangoAlone asserts that a password logs in to Django, and that another does not.
func (s *stage) inDjangoAlone(right, wrong string) {
	s.t.Helper()
	if !s.inDjango(right) {
		s.t.Errorf("Django refuses %q", right)
	}
	if s.inDjango(wrong) {
		s.t.Errorf("Django still takes %q", wrong)
	}
}
