package broker

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

// TestHungStoresOfSeveral: within the time that passwd waits, each store that answers has the password, and
// passwd tells of the others alone.
func TestHungStoresOfSeveral(t *testing.T) {
	hung := []string{"one", "two", "three"}
	s := enginetest.OpenSeveral(t, append(hung, "last")...)
	b := brokerFor(t, s)
	b.guard = systemd.NewGuard(&systemd.Bus{})
	b.failures = func() *faillock.Counters { return faillock.Of(t.TempDir()) }
	var want []string
	for _, name := range hung {
		s.Further[name].Hangs = true
		want = append(want, "shadowsync: user: NOT persisted (app."+name+": no answer in time); it is as soon as the store takes it")
	}
	s.Sets(enginetest.OtherHash)
	ctx, cancel := context.WithTimeout(t.Context(), keeper.AnswerWithin)
	defer cancel()
	began := time.Now()
	said, _ := b.pamChanged(ctx, s.Engine, socket.Peer{PID: os.Getpid()}, "user", nil)
	if !strings.HasPrefix(said.Text, strings.Join(want, "\n")) { // what else keeps the account out follows
		t.Errorf("it says %q after %s, want %q", said.Text, time.Since(began), want)
	}
	s.Holds(enginetest.OtherHash, enginetest.OtherHash)
	if got := s.Further["last"].Records["user"]; got.Password() != enginetest.OtherHash {
		t.Errorf("the last store holds %q", got.Password())
	}
}
