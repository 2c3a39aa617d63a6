package proof

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// slowStore answers once it may, or when its caller gives up.
type slowStore struct {
	shadowsync.CredentialStore
	answer chan struct{}
	ended  chan error
}

func (s slowStore) Read(ctx context.Context, _ []string) (snapshot shadowsync.StoreSnapshot, err error) {
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.answer:
	}
	s.ended <- err
	return snapshot, err
}

// TestASlowStoreIsNotGivenUp: the wait for the present value is short, but the store that does not answer
// so soon is not told that it hangs. It would be left alone for seconds, and passwd could not write to it.
func TestASlowStoreIsNotGivenUp(t *testing.T) {
	s := slowStore{answer: make(chan struct{}), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := readWithin(ctx, s, "admin"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	cancel()
	close(s.answer)
	if err := <-s.ended; err != nil {
		t.Errorf("the store's call was ended: %v", err)
	}
	s = slowStore{answer: make(chan struct{}), ended: make(chan error, 1)}
	begun := time.Now()
	if _, err := readWithin(ctx, s, "admin"); !errors.Is(err, context.Canceled) || time.Since(begun) > likeWithin {
		t.Errorf("nobody waits any more: %v after %v", err, time.Since(begun))
	}
	close(s.answer)
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestNamesOfTheStore: PostgreSQL's old verifiers depend on the role's name, which is not always the account's.
// Otherwise every login would seem to show that the password was changed in the application.
func TestNamesOfTheStore(t *testing.T) {
	const md5OfSecretAndAdminAtSite = "md58e65c4457860b6d50740e9bab7216a15"
	of := shadowsync.Capabilities{Scheme: "scram-sha-256", As: "{name}@site"}
	if fits, err := For(of, "admin", md5OfSecretAndAdminAtSite).fits([]byte("secret")); !fits || err != nil {
		t.Errorf("%v, %v", fits, err)
	}
}
