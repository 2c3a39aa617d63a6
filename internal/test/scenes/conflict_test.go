package scenes

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// apart changes both sides of accounts to different values while the broker is stopped.
func (s *stage) apart(accounts ...string) {
	s.t.Helper()
	s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
	for _, name := range accounts {
		s.AskAppliance("set", name, s.hashed(inAppliance(name)))
		s.Must("usermod", "-p", s.hashed(inOS(name)), name)
	}
	s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
}

// The passwords of the two sides after apart.
func inOS(account string) string        { return "Osier-" + account + "-basket" }
func inAppliance(account string) string { return "Acorn-" + account + "-cellar" }

// sides asserts which passwords the two sides of an account hold.
func (s *stage) sides(account, os, store string) {
	s.t.Helper()
	if !s.opensHash(s.ShadowHash(account), os) || !s.opensHash(s.StoreHash(account), store) {
		s.t.Errorf("%s: want %q in the OS and %q in the store\n%s", account, os, store, s.Run("shadowsync", "history", account))
	}
}

func accountsOf(names ...string) []string {
	return []string{`accounts = ["admin", "user222"]`, `accounts = ["` + strings.Join(names, `", "`) + `"]`}
}

// lost returns the entry of the history that lost a conflict.
func (s *stage) lost(account string) string {
	s.t.Helper()
	var all struct {
		History []struct {
			N    int  `json:"n"`
			Lost bool `json:"lost"`
		} `json:"history"`
	}
	out := s.Must("shadowsync", "history", account, "--json")
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		s.t.Fatalf("history --json: %v\n%s", err, out)
	}
	for _, entry := range all.History {
		if entry.Lost {
			return strconv.Itoa(entry.N)
		}
	}
	s.t.Fatalf("no loser in the history: %s", out)
	return ""
}

func (s *stage) exits(want int, args ...string) string {
	s.t.Helper()
	r := s.Run(args...)
	if r.Code != want {
		s.t.Errorf("%q exits %d, want %d: %s", args, r.Code, want, r)
	}
	return r.Stdout + r.Stderr
}

// TestBothSidesChanged: each rule for a conflict, how a person settles a held conflict, and how
// the value that lost is restored.
func TestBothSidesChanged(t *testing.T) {
	t.Parallel()
	names := []string{"ruleos", "rulestore", "rulehold", "rulenewest", "admin", "user222"}
	edits := append(accountsOf(names...), "[application.store]",
		"[application.rules]\nruleos = \"os\"\nrulestore = \"store\"\nrulehold = \"hold\"\nrulenewest = \"newest\"\n\n[application.store]")
	s := set(t, machine.Bookworm, machine.Appliance{Accounts: names}, edits...)
	s.apart(names...)
	held := []string{"rulehold", "rulenewest", "admin", "user222"}
	s.eventually("the rules are followed", machine.Patience, func() bool {
		return s.state("rulestore").State == "in-sync" && s.state("user222").State == "conflict"
	})

	s.sub("rules", func(s *stage) {
		s.sides("ruleos", inOS("ruleos"), inOS("ruleos"))
		s.sides("rulestore", inAppliance("rulestore"), inAppliance("rulestore"))
		for _, name := range held { // newest too, because a JSON file has no time per account
			s.sides(name, inOS(name), inAppliance(name))
			if a := s.state(name); a.State != "conflict" || a.Reason == nil || *a.Reason != "OS and store changed to different values" {
				s.t.Errorf("status of %s: %+v", name, a)
			}
		}
		if g := s.status().Guard; g != "off" {
			s.t.Errorf("guard %s: a conflict is not guarded", g)
		}
		s.exits(3, "shadowsync", "status", "--check")
		if said := s.exits(4, "shadowsync", "sync"); !strings.Contains(said, "hint: shadowsync sync") || !strings.Contains(said, "--prefer os") {
			s.t.Errorf("sync says %q", said)
		}
	})

	s.sub("on a narrow terminal", func(s *stage) { s.fits("user222") })
	s.sub("some accounts", func(s *stage) { s.selects("user222") })
	s.sub("in a pager", func(s *stage) { s.pages("user222") })

	s.sub("a restart decides nothing", func(s *stage) {
		s.restart()
		s.eventually("the OS holds root's value again", machine.Patience, func() bool { return s.opensHash(s.ShadowHash("admin"), inOS("admin")) })
		for _, name := range held {
			s.sides(name, inOS(name), inAppliance(name))
		}
	})

	s.sub("prefer os", func(s *stage) {
		s.exits(0, "shadowsync", "sync", "admin", "--prefer", "os", "--dry-run")
		s.sides("admin", inOS("admin"), inAppliance("admin"))
		s.exits(0, "shadowsync", "sync", "admin", "--prefer", "os")
		s.sides("admin", inOS("admin"), inOS("admin"))
		s.sides("user222", inOS("user222"), inAppliance("user222"))
		s.restart()
		s.sides("admin", inOS("admin"), inOS("admin"))
		s.exits(0, "shadowsync", "history", "restore", "admin", s.lost("admin"))
		s.sides("admin", inAppliance("admin"), inAppliance("admin"))
		s.opens("admin", inAppliance("admin"), "")
	})
	s.sub("prefer store", func(s *stage) {
		s.exits(0, "shadowsync", "sync", "user222", "--prefer", "store")
		s.sides("user222", inAppliance("user222"), inAppliance("user222"))
		s.exits(0, "shadowsync", "history", "restore", "user222", s.lost("user222"))
		s.sides("user222", inOS("user222"), inOS("user222"))
		s.restart()
		s.sides("user222", inOS("user222"), inOS("user222"))
		s.opens("user222", inOS("user222"), "")
	})
	s.sub("the loser of a rule", func(s *stage) {
		s.exits(0, "shadowsync", "history", "restore", "ruleos", s.lost("ruleos"))
		s.sides("ruleos", inAppliance("ruleos"), inAppliance("ruleos"))
		s.exits(0, "shadowsync", "history", "restore", "rulestore", s.lost("rulestore"))
		s.sides("rulestore", inOS("rulestore"), inOS("rulestore"))
	})
	s.sub("audit", func(s *stage) {
		var actions []string
		for _, e := range s.audit("admin") {
			actions = append(actions, e.Action)
		}
		for _, want := range []string{"conflict", "preferred", "adopted"} {
			if !slices.Contains(actions, want) {
				s.t.Errorf("no %s in the audit: %v", want, actions)
			}
		}
	})
}

// TestProvenConflict: by default a change that PAM announced wins against the store.
func TestProvenConflict(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{})
	s.Must("systemctl", "stop", "shadowsync.service") // its socket stays, so passwd starts the daemon
	s.AskAppliance("set", "admin", s.hashed(inAppliance("admin")))
	if said := s.passwd("admin", inOS("admin")); !strings.Contains(said, "shadowsync: admin: persisted") && !strings.Contains(said, queued) { // the start may take longer than passwd waits
		t.Errorf("passwd said %q", said)
	}
	s.eventually("the change is settled", machine.Patience, func() bool { return s.state("admin").State == "in-sync" })
	s.sides("admin", inOS("admin"), inOS("admin"))
	s.exits(0, "shadowsync", "history", "restore", "admin", s.lost("admin"))
	s.sides("admin", inAppliance("admin"), inAppliance("admin"))
}
