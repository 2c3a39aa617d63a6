package shadowsync

import "time"

// Baseline is the pair of an OS value and a store value last known to belong
// together: the merge base. It is a pair because a store may hold another format
// of the same password. Store holds the zero value in fields that the store's
// driver cannot hold.
type Baseline struct {
	OS    Credential
	Store Credential
}

// Entry is a pair that an account once had, or that lost a decision.
type Entry struct {
	Baseline
	Origin   Origin    // of the change that had brought it
	Replaced time.Time // when it stopped being the value
	Lost     bool      // it lost a conflict and was never the value of both sides
}

// The depth of an account's record.
const (
	RecordEntries = 5
	RecordAge     = 180 * 24 * time.Hour
)

// Record is what an account had before, newest first.
type Record []Entry

// Trim drops what is beyond the record's depth at the time now.
func (r Record) Trim(now time.Time) Record {
	kept := make(Record, 0, RecordEntries)
	for _, e := range r {
		if len(kept) < RecordEntries && now.Sub(e.Replaced) <= RecordAge {
			kept = append(kept, e)
		}
	}
	return kept
}

// holdsOS tells whether os is a whole older OS value.
func (r Record) holdsOS(os Credential) bool {
	for _, e := range r {
		if Equal(e.OS, os, AllFields) {
			return true
		}
	}
	return false
}

// holdsHash tells whether an older OS value had this hash.
func (r Record) holdsHash(hash string) bool {
	for _, e := range r {
		if e.OS.Hash == hash {
			return true
		}
	}
	return false
}

// holdsStore tells whether store is an older store value, as far as a store
// with these fields can tell.
func (r Record) holdsStore(store Credential, fields Fields) bool {
	for _, e := range r {
		if Equal(e.Store, store, fields) {
			return true
		}
	}
	return false
}
