package shadowsync

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Baseline is the pair of an OS value and a store value last known to belong together: the merge
// base. It is a pair because a store may hold another hash format of the same password. In Store,
// fields that the driver cannot hold are zero.
type Baseline struct {
	OS    Credential
	Store Credential
}

// Entry is a pair that an account once had, or that lost a decision.
type Entry struct {
	Baseline
	Origin   Origin    // of the change that replaced it; of one that lost undecided: its own
	Replaced time.Time // when it stopped being the value
	Next     string    // digest of the OS password that took its place; empty: not known
	Lost     bool      // it lost a conflict and was never the value of both sides
	Returns  int       // how often it came back, set by neither PAM nor our tools
}

// The size of an account's record.
const (
	RecordEntries = 5
	RecordAge     = 180 * 24 * time.Hour
)

// nextOf is the member Next of an entry that c replaced.
func nextOf(c Credential) string { return digest("password", c.Password()) }

// ReplacedBy reports whether c is the value that took the entry's place.
func (e Entry) ReplacedBy(c Credential) bool { return e.Next != "" && e.Next == nextOf(c) }

// Record is an account's history: the pairs it had before, newest first.
type Record []Entry

// Trim drops the entries beyond the record's size at the time now, except those that Passwords needs.
// Beyond the first five it also keeps values that came back before, up to RecordEntries in all: they
// may come back again, and that is counted.
func (r Record) Trim(now time.Time, passwords int) Record {
	kept := make(Record, 0, RecordEntries)
	for i, keep := range r.Kept(now, passwords) {
		if keep {
			kept = append(kept, r[i])
		}
	}
	return kept
}

// Kept says of each entry whether Trim keeps it.
func (r Record) Kept(now time.Time, passwords int) []bool {
	kept := make([]bool, len(r))
	needed, returned := r.Newest(passwords), 0
	for i, e := range r {
		deep := i >= RecordEntries
		if e.Returns > 0 {
			returned++
			deep = deep && returned > RecordEntries
		}
		kept[i] = !deep && now.Sub(e.Replaced) <= RecordAge || slices.Contains(needed, i)
	}
	return kept
}

// Passwords returns the hashes of the latest n passwords that the account had, newest first. The
// same hash with a lock mark is not another password. Values that lost a conflict do not count.
func (r Record) Passwords(n int) []string {
	hashes := make([]string, 0, n)
	for _, i := range r.Newest(n) {
		hashes = append(hashes, r[i].OS.Hash)
	}
	return hashes
}

// Newest returns the indexes of the entries from which Passwords takes the hashes.
func (r Record) Newest(n int) []int {
	var found []int
	for i, e := range r {
		known := func(j int) bool { return r[j].OS.Hash == e.OS.Hash }
		if len(found) < n && !e.Lost && e.OS.isPassword() && !slices.ContainsFunc(found, known) {
			found = append(found, i)
		}
	}
	return found
}

// holdsOS reports whether os is, as a whole, an older OS value.
func (r Record) holdsOS(os Credential) bool {
	for _, e := range r {
		if Equal(e.OS, os, AllFields) {
			return true
		}
	}
	return false
}

// holdsPassword reports whether either side of an older pair had this hash and lock mark.
func (r Record) holdsPassword(c Credential) bool {
	for _, e := range r {
		if e.OS.Password() == c.Password() || e.Store.Password() == c.Password() {
			return true
		}
	}
	return false
}

// holdsStore reports whether store is an older store value, compared in the fields that the store
// has.
func (r Record) holdsStore(store Credential, fields Fields) bool {
	for _, e := range r {
		if Equal(e.Store, store, fields) {
			return true
		}
	}
	return false
}

// PastEntries bounds an account's past: two entries per change, enough for one change an hour for
// three months without a start of the application.
const PastEntries = 4096

// Past is what an application may still remember of an account: digests of the password fields and
// store records that it had, newest first. It is longer than the record and has no age limit,
// because an application keeps its memory as long as it runs. A digest cannot be turned back into a
// hash.
type Past []string

