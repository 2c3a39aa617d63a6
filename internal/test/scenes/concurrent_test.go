package scenes

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// changer is a program that sets a password of an account.
type changer struct {
	name    string
	program string // as the audit names it
	call    func(account, password string) machine.Command
}

var changers = []changer{
	{"passwd", "passwd", func(account, password string) machine.Command {
		return machine.Command{Args: []string{"passwd", account}, Input: password + "\n" + password + "\n"}
	}},
	{"usermod -p", "usermod", func(account, password string) machine.Command {
		hash, _ := crypt.Generate(format.SHA512, []byte(password)) // the end of the test would show an empty hash
		return machine.Command{Args: []string{"usermod", "-p", hash, account}}
	}},
	{"user set password", "shadowsync", func(account, password string) machine.Command {
		return machine.Command{Args: []string{"shadowsync", "user", "set", "password", account, "--stdin"}, Input: password + "\n"}
	}},
	{"chpasswd", "chpasswd", func(account, password string) machine.Command {
		return machine.Command{Args: []string{"chpasswd"}, Input: account + ":" + password + "\n"}
	}},
}

// crowd is many people who change passwords at once, each of accounts of their own.
type crowd struct {
	s  *stage
	mu sync.Mutex
	// acknowledged is the last password of each account that a program accepted.
	acknowledged map[string]string
	refused      map[string]int // by program; refused changes are tried again
	failures     []string
}

// TestConcurrentChanges: 200 changes of 50 accounts by four programs at once.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	const people, rounds = 10, 4
	var accounts []string
	for i := range 50 {
		accounts = append(accounts, fmt.Sprintf("user%02d", i))
	}
	list := `"` + strings.Join(accounts, `", "`) + `"`
	s := set(t, machine.Bookworm, machine.Appliance{Accounts: accounts}, `"admin", "user222"`, list)
	others := s.unmanaged(accounts)
	c := &crowd{s: s, acknowledged: map[string]string{}, refused: map[string]int{}}
	began := time.Now()
	var wg sync.WaitGroup
	for person := range people {
		wg.Go(func() {
			for round := range rounds {
				for i := person; i < len(accounts); i += people {
					c.change(changers[(i/people+round)%len(changers)], accounts[i], fmt.Sprintf("Crowd-%d-%d-velvet", i, round))
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d changes in %v, tried again: %v", len(accounts)*rounds, time.Since(began), c.refused)
	for _, failure := range c.failures {
		t.Error(failure)
	}
	s.eventually("all is in sync", machine.Patience, func() bool { return s.Run("shadowsync", "status", "--check").Code == 0 })
	for _, account := range accounts {
		if !s.bothOpen(account, c.acknowledged[account]) {
			t.Errorf("%s: the last acknowledged password is lost (OS %.12q, store %.12q)", account, s.ShadowHash(account), s.StoreHash(account))
		}
	}
	if s.unmanaged(accounts) != others {
		t.Error("lines of other accounts changed")
	}
	for round := range 8 {
		s.sub(fmt.Sprintf("all at one account, %d", round), func(s *stage) { s.race(accounts[0], round) })
	}
	if r := s.Run("shadowsync", "audit", "--verify"); r.Code != 0 {
		t.Errorf("audit --verify: %s", r)
	}
}

// race makes all programs set one account's password at once, each to another one. The OS keeps
// the last one, and so must the store and the audit.
func (s *stage) race(account string, round int) {
	before := len(s.audit(account))
	c := &crowd{s: s, acknowledged: map[string]string{}, refused: map[string]int{}}
	password := func(by changer) string {
		return fmt.Sprintf("Race-%d-%s-velvet", round, strings.ReplaceAll(by.name, " ", ""))
	}
	var wg sync.WaitGroup
	for _, by := range changers {
		wg.Go(func() { c.change(by, account, password(by)) })
	}
	wg.Wait()
	for _, failure := range c.failures {
		s.t.Error(failure)
	}
	s.eventually("both sides hold the same", machine.Patience, func() bool {
		return s.state(account).State == "in-sync" && s.ShadowHash(account) == s.StoreHash(account)
	})
	winner := slices.IndexFunc(changers, func(by changer) bool { return s.opensHash(s.ShadowHash(account), password(by)) })
	if winner < 0 {
		s.t.Fatal("the password is none of those that were set")
	}
	last := ""
	gone := "" // the likely writer of a last record without a program: it had ended when the kernel was asked
	for _, e := range s.audit(account)[before:] {
		if e.Action == "conflict" {
			s.t.Errorf("two programs on one side are no conflict: %+v", e)
		}
		switch {
		case e.Result != "in-sync":
		case e.Origin.Program != "":
			last, gone = e.Origin.Program, ""
		default:
			gone = "usermod" // the only one of them that announces nothing
		}
	}
	if by := changers[winner].program; last != by && gone != by {
		s.t.Errorf("%s's password holds, and the last on record is %s's: %+v", changers[winner].name, last, s.audit(account)[before:])
	}
}

// change tries until the program accepts the password, because pam_unix and shadow-utils give up
// if another program holds their lock.
func (c *crowd) change(by changer, account, password string) {
	for deadline := time.Now().Add(machine.Patience); ; {
		r, err := c.s.Exec(c.s.t.Context(), by.call(account, password))
		c.mu.Lock()
		if err == nil && r.Code == 0 {
			c.acknowledged[account] = password
		} else {
			c.refused[by.name]++
		}
		if err != nil || r.Code != 0 && time.Now().After(deadline) {
			c.failures = append(c.failures, fmt.Sprintf("%s of %s: %v %s", by.name, account, err, r))
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if r.Code == 0 {
			return
		}
	}
}

// unmanaged returns the lines of the shadow file that belong to none of the accounts.
func (s *stage) unmanaged(accounts []string) string {
	s.t.Helper()
	text := s.ReadFile("/etc/shadow")
	var others strings.Builder
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, ":")
		managed := false
		for _, account := range accounts {
			managed = managed || account == name
		}
		if !managed {
			others.WriteString(line)
		}
	}
	return others.String()
}
