package engine

import (
	"strings"
	"testing"
	"time"

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

// TestAnotherStoreWhileAChangeWaits: a password of root's waits for its store, the application writes the old
// one back, and only then is the table edited: the new password still comes first.
func TestAnotherStoreWhileAChangeWaits(t *testing.T) {
	s := mount(t, 1)
	s.engine.Close()
	if err := s.named(t, "app", Options{}); err != nil {
		t.Fatal(err)
	}
	memory, err := s.engine.State.Load(t.Context(), "app", []string{"admin"})
	if err != nil {
		t.Fatal(err)
	}
	waits := shadowsync.Change{
		Account: "admin", State: shadowsync.Pending, Verdict: shadowsync.VerdictPending, OS: memory.Accounts["admin"].Baseline.OS,
		Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPAM}, Since: time.Now(),
	}
	waits.OS.Hash = "$6$recovered$" + strings.Repeat("r", 86)
	if err := s.engine.State.Journal(t.Context(), "app", []shadowsync.Change{waits}); err != nil {
		t.Fatal(err)
	}
	s.engine.Close()
	write(t, s.path("var/lib/app/moved.json"), s.text(t, "var/lib/app/users.json"), 0o600)
	write(t, s.path("etc/shadowsync/config.toml"), strings.NewReplacer("NAME", "app", "users.json", "moved.json").Replace(houseText), 0o600)
	if err := s.opened(t, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.engine.Reconcile(t.Context(), "app", shadowsync.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, side := range []string{"etc/shadow", "var/lib/app/moved.json"} {
		if text := s.text(t, side); !strings.Contains(text, waits.OS.Hash) {
			t.Errorf("%s holds %q", side, text)
		}
	}
}
