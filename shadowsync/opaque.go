package shadowsync

import "context"

// ChangedRule says what happens to an account once a login has shown that its password was changed in
// an application with a hash scheme of its own.
type ChangedRule string

// The rules; the texts are those of the configuration.
const (
	ChangedLeave  ChangedRule = "leave"  // nothing but a record
	ChangedLock   ChangedRule = "lock"   // as `user lock`
	ChangedExpire ChangedRule = "expire" // as `user expire password`
)

// LockedExpiry is the day on which a locked account expired, 1970-01-02. usermod(8) recommends it,
// because some programs take 0 as "never" (shadow(5), field 8).
const LockedExpiry Day = 1

// decideOpaque decides the password's unit where the store's values are opaque. If the OS has a new
// password, the store gets the value that its clear text gave, over whatever it holds. If only the
// store's value moved, nothing shows whether the application re-hashed the same password at a login
// or has another one now: both sides stay as they are until a clear text tells.
func (m *merger) decideOpaque(unit Fields) {
	switch {
	case m.storeMoved(FieldHash) && m.agree(FieldHash):
		m.base.OS, m.base.Store = m.base.OS.With(m.os, unit), m.base.Store.With(m.store, unit)
		m.name(VerdictAgree, "")
	case m.osMoved(FieldHash):
		m.tryAdopt(unit)
	case m.in.Lent != "" && m.in.Fault == nil && m.store.Hash != m.in.Lent: // its value is never its own
		m.tryAdopt(unit)
		m.name(VerdictRenew, "")
	default:
		if m.osMoved(unit) { // only its days, which the store does not hold
			m.base.OS = m.base.OS.With(m.os, unit)
			m.name(VerdictAgree, "")
		}
		if v, reason := m.proven(); v != VerdictNothing {
			m.hold(FieldHash, v, reason)
		}
	}
}

// proven says what is known about the store's value while the OS has its old password.
func (m *merger) proven() (Verdict, string) {
	o := m.in.Open
	doubted := o != nil && o.doubts() && o.OS.Hash == m.os.Hash
	switch {
	case m.paired() && !m.storeMoved(FieldHash) && (m.in.Fault == nil || !doubted):
		return VerdictNothing, ""
	case doubted && (m.in.Fault != nil || o.Verdict == VerdictChanged): // if it cannot be read, that still stands
		return o.Verdict, o.Reason
	case !m.paired():
		return VerdictUnproven, reasonFirstPair
	}
	return VerdictUnproven, reasonUnproven
}

// paired reports whether the baseline has a store value that belongs to its OS value. That of an
// opaque store has none until a clear text has shown one.
func (m *merger) paired() bool { return !m.in.Opaque || m.old.Store.Hash != "" }

// repairs reports whether the change is one of the store alone, which did not get its value yet: both sides
// are to hold what they had, and os is the OS's part of that.
func (c *Change) repairs(os Credential) bool {
	return c != nil && (c.Verdict == VerdictAdoptAgain || c.State == Pending) && Equal(c.OS, os, AllFields)
}

// doubts reports whether the change records what is not known, or was disproven, about an opaque
// value.
func (c *Change) doubts() bool { return c.Verdict == VerdictUnproven || c.Verdict == VerdictChanged }

// firstOpaque leaves open whether the first opaque value belongs to the OS's password. It is no part
// of the baseline, so that neither a rollback nor the history can take the two for a pair. Only a new
// password of the OS, or setup's choice of the OS, writes over the store's value.
func (m *merger) firstOpaque() Decision {
	if o := m.in.Open; o != nil && o.StoreHash != "" && o.OS.Hash == m.os.Hash && o.StoreHash == m.store.Hash {
		m.base = Baseline{OS: m.os, Store: m.store}
		return m.first(VerdictBaseline)
	}
	switch m.firstSide() {
	case OSSide:
		return m.firstAdopt()
	case StoreSide:
		return m.undecided(VerdictConflict, reasonOpaque)
	}
	m.base = Baseline{OS: m.os, Store: m.store}
	m.base.Store.Hash = ""
	d := m.first(VerdictUnproven)
	d.Reason, d.Store = reasonFirstPair, m.in.Store
	return d
}

// keepDoubt keeps what is known about an account's opaque value for a change that leaves its
// password as it is, such as a lock.
func keepDoubt(changes []Change, memory Memory) {
	for i, c := range changes {
		if o := memory.Accounts[c.Account].Open; o != nil && o.doubts() && o.OS.Hash == c.OS.Hash {
			changes[i].Verdict, changes[i].Reason, changes[i].StoreHash = o.Verdict, o.Reason, o.StoreHash
		}
	}
}

// AfterChange returns what the application's rule does on the OS side with an account that Differs has
// recorded. wanted is false if that is nothing, or if the store may not change this account.
func (r *Reconciler) AfterChange(ctx context.Context, account string) (c Change, wanted bool) {
	c = Change{Account: account, OS: NoAgeing(), Origin: Origin{At: r.Now(), SeenBy: SeenByStore}}
	switch r.Application.Changed {
	case ChangedLock:
		c.OS.Locked, c.OS.Expire, c.Fields, c.Origin.Verb = true, LockedExpiry, FieldLocked|FieldExpire, "lock"
	case ChangedExpire:
		c.OS.MustChange, c.Fields, c.Origin.Verb = true, FieldLastChange|FieldMustChange, "expire password"
	default:
		return c, false
	}
	if r.Protected == nil || r.Application.TrustStore {
		return c, true
	}
	return c, r.Protected(ctx, []string{account}, nil)[account].Why == ""
}
