package scenes

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/term/exit"
	"github.com/shadowsync/shadowsync/internal/test/machine"
)

// TestCostlyHashes: if the machine's hashes take a gigabyte and seconds, the limits adapt, for
// passwd and for pcli, and a store that takes another format still gets its own hash.
func TestCostlyHashes(t *testing.T) {
	t.Parallel()
	s := set(t, machine.Bookworm, machine.Appliance{}, `password = "password"`, "password = \"password\"\nformats  = [\"sha512crypt\"]")
	s.MustShell("sed -i '/^password.*pam_unix/s/yescrypt/yescrypt rounds=11/' /etc/pam.d/common-password && systemctl restart shadowsync.service")
	costly := func(fresh string) {
		t.Helper()
		s.eventually("the store has the password", machine.Patience, func() bool {
			return s.state("user222").State == "in-sync" && s.opensHash(s.StoreHash("user222"), fresh)
		})
		if hash := s.ShadowHash("user222"); len(hash) < 6 || hash[:6] != "$y$jFT" {
			t.Errorf("the OS holds %.6q", hash)
		}
	}
	s.passwd("user222", oldPassword)
	costly(oldPassword)
	set := func() machine.Result {
		return s.As("user222").Input(oldPassword+"\n"+newPassword+"\n"+newPassword+"\n").Within(3*machine.Patience).Run("pcli", "--stdin", "-c", "set password")
	}
	var r machine.Result
	s.WaitFor("the change in time", 3*machine.Patience, func() bool { // the limit knows the hash's cost, and not how busy the host is
		r = set()
		return r.Code != exit.Unavailable
	})
	if r.Code != 0 {
		t.Errorf("set password: %s", r)
	}
	costly(newPassword)
}
