package scenes

import (
	_ "embed"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

//go:embed testdata/make.py
var makeScript string

// madeElsewhere are schemes whose programs are not on this machine: WordPress has a scene, the others have vectors of their
// applications in the tests of package scheme.
var madeElsewhere = []string{"gitea", "grafana", "wordpress", "django-argon2", "django-bcrypt-sha256", "django-scrypt"}

// verifiesOthers: our schemes take what PHP, Django, passlib, htpasswd, dovecot, slappasswd, mosquitto_passwd, PostgreSQL,
// MariaDB and Samba make of a password, and refuse another password.
func verifiesOthers(t *testing.T, m *machine.T) {
	var secrets [][]byte
	for _, secret := range schemeSecrets {
		secrets = append(secrets, []byte(secret))
	}
	question, err := json.Marshal(secrets)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteFile("/root/make.py", makeScript, 0o600)
	m.WriteFile("/root/secrets.json", string(question), 0o600)
	var made []struct {
		Scheme, Account, Value string
		Secret                 []byte
	}
	answer := m.Within(3 * time.Minute).MustShell("systemctl start postgresql mariadb && python3 /root/make.py </root/secrets.json")
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, c := range made {
		s, err := scheme.Find(c.Scheme)
		if err != nil {
			t.Fatal(err)
		}
		for typed, want := range map[string]bool{string(c.Secret): true, "y" + string(c.Secret[1:]): false} {
			if got, err := s.Verify(c.Value, []byte(typed), c.Account); got != want || err != nil {
				t.Errorf("%s: %q of %q with %q: %v, %v", c.Scheme, c.Value, c.Secret, typed, got, err)
			}
		}
		seen[c.Scheme]++
	}
	for _, name := range scheme.Names() {
		if seen[name] < len(schemeSecrets) && !slices.Contains(madeElsewhere, name) {
			t.Errorf("%s: only %d values", name, seen[name])
		}
	}
}