// remembers returns the digests by which a pair is recognised later.
func remembers(b Baseline, fields Fields) Past {
	return append(PastOf(b), storeDigest(b.Store, fields))
}

// PastOf returns the digests of a pair that do not depend on the fields of the store.
func PastOf(b Baseline) Past {
	return Past{digest("password", b.OS.Password()), digest("password", b.Store.Password())}
}

func storeDigest(c Credential, fields Fields) string {
	return digest("store", encodeForDigest(Credential{}.With(c, fields)))
}

// encodeForDigest is the first version of the text from which a credential's digest is made. It
// must never change, because later versions must recognise the recorded digests. A new field in
// Credential needs a second version beside it, with another kind than "store"; spelled then lists
// both.
func encodeForDigest(c Credential) string {
	return fmt.Sprintf("{Hash:%s Locked:%t LastChange:%d MustChange:%t Min:%d Max:%d Warn:%d Inactive:%d Expire:%d}",
		c.Hash, c.Locked, c.LastChange, c.MustChange, c.Min, c.Max, c.Warn, c.Inactive, c.Expire)
}

// spelled returns the ways in which a password field may have been recorded: earlier versions
// recorded two lock marks as one mark and a hash that begins with "!".
func spelled(c Credential) []Credential {
	if !c.Locked {
		return []Credential{c}
	}
	twice := c
	twice.Hash = lockMark + c.Hash
	return []Credential{c, twice}
}

func digest(kind, text string) string {
	sum := sha256.Sum256([]byte(kind + ":" + text))
	return hex.EncodeToString(sum[:8]) // 64 bits tell thousands of values apart
}

func (p Past) holdsPassword(c Credential) bool {
	return len(p) > 0 && slices.ContainsFunc(spelled(c), func(c Credential) bool { return p.holds(digest("password", c.Password())) })
}

func (p Past) holdsStore(c Credential, fields Fields) bool {
	return len(p) > 0 && slices.ContainsFunc(spelled(c), func(c Credential) bool { return p.holds(storeDigest(c, fields)) })
}

// formerly is the prefix of digests that belong to the previous holder of the account's name.
const formerly = "f:"

func (p Past) holds(digest string) bool {
	return slices.Contains(p, digest) || slices.Contains(p, formerly+digest)
}

// former marks the past as that of the name's previous holder: the application may still write
// those values, and they must never be put back.
func (p Past) former() Past {
	marked := make(Past, len(p))
	for i, d := range p {
		marked[i] = formerly + strings.TrimPrefix(strings.TrimPrefix(d, formerly), doubted)
	}
	return marked
}

func (p Past) holdsFormer(c Credential) bool {
	return len(p) > 0 && slices.Contains(p, formerly+digest("password", c.Password()))
}

// doubted is the prefix of digests of opaque values that the store held while nothing showed to which
// password they belong. Once the OS has another password, they are old values.
const doubted = "u:"

// mostDoubted bounds them, newest first: an application may hash anew at each login.
const mostDoubted = 256

func (p Past) doubts(digest string) bool { return slices.Contains(p, doubted+digest) }

// outlived returns the digests of the doubted values as those of old ones.
func (p Past) outlived() (old Past) {
	for _, d := range p {
		if plain, is := strings.CutPrefix(d, doubted); is {
			old = append(old, plain)
		}
	}
	return old
}

// Add returns the past with more digests at its front, without duplicates, at most PastEntries
// long. A value that is old is no longer doubted.
func (p Past) Add(more Past) Past {
	kept, doubts := make(Past, 0, len(p)+len(more)), 0
	for _, d := range slices.Concat(more, p) {
		plain, is := strings.CutPrefix(d, doubted)
		if is {
			doubts++
		}
		if !slices.Contains(kept, d) && !(is && (doubts > mostDoubted || slices.Contains(more, plain))) {
			kept = append(kept, d)
		}
	}
	return kept[:min(len(kept), PastEntries)]
}
