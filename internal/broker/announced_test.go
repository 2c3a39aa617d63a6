package broker

import (
	"os"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/socket"
)

// TestAnnouncedAccountOfLDAP: nothing is claimed, and nothing queued, for a listed
// account whose password is elsewhere; nor is anything said of one that is not listed.
func TestAnnouncedAccountOfLDAP(t *testing.T) {
	b := brokerOf(t, t.TempDir(), "somebody", "ldapuser", "")
	peer := socket.Peer{PID: os.Getpid()}
	if got, _ := b.pamChanged(t.Context(), peer, "ldapuser", nil); !strings.Contains(got, "NOT persisted (its password is not in /etc/shadow)") {
		t.Errorf("it says %q", got)
	}
	if got, _ := b.pamChanged(t.Context(), peer, "nobody", nil); got != "" {
		t.Errorf("of an account that is not listed it says %q", got)
	}
	memory, err := b.engine.Load().State.Load(t.Context(), b.engine.Load().Config.Applications[0].Name, nil)
	if err != nil || len(memory.Accounts) != 0 {
		t.Errorf("on record: %+v, %v", memory.Accounts, err)
	}
}
