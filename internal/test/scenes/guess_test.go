package scenes

import (
	"fmt"
	"strings"

	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// historyIsNoOracle: an administrator who tries another user's old passwords soon has to wait, and the
// audit records every try.
func historyIsNoOracle(s *stage) {
	former := s.ShadowHash("user222")
	before := len(s.audit("user222"))
	said := ""
	for tried := 0; !strings.Contains(said, "too many passwords for others were refused"); tried++ {
		r := s.As("admin").Input(oldPassword+"\n"+oldPassword+"\n").Run("pcli", "--stdin", "-c", "edit user user222 password")
		said = r.Stdout + r.Stderr
		if tried > 8 || r.Code == 0 {
			s.t.Fatalf("the oracle goes on answering: %s", r)
		}
	}
	if s.ShadowHash("user222") != former {
		s.t.Error("user222's password was changed")
	}
	tries := 0
	for _, e := range s.audit("user222")[before:] {
		if strings.Contains(e.Reason, "password: failed") && strings.Contains(e.Reason, historyText) && e.Origin.By == "admin" {
			tries++
		}
	}
	if tries == 0 {
		s.t.Errorf("no try is on record: %+v", s.audit("user222")[before:])
	}
}

// costlyHistory: a store's hashes that cost more than the limit do not reach the OS. With several
// hashes just below the limit the rule against reuse takes longer than passwd waits, and a password
// that could not be judged is refused.
func costlyHistory(s *stage) {
	s.reconfigured("s/^history = .*/history = 6/")
	hash := func(password string, rounds int) string {
		return strings.TrimSpace(s.MustShell(fmt.Sprintf(`perl -e 'print crypt(q(%s), q($6$rounds=%d$saltsalt$))'`, password, rounds)))
	}
	os, store := s.ShadowHash("user222"), s.StoreHash("user222")
	s.swapStore(store, hash("Marzipan-dear-1-x", 1_000_000))
	s.reaches("user222", "conflict")
	if reason := *s.state("user222").Reason; !strings.Contains(reason, "too costly") || s.ShadowHash("user222") != os {
		s.t.Errorf("status says %q, and the OS holds %.12q", reason, s.ShadowHash("user222"))
	}
	s.swapStore(s.StoreHash("user222"), store)
	s.reaches("user222", "in-sync")
	var used []string
	for i := range 4 {
		used = append(used, fmt.Sprintf("Marzipan-slow-%d-x", i))
		costly := hash(used[i], 656_000)
		s.swapStore(s.StoreHash("user222"), costly)
		s.eventually("the OS has the store's hash", machine.Patience, func() bool { return s.ShadowHash("user222") == costly })
		s.reaches("user222", "in-sync")
	}
	before, present, old := s.ShadowHash("user222"), used[3], used[0]
	r := s.As("user222").Input(present + "\n" + old + "\n" + old + "\n").Run("passwd")
	said := r.Stdout + r.Stderr
	if r.Code == 0 || !strings.Contains(said, historyText) && !strings.Contains(said, "the password rules could not be checked in time") {
		s.t.Errorf("passwd with a password from before: %s", r)
	}
	r = s.As("user222").Input(present+"\n"+old+"\n"+old+"\n").Run("pcli", "--stdin", "-c", "set password")
	if said = r.Stdout + r.Stderr; r.Code == 0 || !strings.Contains(said, historyText) && !strings.Contains(said, "could not be judged") {
		s.t.Errorf("set password with a password from before: %s", r)
	}
	if s.ShadowHash("user222") != before || s.StoreHash("user222") != before {
		s.t.Error("a side was changed")
	}
	s.reconfigured("s/^history = .*/history = 2/")
	s.passwd("user222", "Marzipan-orbit-55-x")
}
