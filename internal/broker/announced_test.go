package broker

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/socket"
)

// TestAnnouncedAccountOfLDAP: nothing is claimed, and nothing queued, for a listed
// account whose password is elsewhere; nor is anything said of one that is not listed.
func TestAnnouncedAccountOfLDAP(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "root:*:20000::::::\n"} {
		path := filepath.Join(root, "etc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse([]byte("[[application]]\nunit = \"128T.service\"\naccounts = [\"ldapuser\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(t.Context(), engine.Options{Root: root, Config: c, Program: "test", StoreTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	log := slog.New(slog.DiscardHandler)
	b := &Broker{engine: e, dialogues: &dialogues{}, log: log, keepers: map[string]*keeper{
		c.Applications[0].Name: newKeeper(e, c.Applications[0], func() {}, log),
	}}
	peer := socket.Peer{PID: os.Getpid()}
	if got := b.pamChanged(t.Context(), peer, "ldapuser", nil); !strings.Contains(got, "NOT persisted (its password is not in /etc/shadow)") {
		t.Errorf("it says %q", got)
	}
	if got := b.pamChanged(t.Context(), peer, "nobody", nil); got != "" {
		t.Errorf("of an account that is not listed it says %q", got)
	}
	memory, err := e.State.Load(t.Context(), c.Applications[0].Name, nil)
	if err != nil || len(memory.Accounts) != 0 {
		t.Errorf("on record: %+v, %v", memory.Accounts, err)
	}
}
