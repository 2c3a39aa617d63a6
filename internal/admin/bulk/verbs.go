package bulk

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// SetPassword does what root's passwd(1) does: it sets a new hash without the lock mark, dated
// today, and clears must-change.
func SetPassword(c config.Password) Verb {
	return Verb{Name: "set password", TakesTokens: true, LetsIn: true, Wish: func(p Person) (Wish, error) {
		aged, fields := c.Aged(p.Credential)
		w := Wish{Credential: aged, Fields: fields | shadowsync.FieldsPassword | shadowsync.FieldLocked}
		w.Hash, w.Locked, w.LastChange, w.MustChange = p.Hash, false, today(), false
		return w, nil
	}}
}

// MaxExpiry is how shadow(5) says that a password does not expire.
const MaxExpiry = 99999

// Reset says how a generated password is set.
type Reset struct {
	Expiry     int   // days; 0 means the default
	MustChange *bool // nil keeps it as it is
	Unlock     bool  // also unlock the account, lift its expiry and clear its failure counter
	Factor     bool  // also reset the second factor
}

// ResetPassword sets a generated password.
func ResetPassword(o Reset, c config.Password) Verb {
	v := Verb{Name: "reset password", Generates: true, LetsIn: true, Wish: func(p Person) (Wish, error) { return o.wish(p, c), nil }}
	if o.Unlock {
		v.Name, v.Forgives, v.Remembers = "reset password, unlock", true, true
	}
	if o.Factor {
		v.Name, v.DropsFactor = v.Name+", reset 2fa", true
	}
	if c.MaxDays > 0 && o.Expiry > c.MaxDays {
		v.Name += exemptByExpiry
	}
	return v
}

// wish is the account with the new password, aged by the configuration. The maximum age is the
// requested one, or else the shortest of the default, the rule's and the account's own.
func (o Reset) wish(p Person, c config.Password) Wish {
	aged, fields := c.Aged(p.Credential)
	w := Wish{Credential: aged, Fields: fields | shadowsync.FieldsPassword | shadowsync.FieldMax}
	w.Hash = p.Hash
	if o.MustChange != nil {
		w.MustChange = *o.MustChange
	}
	w.LastChange = today()
	if w.MustChange { // shadow(5) uses one field for both
		w.LastChange = shadowsync.NoDay
	}
	w.Max = shadowsync.Day(cmp.Or(o.Expiry, c.ExpiryDays))
	for _, shorter := range []shadowsync.Day{aged.Max, p.Max} {
		if o.Expiry == 0 && shorter != shadowsync.NoDay {
			w.Max = min(w.Max, shorter)
		}
	}
	if w.Min > w.Max { // otherwise nobody could ever change it
		w.Min = w.Max
		w.Fields |= shadowsync.FieldMin
	}
	if o.Unlock {
		w.Locked, w.Expire = false, openExpiry(p)
		w.Fields |= shadowsync.FieldLocked | shadowsync.FieldExpire
	}
	return w
}

// ExpirePassword makes the next login set a new password.
func ExpirePassword() Verb {
	return Verb{Name: "expire password", Wish: func(p Person) (Wish, error) {
		c := p.Credential
		c.LastChange, c.MustChange = shadowsync.NoDay, true
		return Wish{Credential: c, Fields: shadowsync.FieldLastChange | shadowsync.FieldMustChange}, nil
	}}
}

// NoEntryError: the account's history has fewer entries.
type NoEntryError struct {
	Account string
	N, Has  int
}

func (e *NoEntryError) Error() string {
	return fmt.Sprintf("there is no entry %d: %s has %d", e.N, e.Account, e.Has)
}

// RestoreCredential puts entry n of the history back. It counts as a new change, set today.
func RestoreCredential(n int) Verb {
	return Verb{Name: "restore credential" + exemptByWish, Remembers: true, CatchesUp: true, Wish: func(p Person) (Wish, error) {
		if n > len(p.History) {
			return Wish{}, &NoEntryError{p.Name, n, len(p.History)}
		}
		entry := p.History[n-1]
		if entry.OS.Hash == "" {
			return Wish{}, &NoPasswordError{p.Name}
		}
		w := Wish{Credential: entry.OS}
		w.LastChange, w.MustChange = today(), false
		if entry.Store.Hash != entry.OS.Hash {
			w.StoreHash, w.Holder = entry.Store.Hash, entry.Holder.Name
		}
		return w, nil
	}}
}

// onlyThePassword is the addition to the name of a verb that leaves the account's expiry alone.
const onlyThePassword = " the password only"

// Lock locks the password and, unless only that is to be locked, expires the account, so that ssh
// keys do not get in either.
func Lock(passwordOnly bool) Verb {
	v := Verb{Name: "lock", CatchesUp: true, Wish: func(p Person) (Wish, error) {
		w := Wish{Credential: p.Credential, Fields: shadowsync.FieldLocked}
		w.Locked = true
		if !passwordOnly {
			w.Expire = shadowsync.LockedExpiry
			w.Fields |= shadowsync.FieldExpire
		}
		return w, nil
	}}
	if passwordOnly {
		v.Name += onlyThePassword
	}
	return v
}

// Unlock takes back what Lock did, and clears the failure counter.
func Unlock(passwordOnly bool) Verb {
	v := Verb{Name: "unlock", Forgives: true, LetsIn: true, Remembers: true, Wish: func(p Person) (Wish, error) {
		// An empty field without the mark would open the account to everybody. A marker is no
		// password, so "unlocked" would be false.
		if p.Kind() != shadowsync.KindPassword && (passwordOnly || !KeysOnly(p)) {
			return Wish{}, &NoPasswordError{p.Name}
		}
		w := Wish{Credential: p.Credential, Fields: shadowsync.FieldLocked}
		w.Locked = false
		if !passwordOnly {
			w.Expire = openExpiry(p)
			w.Fields |= shadowsync.FieldExpire
		}
		return w, nil
	}}
	if passwordOnly {
		v.Name += onlyThePassword
	}
	return v
}

// KeysOnly reports whether Unlock lets in an account that has no password, only ssh keys: Lock had
// expired it.
func KeysOnly(p Person) bool {
	return p.Kind() == shadowsync.KindNone && p.Expire != shadowsync.NoDay && p.Expire <= today()
}

// openExpiry is the account's expiry. If it has already passed, it is the latest recorded one that
// has not, or none.
func openExpiry(p Person) shadowsync.Day {
	open := func(d shadowsync.Day) bool { return d == shadowsync.NoDay || d > today() }
	if open(p.Expire) {
		return p.Expire
	}
	if b := p.Memory.Baseline; b != nil && open(b.OS.Expire) {
		return b.OS.Expire
	}
	for _, e := range p.Memory.RecordFor(p.Account, true) {
		if open(e.OS.Expire) {
			return e.OS.Expire
		}
	}
	return shadowsync.NoDay
}

// NoPasswordError: the account has no password to unlock.
type NoPasswordError struct{ Account string }

// ErrNoPassword is every NoPasswordError.
var ErrNoPassword = errors.New("it has no password")

func (e *NoPasswordError) Error() string { return ErrNoPassword.Error() }
func (e *NoPasswordError) Unwrap() error { return ErrNoPassword }

// today is the last-change day for a change made now.
func today() shadowsync.Day { return shadowsync.DayOf(time.Now()) }
