package scenes

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// reconfigured edits the configuration with sed, and restarts the daemon.
func (s *stage) reconfigured(script string) {
	s.t.Helper()
	s.MustShell("sed -i '" + script + "' " + machine.ConfigurationPath + " && systemctl restart shadowsync.service")
}

// told asserts that the trail has a record of an action about an account, or with a text in its reason.
func (s *stage) told(action, about string) {
	s.t.Helper()
	for _, e := range s.trail() {
		if e.Action == action && (e.Account == about || strings.Contains(e.Reason, about)) {
			return
		}
	}
	s.t.Errorf("no record of %s that says %q", action, about)
}

// TestNamesThatAreEdited: a change that waits for its store, and its guard, survive if a person
// edits a name in the configuration. No history passes to another person's account.
func TestNamesThatAreEdited(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{Accounts: []string{"admin", "user222", "leaver"}}, accountsOf("admin", "user222", "leaver")...)
	s.onOwnDisk()
	pending := func(s *stage, account, password string) {
		s.t.Helper()
		s.readOnly()
		s.notPersisted(account, password, "read-only file system")
	}
	drains := func(s *stage, account, password string) {
		s.t.Helper()
		s.writable()
		s.eventually("the store has it", drained, func() bool { return s.opensHash(s.StoreHash(account), password) })
		s.eventually("nothing is held", machine.Patience, func() bool { return !s.Guarded() })
	}

	s.sub("the application's name", func(s *stage) {
		pending(s, "admin", "Names-1-velvet-x")
		s.reconfigured(`s/"conductor"$/"router"/`)
		s.reaches("admin", "pending")
		if a := s.status(); a.Name != "router" || a.Guard != "on" {
			s.t.Errorf("status says %+v", a)
		}
		s.isHeld("admin")
		s.told("renamed", "router")
		drains(s, "admin", "Names-1-velvet-x")
		s.restart()
		s.opens("admin", "Names-1-velvet-x", machine.OldPassword)
	})

	s.sub("the application's unit", func(s *stage) {
		const former = "former.service"
		s.MustShell(`printf '[Service]\nExecStart=/bin/sleep infinity\n' > /etc/systemd/system/` + former + ` && systemctl daemon-reload && systemctl start ` + former)
		refused := func() bool { return s.Must("systemctl", "show", "-P", "RefuseManualStop", former) == "yes\n" }
		s.reconfigured(`s/"` + machine.ApplianceUnit + `"/"` + former + `"/`)
		s.readOnly()
		s.says(s.answered("admin", "Names-unit-velvet-x"), "restart of "+former+" is held")
		s.Must("shadowsync", "guard", "hold")
		if !refused() {
			s.t.Fatal("nothing holds the former unit, and this proves nothing")
		}
		s.Must("shadowsync", "status") // the first look must not lose anything
		s.reconfigured(`s/"` + former + `"/"` + machine.ApplianceUnit + `"/`)
		s.eventually("the former unit is free", machine.Patience, func() bool { return !refused() })
		s.eventually("it is held by hand", machine.Patience, func() bool { return s.status().Guard == "held" })
		s.isHeld("by hand, admin")
		s.told("guard-moved", "admin")
		s.told("guard-moved", "its guard by hand was moved")
		s.Must("shadowsync", "guard", "release", "--force")
		drains(s, "admin", "Names-unit-velvet-x")
		s.restart()
		s.opens("admin", "Names-unit-velvet-x", "Names-1-velvet-x")
	})

	s.sub("taken out of accounts", func(s *stage) {
		pending(s, "user222", "Names-2-velvet-x")
		s.reconfigured(`s/^accounts .*/accounts = ["admin", "leaver"]/`)
		s.reaches("user222", "pending")
		s.isHeld("user222")
		s.told("kept", "user222")
		drains(s, "user222", "Names-2-velvet-x")
		s.restart()
		s.opens("user222", "Names-2-velvet-x", machine.OldPassword)
		s.Must("systemctl", "restart", "shadowsync.service")
		if out := s.Must("shadowsync", "status"); strings.Contains(out, "user222") {
			s.t.Errorf("it is managed still:\n%s", out)
		}
		s.reconfigured(`s/^accounts .*/accounts = ["admin", "user222", "leaver"]/`)
		s.reaches("user222", "in-sync")
	})

	s.sub("deleted and created again", func(s *stage) {
		s.persists("leaver", "Leaver-1-velvet-x", "router's")
		s.Must("userdel", "leaver")
		s.reaches("leaver", "missing")
		s.Must("useradd", "leaver")
		s.reaches("leaver", "conflict")
		s.persists("leaver", "Successor-1-velvet-x", "router's")
		s.told("succeeded", "leaver")
		for _, n := range []string{"1", "2", "3"} {
			s.Run("shadowsync", "history", "restore", "leaver", n)
			for _, former := range []string{machine.OldPassword, "Leaver-1-velvet-x"} {
				if s.Login("leaver", former) {
					s.t.Errorf("entry %s lets the former person in", n)
				}
			}
		}
		s.passwd("leaver", "Successor-2-velvet-x")
		s.restart()
		s.opens("leaver", "Successor-2-velvet-x", "Leaver-1-velvet-x")
	})

	s.sub("another application", func(s *stage) {
		s.MustShell(`cp -a ` + machine.StorePath + ` ` + storeFolder + `/second.json
printf '[Service]\nExecStart=/bin/sleep infinity\n' > /etc/systemd/system/second.service && systemctl daemon-reload && systemctl start second.service`)
		pending(s, "admin", "Names-3-velvet-x")
		config := s.ReadFile(machine.ConfigurationPath)
		second := config[strings.Index(config, "[[application]]"):]
		second = strings.NewReplacer(`"router"`+"\n", `"second"`+"\n", machine.ApplianceUnit, "second.service", "user-running.json", "second.json", `"admin", "user222", "leaver"`, `"admin"`).Replace(second)
		s.WriteFile(machine.ConfigurationPath, strings.Replace(config, `"admin", `, "", 1)+"\n"+second, 0o600)
		s.Must("systemctl", "restart", "shadowsync.service")
		s.told("moved", "admin")
		s.writable()
		s.eventually("the other store has it", drained, func() bool {
			return strings.Contains(s.ReadFile(storeFolder+"/second.json"), s.ShadowHash("admin")) && s.opensHash(s.ShadowHash("admin"), "Names-3-velvet-x")
		})
		s.eventually("nothing is held", machine.Patience, func() bool { return !s.Guarded() })
		s.restart() // the old application still writes the value that it remembers for admin
		s.eventually("the new value is back", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("admin"), "Names-3-velvet-x") })
	})
}
