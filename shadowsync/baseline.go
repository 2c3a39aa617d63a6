package shadowsync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

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

// Trim drops what is beyond the record's depth at the time now, but for what Passwords needs.
func (r Record) Trim(now time.Time, passwords int) Record {
	kept := make(Record, 0, RecordEntries)
	needed := r.Newest(passwords)
	for i, e := range r {
		if i < RecordEntries && now.Sub(e.Replaced) <= RecordAge || slices.Contains(needed, i) {
			kept = append(kept, e)
		}
	}
	return kept
}

// Passwords are the hashes of the latest n passwords that the account had, newest first.
// A lock mark makes no other password of one, and what lost a conflict never was the account's.
func (r Record) Passwords(n int) []string {
	hashes := make([]string, 0, n)
	for _, i := range r.Newest(n) {
		hashes = append(hashes, r[i].OS.Hash)
	}
	return hashes
}

// Newest are the entries, by their place in the record, that Passwords takes the hashes from.
func (r Record) Newest(n int) []int {
	var found []int
	for i, e := range r {
		known := func(j int) bool { return r[j].OS.Hash == e.OS.Hash }
		if len(found) < n && !e.Lost && e.OS.opens() && !slices.ContainsFunc(found, known) {
			found = append(found, i)
		}
	}
	return found
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

// holdsPassword tells whether either side of an older pair had this hash and lock mark.
func (r Record) holdsPassword(c Credential) bool {
	for _, e := range r {
		if e.OS.Password() == c.Password() || e.Store.Password() == c.Password() {
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

// PastEntries bounds how much of an account's past is remembered: two entries a change,
// which is a change an hour for three months without a start of the application.
const PastEntries = 4096

// Past tells what an application may still remember of an account: digests of the
// password fields and store records that it had, newest first. It is longer than
// the record and has no age, because an application keeps its memory for as long
// as it runs; and it cannot be turned back into a hash.
type Past []string

// remembers lists the digests by which a pair is known later.
func remembers(b Baseline, fields Fields) Past {
	return Past{digest("password", b.OS.Password()), digest("password", b.Store.Password()), storeDigest(b.Store, fields)}
}

func storeDigest(c Credential, fields Fields) string {
	return digest("store", fmt.Sprintf("%+v", Credential{}.With(c, fields)))
}

func digest(kind, text string) string {
	sum := sha256.Sum256([]byte(kind + ":" + text))
	return hex.EncodeToString(sum[:8]) // of thousands, not of all there are
}

func (p Past) holdsPassword(c Credential) bool {
	return len(p) > 0 && slices.Contains(p, digest("password", c.Password()))
}

func (p Past) holdsStore(c Credential, fields Fields) bool {
	return len(p) > 0 && slices.Contains(p, storeDigest(c, fields))
}

// Add returns the past with more digests at its front, each once, within its bound.
func (p Past) Add(more Past) Past {
	kept := make(Past, 0, len(p)+len(more))
	for _, d := range more {
		if !slices.Contains(kept, d) {
			kept = append(kept, d)
		}
	}
	for _, d := range p {
		if !slices.Contains(more, d) {
			kept = append(kept, d)
		}
	}
	return kept[:min(len(kept), PastEntries)]
}
