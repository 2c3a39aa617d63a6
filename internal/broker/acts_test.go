package broker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestPasswordSetMeanwhile: what an administrator does to an account leaves alone the
// password that root sets while they wait for the store.
func TestPasswordSetMeanwhile(t *testing.T) {
	for name, act := range map[string]func(*office) error{
		"expire password": func(f *office) error { return f.operators.expirePassword(t.Context(), f.call) },
		"lock, as delete user does": func(f *office) error {
			return f.operators.change(t.Context(), f.call, f.present(), shutting(f.present()), lockFields)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			f.held.probed = func() { f.sets(rootsHash) }
			if err := act(f); err != nil {
				t.Fatal(err)
			}
			f.reconcile()
			mark := ""
			if f.present().Expire == shut {
				mark = "!"
			} else if !f.present().MustChange {
				t.Error("nothing was done")
			}
			f.holds(mark+rootsHash, mark+rootsHash)
		})
	}
}

// TestStoreDoesNotTakeAnAct: the OS side gets back what the act changed, and no unit is
// guarded for it, root's neither.
func TestStoreDoesNotTakeAnAct(t *testing.T) {
	for _, uid := range []int{1001, 0} {
		t.Run(fmt.Sprint("uid ", uid), func(t *testing.T) {
			f := openOffice(t, "")
			f.call.origin.UID = &uid
			f.held.err = errGone
			account := f.present()
			err := f.operators.change(t.Context(), f.call, account, shutting(account), lockFields)
			if err == nil || !strings.Contains(err.Error(), "nothing was changed") || f.present().Credential != account.Credential {
				t.Errorf("%v; the account is %+v", err, f.present())
			}
			if f.onRecord().Open != nil || len(f.guarded.names) > 0 {
				t.Errorf("on record: %+v; guarded for %q", f.onRecord().Open, f.guarded.names)
			}
		})
	}
}

// TestLockOfOneThatNeedsALogin: that the store waits for a password's own login keeps
// nobody from locking the account, and unlocking it.
func TestLockOfOneThatNeedsALogin(t *testing.T) {
	const foreign = "$y$j9T$salt$hash"
	f := openOffice(t, "")
	f.sets(foreign)
	f.reconcile()
	if m := f.onRecord(); m.Open == nil || m.Open.State != shadowsync.NeedsLogin {
		t.Fatalf("it does not need a login: %+v", m.Open)
	}
	change := func(wanted shadowsync.Credential) error {
		return f.operators.change(t.Context(), f.call, f.present(), wanted, lockFields)
	}
	if err := change(shutting(f.present())); err != nil {
		t.Errorf("lock: %v", err)
	}
	f.holds("!"+foreign, "!"+formerHash)
	open := f.present().Credential
	open.Locked, open.Expire = false, shadowsync.NoDay
	if err := change(open); err != nil {
		t.Errorf("unlock: %v", err)
	}
	f.holds(foreign, formerHash)
	if m := f.onRecord(); m.Open == nil || m.Open.State != shadowsync.NeedsLogin {
		t.Errorf("it does not need a login any longer: %+v", m.Open)
	}
	f.held.err = errGone
	if err := change(shutting(f.present())); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a store that is gone: %v", err)
	}
	f.holds(foreign, formerHash)
}

// TestStoreDoesNotTakeAPassword: what a worker has set is taken back, and the operator told
// why; but not what somebody set after that.
func TestStoreDoesNotTakeAPassword(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*office)
		os      string // afterwards
		kind    operator.Kind
		says    string
		audited string
	}{
		"it fails": {func(f *office) { f.held.err = errGone }, formerHash, operator.Unavailable, "did not take it; nothing was changed", "withdrawn"},
		"it refuses the value": {
			func(f *office) { f.held.refuses = "longer than 72 bytes" }, formerHash,
			operator.Policy, "app refuses it: longer than 72 bytes; nothing was changed", "withdrawn",
		},
		"root was here after the announcement": {func(f *office) {
			f.held.err = errGone
			f.sets(rootsHash)
		}, rootsHash, operator.Conflict, "another password was set meanwhile", "not withdrawn"},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			former := f.present()
			e := f.errands.begin("worker.service", f.call.origin)
			f.sets(otherHash)
			e.found(otherHash)
			test.prepare(f)
			err := f.operators.persist(t.Context(), f.call, e, f.engine.Load().Config.Applications[0], former, nil)
			var refusal *operator.Error
			if !errors.As(err, &refusal) || refusal.Kind != test.kind || !strings.Contains(refusal.Text, test.says) {
				t.Errorf("the operator is told %v", err)
			}
			f.holds(test.os, formerHash)
			if !f.audited("edit user", test.audited) {
				t.Error("it is not on record")
			}
			if guarded := len(f.guarded.names) > 0; guarded != (test.os == rootsHash) {
				t.Errorf("guarded for %q", f.guarded.names)
			}
		})
	}
}

// TestAnnouncedByAWorker: what the PAM module says of a worker's change is the operator's
// who asked for it, now; not the worker's, whose real uid may be root's.
func TestAnnouncedByAWorker(t *testing.T) {
	f := openOffice(t, "")
	peer := socket.Peer{PID: os.Getpid()}
	unit := f.who(peer).Unit
	given := time.Now()
	e := f.errands.begin(unit, f.call.origin)
	f.held.err = errGone
	f.sets(otherHash)
	if by := f.written(); by.By != "admin" || by.SeenBy != shadowsync.SeenByWatch {
		t.Errorf("the watch takes it for the change of %+v", by)
	}
	if said, _ := f.pamChanged(t.Context(), peer, "user", nil); said != "" {
		t.Errorf("the worker is told %q", said)
	}
	open := f.onRecord().Open
	if open == nil || open.Origin.By != "admin" || open.Origin.SeenBy != shadowsync.SeenByPcli || !open.Origin.At.After(given) {
		t.Fatalf("on record: %+v", open)
	}
	if len(f.guarded.names) > 0 {
		t.Errorf("guarded for %q", f.guarded.names)
	}
	if due, err := f.engine.Load().State.Logouts(t.Context(), "app"); err != nil || len(due) > 0 {
		t.Errorf("sessions are to end: %+v, %v", due, err)
	}
	if hash, outcome := e.result(); hash != otherHash || outcome == nil || outcome.State != shadowsync.Pending {
		t.Errorf("the dialogue knows of %q, %+v", hash, outcome)
	}
	f.held.err = nil
	f.reconcile()
	if !stands(f.onRecord(), given) {
		t.Errorf("the change does not stand: %+v", f.onRecord().LastChange)
	}
}
