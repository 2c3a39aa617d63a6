package operators

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestPasswordSetMeanwhile: an administrator's change keeps a password that root sets while the
// change waits for the store.
func TestPasswordSetMeanwhile(t *testing.T) {
	for name, act := range map[string]func(*office) error{
		"expire password": func(f *office) error { return f.operators.expirePassword(t.Context(), f.call) },
		"lock, as delete user does": func(f *office) error {
			return f.operators.change(t.Context(), f.call, f.Present(), shutting(f.Present()), lockFields)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			f.Held.Probed = func() { f.Sets(enginetest.RootsHash) }
			if err := act(f); err != nil {
				t.Fatal(err)
			}
			f.Settle()
			mark := ""
			if f.Present().Expire == shut {
				mark = "!"
			} else if !f.Present().MustChange {
				t.Error("nothing was done")
			}
			f.Holds(mark+enginetest.RootsHash, mark+enginetest.RootsHash)
		})
	}
}

// TestStoreDoesNotTakeAnAct: the OS side gets back what the act changed, and the unit is not
// guarded for it, even if root acted.
func TestStoreDoesNotTakeAnAct(t *testing.T) {
	for _, uid := range []int{1001, 0} {
		t.Run(fmt.Sprint("uid ", uid), func(t *testing.T) {
			f := openOffice(t, "")
			f.call.origin.UID = &uid
			f.Held.Err = enginetest.ErrGone
			account := f.Present()
			err := f.operators.change(t.Context(), f.call, account, shutting(account), lockFields)
			if err == nil || !strings.Contains(err.Error(), "nothing was changed") || f.Present().Credential != account.Credential {
				t.Errorf("%v; the account is %+v", err, f.Present())
			}
			if f.OnRecord().Open != nil || len(f.Guarded.Names) > 0 {
				t.Errorf("on record: %+v; guarded for %q", f.OnRecord().Open, f.Guarded.Names)
			}
		})
	}
}

// TestLockOfOneThatNeedsALogin: an account can be locked and unlocked although its store waits for
// a login.
func TestLockOfOneThatNeedsALogin(t *testing.T) {
	const foreign = "$y$j9T$salt$hash"
	f := openOffice(t, "")
	f.Sets(foreign)
	f.Settle()
	if m := f.OnRecord(); m.Open == nil || m.Open.State != shadowsync.NeedsLogin {
		t.Fatalf("it does not need a login: %+v", m.Open)
	}
	change := func(wanted shadowsync.Credential) error {
		return f.operators.change(t.Context(), f.call, f.Present(), wanted, lockFields)
	}
	if err := change(shutting(f.Present())); err != nil {
		t.Errorf("lock: %v", err)
	}
	f.Holds("!"+foreign, "!"+enginetest.FormerHash)
	open := f.Present().Credential
	open.Locked, open.Expire = false, shadowsync.NoDay
	if err := change(open); err != nil {
		t.Errorf("unlock: %v", err)
	}
	f.Holds(foreign, enginetest.FormerHash)
	if m := f.OnRecord(); m.Open == nil || m.Open.State != shadowsync.NeedsLogin {
		t.Errorf("it does not need a login any longer: %+v", m.Open)
	}
	f.Held.Err = enginetest.ErrGone
	if err := change(shutting(f.Present())); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a store that is gone: %v", err)
	}
	f.Holds(foreign, enginetest.FormerHash)
}

// TestStoreDoesNotTakeAPassword: what a worker has set is taken back, and the operator learns why;
// a password that was set after it stays.
func TestStoreDoesNotTakeAPassword(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*office)
		os      string // afterwards
		kind    operator.Kind
		says    string
		audited string
	}{
		"it fails": {func(f *office) { f.Held.Err = enginetest.ErrGone }, enginetest.FormerHash, operator.Unavailable, "did not take it; nothing was changed", "withdrawn"},
		"it refuses the value": {
			func(f *office) { f.Held.Refuses = "longer than 72 bytes" }, enginetest.FormerHash,
			operator.Policy, "app refuses it: longer than 72 bytes; nothing was changed", "withdrawn",
		},
		"root was here after the announcement": {func(f *office) {
			f.Held.Err = enginetest.ErrGone
			f.Sets(enginetest.RootsHash)
		}, enginetest.RootsHash, operator.Conflict, "another password was set meanwhile", "not withdrawn"},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			former := f.Present()
			e := f.operators.Errands.Begin("worker.service", f.call.origin)
			f.Sets(enginetest.OtherHash)
			e.Found(enginetest.OtherHash)
			test.prepare(f)
			err := f.operators.persist(t.Context(), f.call, e, f.Engine.Config.Applications[0], former, nil)
			var refusal *operator.Error
			if !errors.As(err, &refusal) || refusal.Kind != test.kind || !strings.Contains(refusal.Text, test.says) {
				t.Errorf("the operator is told %v", err)
			}
			f.Holds(test.os, enginetest.FormerHash)
			if !f.Audited("edit user", test.audited) {
				t.Error("it is not on record")
			}
			if len(f.Guarded.Names) > 0 { // it is unknown who set the other password, and unknown is not root
				t.Errorf("guarded for %q", f.Guarded.Names)
			}
		})
	}
}
