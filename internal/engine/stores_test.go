package engine

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestAnotherStoreInTheTable: a value that was never in step with the OS does not reach it because a table
// of the configuration names another store now, and what belongs together stays so.
func TestAnotherStoreInTheTable(t *testing.T) {
	ancient := "$6$ancient$" + strings.Repeat("a", 86) // a hash that could reach the OS
	table := houseText[strings.Index(houseText, "[application.store]"):]
	moved := strings.Replace(table, "users.json", "moved.json", 1)
	list := func(tables ...string) string {
		return strings.ReplaceAll(strings.Join(tables, ""), "[application.store]", "[[application.store]]")
	}
	for name, c := range map[string]struct {
		tables string
		copied string // what the store that is new in the table holds
		states map[string]shadowsync.ChangeState
	}{
		"another path, an old copy":     {moved, ancient, map[string]shadowsync.ChangeState{"app": shadowsync.Conflict}},
		"another path, the same values": {moved, oldHash, map[string]shadowsync.ChangeState{"app": shadowsync.InSync}},
		"a list":                        {list(table), oldHash, map[string]shadowsync.ChangeState{"app": shadowsync.InSync}},
		"another one before it": {
			list(moved, table+"store_name = \"old\"\n"), ancient,
			map[string]shadowsync.ChangeState{"app": shadowsync.Conflict, "app.old": shadowsync.InSync},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mount(t, 1)
			s.engine.Close()
			write(t, s.path("etc/shadowsync/config.toml"), strings.Replace(houseText, "NAME", "app", 1), 0o600)
			if err := s.opened(t, Options{}); err != nil {
				t.Fatal(err)
			}
			s.engine.Close()
			users := s.text(t, "var/lib/app/users.json")
			write(t, s.path("var/lib/app/moved.json"), strings.ReplaceAll(users, oldHash, c.copied), 0o600)
			text := strings.Replace(houseText, "NAME", "app", 1)
			write(t, s.path("etc/shadowsync/config.toml"), text[:strings.Index(text, "[application.store]")]+c.tables, 0o600)
			if err := s.opened(t, Options{}); err != nil {
				t.Fatal(err)
			}
			for holder, want := range c.states {
				report, err := s.engine.Reconcile(t.Context(), holder, shadowsync.Request{Force: true})
				if o, _ := report.For("admin"); err != nil || o.State != want {
					t.Errorf("%s: admin is %+v (%v), want %s", holder, o, err, want)
				}
			}
			if shadow := s.text(t, "etc/shadow"); !strings.Contains(shadow, "admin:"+oldHash+":") {
				t.Errorf("the OS holds %q", shadow)
			}
		})
	}
}
