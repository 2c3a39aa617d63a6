package hook

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// configured opens the engine again with a configuration of applications "NAME ACCOUNT...". Each
// has the unit NAME.service and the store of that name.
func (s *system) configured(stores map[string]*database, applications ...string) {
	s.Helper()
	if s.engine != nil {
		_ = s.engine.Close()
	}
	var text strings.Builder
	for _, a := range applications {
		words := strings.Fields(a)
		text.WriteString("[[application]]\nname = \"" + words[0] + "\"\nunit = \"" + words[0] + ".service\"\naccounts = [\"" + strings.Join(words[1:], "\", \"") +
			"\"]\n[application.store]\ndriver = \"json\"\npath = \"/srv/users.json\"\nusers = \"/users\"\nname = \"name\"\npassword = \"password\"\n")
	}
	s.write("etc/shadowsync/config.toml", text.String())
	c, err := config.Load(s.root, "/etc/shadowsync/config.toml")
	if err != nil {
		s.Fatal(err)
	}
	s.engine, err = engine.Open(s.Context(), engine.Options{
		Root: s.root, Config: c, Program: "test", StoreTimeout: time.Second, Guard: off{}, Sessions: off{},
		OpenStore: func(_ context.Context, a config.Application, _ store.Options) (shadowsync.CredentialStore, error) {
			return stores[a.Name], nil
		},
	})
	if err != nil {
		s.Fatal(err)
	}
}

// TestTheOldUnitWritesWhatMoved: an account moved to another application, nothing watches, and its
// former application starts and writes what it remembers. The former application's hook repairs
// that. A person's change to another account of the new application is not touched.
func TestTheOldUnitWritesWhatMoved(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: the files of a system belong to root")
	}
	for _, kind := range []Kind{PostStart, Settle, PostStop} {
		t.Run(string(kind), func(t *testing.T) {
			s := &system{T: t, root: t.TempDir(), units: unit{Over: true}}
			t.Cleanup(func() { _ = s.engine.Close() })
			s.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nadmin:x:1000:1000::/home/admin:/bin/sh\nother:x:1001:1001::/home/o:/bin/sh\n")
			s.write("etc/group", "root:x:0:\n")
			s.shadow(oldHash)
			stores := map[string]*database{"old": {hash: oldHash}, "next": {hash: oldHash}}
			run := func(kind Kind, unit string) {
				t.Helper()
				if err := Run(t.Context(), s.engine, s.units, kind, unit); err != nil {
					t.Fatal(err)
				}
			}
			s.configured(stores, "old admin", "next other")
			run(PreStart, "old.service")
			s.configured(stores, "old other", "next admin")
			run(PreStart, "old.service") // it also looks at the new application, where both sides agree
			s.shadow(newHash)
			run(PreStop, "next.service")
			if got := stores["next"].hash; got != newHash {
				t.Fatalf("the new home's store holds %q", got)
			}
			s.shadow(oldHash) // the former application writes from its own store
			run(kind, "old.service")
			s.store = stores["next"]
			s.both(newHash)
		})
	}
}
