package scenes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// cache is the path of a second store of the appliance, besides its own file.
const cache = "/var/lib/shadowsync/cache.db"

// TestSeveralStores: one passwd goes to both stores of an application, and one that is away costs the
// other nothing.
func TestSeveralStores(t *testing.T) {
	t.Parallel()
	s := setOn(t, machine.Boot(t, machine.Bookworm), machine.Appliance{},
		"[[application]]", "[roles]\nadmin = [\"operators\"]\n\n[[application]]",
		"[application.store]", "[[application.store]]",
		"password = \"password\"\n", "password = \"password\"\n\n[[application.store]]\nstore_name = \"cache\"\ndriver = \"sqlite\"\npath = \""+cache+"\"\n")
	s.MustShell("groupadd operators && usermod -aG operators admin")
	s.scene("passwd", func(s *stage) {
		s.persists("admin", oldPassword, "conductor's and conductor.cache's")
		s.everywhere("admin", oldPassword)
		s.restart()
		s.opens("admin", oldPassword, machine.OldPassword)
		s.everywhere("admin", oldPassword)
	})
	s.scene("one store away", func(s *stage) { s.cacheAway() })
	s.scene("the stores differ at a start", func(s *stage) { s.differAtStart() })
	s.scene("pcli", func(s *stage) { s.severalInShell() })
	s.scene("the tool", func(s *stage) {
		s.Must("mv", cache, cache+".away")
		r := s.Input("Tool-cache-velvet-1\n").Run("shadowsync", "user", "set", "password", "admin", "--stdin")
		if r.Code != 3 {
			s.t.Errorf("set password with a store away: %s", r)
		}
		s.says(r.Stdout+r.Stderr, "NOT persisted (conductor.cache: ")
		s.Must("mv", cache+".away", cache)
		s.Must("shadowsync", "sync")
		s.everywhere("admin", "Tool-cache-velvet-1")
		s.Must("shadowsync", "history", "restore", "admin", "1")
		s.everywhere("admin", newPassword)
		s.Must("shadowsync", "user", "lock", "admin", "--password-only")
		s.inCache("admin")
		s.Must("shadowsync", "user", "unlock", "admin", "--password-only")
		s.everywhere("admin", newPassword)
	})
	if r := s.Run("shadowsync", "audit", "--verify"); r.Code != 0 {
		t.Errorf("audit --verify: %s", r)
	}
	if r := s.Run("shadowsync", "doctor"); strings.Contains(r.Stdout, "conductor.cache") {
		t.Errorf("doctor finds something: %s", r)
	}
	s.scene("remove", func(s *stage) { s.Must("shadowsync", "remove"); s.isFree() })
}

// inCache asserts that the second store holds what the OS holds.
func (s *stage) inCache(account string) {
	s.t.Helper()
	if hash := s.ShadowHash(account); !strings.Contains(s.MustShell("cat "+cache+"*"), hash) {
		s.t.Errorf("%s: the second store lacks the OS's %.12q", account, hash)
	}
}

// everywhere asserts that the OS and both stores hold a password.
func (s *stage) everywhere(account, password string) {
	s.t.Helper()
	if !s.opensHash(s.ShadowHash(account), password) {
		s.t.Errorf("the OS does not hold %q for %s", password, account)
	}
	s.inStore(account)
	s.inCache(account)
}

// stateIn is the state of an account in one of the stores.
func (s *stage) stateIn(holder, name string) string {
	s.t.Helper()
	accounts := s.applications()[holder].Accounts
	i := slices.IndexFunc(accounts, func(a account) bool { return a.Name == name })
	if i < 0 {
		s.t.Fatalf("status has no %s of %s", name, holder)
	}
	return accounts[i].State
}

