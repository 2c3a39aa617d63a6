package scenes

import (
	"regexp"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

var grantOfOption = regexp.MustCompile(`GRANT "admin" TO .*WITH ADMIN OPTION`)

// TestPostgresRoleNeedsTheOption: from PostgreSQL 16 on, a user that may alter roles needs the ADMIN OPTION of each
// one. While the store's user lacks it, nothing says that a password is persisted, and what store test names helps.
func TestPostgresRoleNeedsTheOption(t *testing.T) {
	t.Parallel()
	m := machine.BootWith(t, machine.Trixie, machine.Options{Layer: machine.WordPress})
	s := onSite(t, m, "/bin/sleep infinity", `driver = "postgres-role"
dsn = "postgres://shadowsync@127.0.0.1/postgres"
password_file = "/etc/shadowsync/store.password"
`, inPostgresRoles)
	logsIn := func(password string) bool {
		return s.Env("PGPASSWORD="+password).Run("psql", "-h", "127.0.0.1", "-U", "admin", "-d", "site", "-tAc", "SELECT 1").Code == 0
	}
	const password = "Without-option-1"
	s.says(s.answeredByStore("admin", password), "NOT persisted (store: shadowsync has no right to do that in the database: permission denied to alter role")
	if state := s.stateIn("site", "admin"); state != "pending" {
		t.Errorf("without the option, admin is %s", state)
	}
	if !s.guards("site.service") {
		t.Error("nothing holds a restart, which may lose the password")
	}
	s.storeTest(1, "site", "FAIL rights shadowsync has no right to do that in the database: permission denied to alter role")
	said := strings.Join(strings.Fields(s.Run("shadowsync", "store", "test", "site").Stdout), " ")
	s.sql(grantOfOption.FindString(said))
	s.storeTest(0, "site")
	s.eventually("the server has it", machine.Patience, func() bool { return s.stateIn("site", "admin") == "in-sync" && logsIn(password) })
	s.ownLogin(logsIn, "postgresql@17-main")
}
