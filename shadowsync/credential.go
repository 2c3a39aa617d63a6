package shadowsync

import "time"

// Day counts days since 1970-01-01 UTC, as the numeric fields of shadow(5) do.
type Day int

// NoDay is an empty field of shadow(5): the limit does not apply.
const NoDay Day = -1

// DayOf returns the day of t. A clock that was never set gives 1, never 0: a
// last-change day of 0 would force a password change (shadow(5), field 3).
func DayOf(t time.Time) Day {
	return max(1, Day(t.Unix()/86400))
}

// Time returns the first second of the day, in UTC; the zero time for NoDay.
func (d Day) Time() time.Time {
	if d == NoDay {
		return time.Time{}
	}
	return time.Unix(int64(d)*86400, 0).UTC()
}

// Credential is what one side holds for an account. It never holds clear text.
type Credential struct {
	// Hash is a crypt(5) string without lock marks: "$y$...", or a marker that no
	// password matches ("*"), or empty. Kind says what it means together with Locked.
	Hash string
	// Locked: at least one "!" stands before the hash, as passwd -l puts it there.
	Locked bool
	// LastChange is the day of the last change (shadow(5), field 3). It is
	// NoDay while MustChange is set, because shadow(5) has one field for both.
	LastChange Day
	// MustChange asks for a new password at the next login (last-change day 0).
	MustChange bool

	Min      Day // days before the password may change again (field 4)
	Max      Day // days before it must change (field 5)
	Warn     Day // days of warning before that (field 6)
	Inactive Day // days after that until the account is disabled (field 7)
	Expire   Day // the day on which the account expires, since 1970-01-01 (field 8)
}

// NoAgeing returns a credential with every day field empty.
func NoAgeing() Credential {
	return Credential{LastChange: NoDay, Min: NoDay, Max: NoDay, Warn: NoDay, Inactive: NoDay, Expire: NoDay}
}

// Fields is a set of a credential's fields: what a store can hold, or what differs.
type Fields uint16

// The fields of a Credential, one bit each.
const (
	FieldHash Fields = 1 << iota
	FieldLastChange
	FieldMustChange
	FieldLocked
	FieldMin
	FieldMax
	FieldWarn
	FieldInactive
	FieldExpire

	// AllFields is what a line of shadow(5) holds.
	AllFields = FieldExpire<<1 - 1
	// FieldsPassword merge as one unit: a hash, the day it was set, whether it must be replaced.
	FieldsPassword = FieldHash | FieldLastChange | FieldMustChange
)

// units are the sets of fields that merge independently of each other.
var units = [...]Fields{FieldsPassword, FieldLocked, FieldMin, FieldMax, FieldWarn, FieldInactive, FieldExpire}

// Diff returns the fields among in that differ between a and b.
func Diff(a, b Credential, in Fields) Fields {
	var d Fields
	mark := func(f Fields, differs bool) {
		if differs {
			d |= f
		}
	}
	mark(FieldHash, a.Hash != b.Hash)
	mark(FieldLastChange, a.LastChange != b.LastChange)
	mark(FieldMustChange, a.MustChange != b.MustChange)
	mark(FieldLocked, a.Locked != b.Locked)
	mark(FieldMin, a.Min != b.Min)
	mark(FieldMax, a.Max != b.Max)
	mark(FieldWarn, a.Warn != b.Warn)
	mark(FieldInactive, a.Inactive != b.Inactive)
	mark(FieldExpire, a.Expire != b.Expire)
	return d & in
}

// Equal reports whether a and b agree in the given fields.
func Equal(a, b Credential, in Fields) bool { return Diff(a, b, in) == 0 }

// LetsIn reports whether c permits any login.
func (c Credential) LetsIn(today Day) bool {
	return !c.Locked && (c.Expire == NoDay || c.Expire > today)
}

// With returns c with the given fields taken from src.
func (c Credential) With(src Credential, fields Fields) Credential {
	take := func(f Fields, do func()) {
		if fields&f != 0 {
			do()
		}
	}
	take(FieldHash, func() { c.Hash = src.Hash })
	take(FieldLastChange, func() { c.LastChange = src.LastChange })
	take(FieldMustChange, func() { c.MustChange = src.MustChange })
	take(FieldLocked, func() { c.Locked = src.Locked })
	take(FieldMin, func() { c.Min = src.Min })
	take(FieldMax, func() { c.Max = src.Max })
	take(FieldWarn, func() { c.Warn = src.Warn })
	take(FieldInactive, func() { c.Inactive = src.Inactive })
	take(FieldExpire, func() { c.Expire = src.Expire })
	return c
}
