package shadowsync

import (
	"strconv"
	"strings"
	"time"
)

// gone is the prefix of AccountMemory.Person while the OS does not have the account.
const gone = "gone "

// personNow says whose account it is: the uid, because a name can be given to another person. A
// deleted account is marked as gone, since the next one may get the same uid.
func (m AccountMemory) personNow(os *Credential, a Account) string {
	if os == nil {
		return gone + strings.TrimPrefix(m.Person, gone)
	}
	return strconv.Itoa(a.UID)
}

// Known reports whether c's hash is a password recorded for the account: an account that comes back
// with it belongs to the same person.
func (m AccountMemory) Known(c Credential) bool {
	known := m.Baseline != nil && m.Baseline.OS.Hash == c.Hash
	if o := m.Open; o != nil && o.State != Queued && o.OS.Hash == c.Hash {
		known = true
	}
	return known && c.isPassword()
}

// succeeded reports whether the account now belongs to another person than the recorded one.
func (m AccountMemory) succeeded(a Account) bool {
	if m.Person == "" || m.Person == strconv.Itoa(a.UID) || m.Baseline == nil && len(m.Record) == 0 {
		return false
	}
	return !m.Known(a.Credential)
}

// of returns what of the recorded data counts for the present account. For a successor that is only
// what the application may remember, and a change that the successor made.
func (m AccountMemory) of(a Account, exists bool) AccountMemory {
	if !exists || !m.succeeded(a) {
		return m
	}
	own := AccountMemory{Past: m.Past}
	if m.Baseline != nil {
		own.Past = own.Past.Add(PastOf(*m.Baseline))
	}
	for _, e := range m.Record {
		own.Past = own.Past.Add(PastOf(e.Baseline))
	}
	own.Past = own.Past.former()
	if o := m.Open; o != nil && o.State == Queued && o.OS.Hash == a.Hash {
		own.Open = o
	}
	return own
}

// RecordFor returns the replaced entries that count for the present account: none if its name was
// given to another person, or if the OS has no such account (any more, or yet).
func (m AccountMemory) RecordFor(a Account, exists bool) Record {
	if !exists || m.succeeded(a) {
		return nil
	}
	return m.Record
}

// succession is the audit event for a name that was given to another person.
func (it *item) succession(application string, now time.Time) Event {
	return Event{
		At: now, Application: application, Account: it.name, Action: "succeeded", Origin: it.origin,
		Reason: "the account was deleted and created again, or its uid and its password changed: the earlier history of this name is not its history",
	}
}
