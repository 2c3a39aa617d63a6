package engine

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const houseText = "[[application]]\nname = \"NAME\"\nunit = \"app.service\"\naccounts = [\"admin\"]\n[application.store]\ndriver = \"json\"\npath = \"/var/lib/app/users.json\"\nusers = \"/users\"\nname = \"name\"\npassword = \"password\"\n"

// named opens the engine with an application of that name.
func (s *system) named(t *testing.T, name string, o Options) error {
	t.Helper()
	write(t, s.path("etc/shadowsync/config.toml"), strings.Replace(houseText, "NAME", name, 1), 0o600)
	return s.opened(t, o)
}

func (s *system) opened(t *testing.T, o Options) error {
	t.Helper()
	c, err := config.Load(s.root, "/etc/shadowsync/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	o.Root, o.Config, o.Program, o.StoreTimeout, o.Guard, o.Sessions = s.root, c, "test", 5*time.Second, off{}, off{}
	s.engine, err = Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { s.engine.Close() })
	}
	return err
}

// TestAnApplicationIsRenamed: it keeps the accounts that operators created.
func TestAnApplicationIsRenamed(t *testing.T) {
	s := mount(t, 2)
	s.engine.Close()
	if err := config.AddAccount(s.root, "/etc/shadowsync/config.toml", "app", "user0"); err != nil {
		t.Fatal(err)
	}
	if err := s.named(t, "app", Options{}); err != nil {
		t.Fatal(err)
	}
	s.engine.Close()
	if err := s.named(t, "router", Options{}); err != nil {
		t.Fatal(err)
	}
	if a, managed := s.engine.Config.Managing("user0"); !managed || a.Name != "router" || !slices.Contains(a.Listed, "user0") {
		t.Errorf("user0 is of %+v", a)
	}
	if memory, err := s.engine.State.Load(t.Context(), "router", nil); err != nil || memory.Accounts["user0"].Baseline == nil {
		t.Errorf("on record is %+v (%v)", memory.Accounts["user0"], err)
	}
	if _, err := os.Stat(s.path("etc/shadowsync/accounts.d/router.list")); err != nil {
		t.Error(err)
	}
}

// TestALookAfterANameWasEdited: if the state cannot be written, a process that only looks sees the
// state's data under the new name.
func TestALookAfterANameWasEdited(t *testing.T) {
	s := mount(t, 1)
	s.engine.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	full := limit
	full.Cur = 16
	set := func(l unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	open := func(o Options) error {
		write(t, s.path("etc/shadowsync/config.toml"), strings.Replace(houseText, "NAME", "router", 1), 0o600)
		set(full)
		defer set(limit)
		return s.opened(t, o)
	}
	if err := open(Options{}); err == nil {
		t.Error("a state that cannot follow is worked with")
	}
	if err := open(Options{Look: true}); err != nil {
		t.Fatal(err)
	}
	report, err := s.engine.Reconcile(t.Context(), "router", shadowsync.Request{DryRun: true})
	if o, _ := report.For("admin"); err != nil || o.State != shadowsync.InSync {
		t.Errorf("admin is %+v (%v)", o, err)
	}
}
