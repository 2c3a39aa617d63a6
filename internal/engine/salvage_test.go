package engine

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestSalvage: a change that waits in a damaged state continues in the next one; one that the
// application has undone meanwhile can be put back.
func TestSalvage(t *testing.T) {
	for name, c := range map[string]struct {
		os       string // when the next state begins
		os2, app string // both sides at the end
		lost     bool
	}{
		"as it was":           {newHash, newHash, newHash, false},
		"the application ran": {oldHash, oldHash, oldHash, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := mount(t, 2)
			if err := os.Rename(s.path("var/lib/app/users.json"), s.path("var/lib/app/away")); err != nil {
				t.Fatal(err)
			}
			s.usermod(t, oldHash, newHash)
			accounts, err := s.engine.Accounts.Read(t.Context(), []string{"admin"})
			if err != nil {
				t.Fatal(err)
			}
			change := shadowsync.Change{
				Account: "admin", OS: accounts.Accounts["admin"].Credential,
				Origin: shadowsync.Origin{At: time.Now(), SeenBy: shadowsync.SeenByPAM, By: "admin"},
			}
			if _, err := s.engine.Reconciler("app").Announce(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if o, _ := s.reconcile(t).For("admin"); o.State != shadowsync.Pending {
				t.Fatalf("got %+v", o)
			}
			options := s.engine.options
			if err := s.engine.Close(); err != nil {
				t.Fatal(err)
			}
			path := s.path(StateDir + "/" + state.FileName)
			aside := path + ".damaged"
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			if c.os == oldHash {
				s.usermod(t, newHash, oldHash)
			}
			if err := os.Rename(s.path("var/lib/app/away"), s.path("var/lib/app/users.json")); err != nil {
				t.Fatal(err)
			}
			if s.engine, err = Open(t.Context(), options); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.engine.Close() })
			if err := s.engine.salvage(t.Context(), aside); err != nil {
				t.Fatal(err)
			}
			s.reconcile(t)
			if !strings.Contains(s.text(t, "etc/shadow"), "admin:"+c.os2+":") || !strings.Contains(s.text(t, "var/lib/app/users.json"), `"admin", "password": "`+c.app) {
				t.Errorf("the OS holds %s, the store %s", s.text(t, "etc/shadow"), s.text(t, "var/lib/app/users.json"))
			}
			memory, err := s.engine.State.Load(t.Context(), "app", []string{"admin"})
			if err != nil {
				t.Fatal(err)
			}
			lost := false
			for _, e := range memory.Accounts["admin"].Record {
				lost = lost || e.Lost && e.OS.Hash == newHash
			}
			if lost != c.lost {
				t.Errorf("the lost password is in the history: %t; %+v", lost, memory.Accounts["admin"].Record)
			}
		})
	}
}