func (s *stage) cacheAway() {
	s.t.Helper()
	s.Must("mv", cache, cache+".away")
	said := s.answered("admin", "Away-cache-velvet-1")
	s.says(said, "shadowsync: admin: NOT persisted (conductor.cache: ")
	s.says(said, "; restart of "+machine.ApplianceUnit+" is held until it is")
	if strings.Contains(said, "persisted in") || strings.Count(said, "shadowsync: ") != 1 {
		s.t.Errorf("passwd said %q", said)
	}
	s.inStore("admin")
	s.isHeld("admin (cache)")
	for holder, want := range map[string]string{"conductor": "in-sync", "conductor.cache": "pending"} {
		if state := s.stateIn(holder, "admin"); state != want {
			s.t.Errorf("%s: admin is %s, want %s", holder, state, want)
		}
		if guard := s.applications()[holder].Guard; guard != "on" {
			s.t.Errorf("%s: the guard is %s", holder, guard)
		}
	}
	if r := s.Run("shadowsync", "status", "--check"); r.Code != 3 {
		s.t.Errorf("status --check: %s", r)
	}
	if r := s.Run("shadowsync", "status", "--application", "conductor", "--check"); strings.Contains(r.Stdout, "conductor.cache") {
		s.t.Errorf("asked about the first store: %s", r)
	}
	for _, width := range []int{80, 40} {
		shown := s.onTerminal(width, "shadowsync status")
		s.says(strings.Join(strings.Fields(shown), " "), "conductor.cache")
		for line := range strings.Lines(shown) {
			line = strings.TrimRight(line, "\n")
			if displaywidth.String(line) > width && strings.Contains(line, "conductor") {
				s.t.Errorf("status at %d columns: %q", width, line)
			}
		}
	}
	s.says(s.Must("shadowsync", "audit", "--application", "conductor.cache", "--tail", "20"), "admin")
	s.Must("mv", cache+".away", cache)
	s.eventually("the second store has drained", drained, func() bool {
		return s.stateIn("conductor.cache", "admin") == "in-sync" && s.applications()["conductor"].Guard == "off" && !s.Guarded()
	})
	s.isFree()
	s.everywhere("admin", "Away-cache-velvet-1")
	s.opens("admin", "Away-cache-velvet-1", oldPassword)
}

// differAtStart: the application changed its own store while nothing of ours ran. The start hook brings
// that to the OS and on to the other store.
func (s *stage) differAtStart() {
	s.t.Helper()
	hash := s.hashed("Start-cache-velvet-1")
	s.MustShell("systemctl stop shadowsync.service shadowsync.socket shadowsync-operator.socket")
	s.AskAppliance("set", "user222", hash)
	s.MustShell("systemctl stop " + machine.ApplianceUnit + " && systemctl start " + machine.ApplianceUnit)
	s.everywhere("user222", "Start-cache-velvet-1")
	s.MustShell("systemctl start shadowsync.socket shadowsync-operator.socket shadowsync.service")
	for _, holder := range []string{"conductor", "conductor.cache"} {
		if state := s.stateIn(holder, "user222"); state != "in-sync" {
			s.t.Errorf("%s: user222 is %s", holder, state)
		}
	}
}

// severalInShell: an operator's password is in the OS and all stores, or nowhere.
func (s *stage) severalInShell() {
	s.t.Helper()
	s.passwd("admin", oldPassword)
	set := func(current, fresh string) machine.Result {
		return s.As("admin").Input(fmt.Sprintf("%s\n%s\n%s\n", current, fresh, fresh)).Run("pcli", "--stdin", "-c", "set password")
	}
	if r := set(oldPassword, newPassword); r.Code != 0 || !strings.Contains(r.Stdout, "Password updated successfully") {
		s.t.Errorf("set password: %s", r)
	}
	s.everywhere("admin", newPassword)
	s.Must("mv", cache, cache+".away")
	if r := set(newPassword, "Shell-cache-velvet-1"); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "nothing was changed") {
		s.t.Errorf("set password with a store away: %s", r)
	}
	s.Must("mv", cache+".away", cache)
	s.everywhere("admin", newPassword)
	if said := s.Must("pcli", "-c", "show sync"); !strings.Contains(said, "conductor.cache") {
		s.t.Errorf("show sync: %s", said)
	}
}
