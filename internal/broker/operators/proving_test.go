package operators

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/limit"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestProofsWhereTheyComeFrom: whoever uses up the tries and the proofs of an account elsewhere does not
// keep its owner from proving the password.
func TestProofsWhereTheyComeFrom(t *testing.T) {
	f := openOffice(t, "")
	thief, owner := f.from("admin", 10), f.from("admin", 11)
	thief.origin.Remote, owner.origin.Remote = "192.0.2.1", "192.0.2.2"
	for range limit.Free {
		f.operators.wrong.Fail(counted(thief), time.Now())
	}
	for range proofsAtOnce {
		if err := f.operators.spend(thief); err != nil {
			t.Fatal(err)
		}
	}
	if f.operators.patience(thief) == nil || f.operators.spend(thief) == nil {
		t.Error("there is no end of the thief's tries")
	}
	if err := f.operators.patience(owner); err != nil {
		t.Error(err)
	}
	if err := f.operators.spend(owner); err != nil {
		t.Error(err)
	}
	f.operators.wrong.ForgiveAll(anywhere("adm"))
	if f.operators.patience(thief) == nil {
		t.Error("another account's forgiveness counts")
	}
	f.operators.wrong.ForgiveAll(anywhere("admin"))
	if err := f.operators.patience(thief); err != nil {
		t.Error(err)
	}
	for i := range 3 {
		thief.origin.Remote = "192.0.2." + string(rune('3'+i))
		for range proofsAtOnce {
			_ = f.operators.spend(thief)
		}
	}
	if f.operators.ofAccount.Spend("admin", time.Now()) == 0 {
		t.Error("an account has no bound over all places")
	}
}

// TestProofOfAFormerPassword: what was begun with a password ends when another one is set.
func TestProofOfAFormerPassword(t *testing.T) {
	f := openOffice(t, withMail)
	f.hasMail(t, "user")
	recovery, err := f.operators.factors().Renew(t.Context(), local("user"), shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	before := f.kept(t, "user")
	for name, act := range map[string]func(c *call) error{
		"new recovery codes": func(c *call) error { return f.operators.renewProven(t.Context(), c) },
		"another address":    func(c *call) error { return f.operators.setMailProven(t.Context(), c, "eve@example.net") },
		"another authenticator": func(c *call) error {
			return f.operators.enrolProven(t.Context(), c, before)
		},
		"a mailed code": func(c *call) error { return f.operators.lostProven(t.Context(), c, true) },
	} {
		c := f.from("user", 10)
		c.proven = f.Present().Hash
		code := recovery[0]
		recovery = recovery[1:]
		_, err := f.talk(t, func() error { return act(c) }, func(operator.Turn) string {
			f.Sets("$6$salt$" + name)
			return code
		})
		if kindOf(err) != operator.NotAuthenticated || err.Error() != "your password was changed meanwhile; begin again" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := f.kept(t, "user"); after.Generation != before.Generation || after.Mail != before.Mail || after.Ticket != nil {
		t.Errorf("changed: %+v", after)
	}
	if _, err := f.operators.factors().Reset(t.Context(), local("user"), nil, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	c := f.from("user", 10)
	c.proven = "$6$salt$former"
	if err := f.operators.enrolProven(t.Context(), c, factor.Record{}); kindOf(err) != operator.NotAuthenticated || f.kept(t, "user").State != factor.None {
		t.Errorf("an enrolment: %v", err)
	}
}
