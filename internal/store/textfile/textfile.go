// Package textfile is what all stores that are one text file of an application's have in common: it
// reads the file, finds the accounts, and replaces what belongs to them. A Format says where in the
// text the accounts are.
//
// It promises that a write changes only the text of the values that it must change, that the new
// text as a whole was read again and holds the wanted values before the file is replaced, and that
// the file is replaced only if it is still what was read (package safefile).
//
//	textfile.go  Format and Record
//	store.go     reads and watches
//	write.go     writes
package textfile

import "github.com/shadowsync/shadowsync/shadowsync"

// Format is one kind of text file.
type Format interface {
	// Locate finds the wanted accounts. The error is a driver.Malformed if the text as a whole is not
	// what the application reads; then the file is never written. A text to be written is looked at, too.
	Locate(data []byte, wanted map[string]bool) (map[string]Record, error)
	// Spell returns the text that stands for a value in the place of a record. The error is a
	// *shadowsync.RefusedError if the file cannot hold the value.
	Spell(r Record, value string) (string, error)
}

// Checker is a Format whose server does not accept every text in which the accounts can be found.
type Checker interface {
	// Check returns what is wrong with a text that is to be written, as a driver.Malformed.
	Check(data []byte) error
}

// Span is a part of a text; End is the offset after its last byte.
type Span struct{ Start, End int }

// Record is an account in a text.
type Record struct {
	Value string // the password field; empty: the account has none
	At    Span   // what stands for it; empty: where it must be inserted
	Lead  string // the text to insert before it
	Fault error  // why this record cannot be read; nil: it can
}

// value returns the record's credential. The values of a store with a hash scheme of its own have no
// lock mark.
func (s *Store) value(r Record) (c shadowsync.Credential) {
	if s.Can.Fields&shadowsync.FieldLocked == 0 {
		return shadowsync.Credential{Hash: r.Value}
	}
	c.Hash, c.Locked = shadowsync.ParsePassword(r.Value)
	return c
}

// holds reports whether the record needs no edit to hold a value. More lock marks than one are the
// same lock, so their spelling stays.
func (s *Store) holds(r Record, want shadowsync.Credential) bool {
	return shadowsync.Equal(s.value(r), want, s.Can.Fields)
}
