package shadowsync

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
)

// earlyRead is what the fast path read of a store without a revision, before the engine lock was taken.
type earlyRead struct {
	snapshot StoreSnapshot
	synced   Revisions // the state's mark at that time
}

// stands reports whether no reconcile has changed anything since the reading: each removes the mark
// before it changes a side.
func (e *earlyRead) stands(now Memory) bool { return e != nil && now.Synced == e.synced }

// unchanged is the fast path: with the same content on both sides and the same configuration, Merge
// gives the same result as before, which was "nothing to do". A store without a revision is read; if
// it was not the same, the reading is returned, so that the store is not read twice.
func (r *Reconciler) unchanged(ctx context.Context) (same bool, early *earlyRead) {
	os := func() (string, error) { return r.Accounts.Revision(ctx) }
	if last := r.synced.Load(); last != nil {
		now, err := os()
		if err != nil || last.OS != now {
			return false, nil // decided without reading the state: a changed OS side must not wait for that
		}
		os = func() (string, error) { return now, nil }
	}
	memory, err := r.State.Load(ctx, r.Application.Name, []string{})
	if err != nil || memory.Synced == (Revisions{}) || memory.Synced.Config != r.Application.Revision {
		return false, nil
	}
	lent, err := r.lendable(ctx, r.Application.Accounts)
	if err != nil {
		return false, nil
	}
	r.synced.Store(&memory.Synced)
	var read *StoreSnapshot
	store := startAsking(func() (revision string, err error) {
		revision, read, err = r.storeRevision(ctx)
		return revision, err
	})
	now, err := os()
	there, failed := store()
	if read != nil {
		early = &earlyRead{*read, memory.Synced}
	}
	same = err == nil && now == memory.Synced.OS && failed == nil && there != "" && there+lent.digest() == memory.Synced.Store
	return same, early
}

// storeRevision identifies what the store holds. A store that has no revision is read for it.
func (r *Reconciler) storeRevision(ctx context.Context) (string, *StoreSnapshot, error) {
	revision, err := r.Store.Revision(ctx)
	if !errors.Is(err, ErrNoRevision) {
		return revision, nil, err
	}
	snapshot, err := r.Store.Read(ctx, r.Application.Accounts)
	if err != nil {
		return "", nil, err
	}
	return snapshot.revision(), &snapshot, nil
}

// revision is the store's own, or else a digest of all that was read. No two snapshots give the same
// text: each part says how long it is.
func (s StoreSnapshot) revision() string {
	if s.Revision != "" {
		return s.Revision
	}
	all, part := sha256.New(), make([]byte, 0, 512)
	for _, name := range slices.Sorted(maps.Keys(s.Accounts)) {
		part = s.Accounts[name].appendTo(appendText(part[:0], name))
		_, _ = all.Write(part) // a hash takes everything
	}
	for _, name := range slices.Sorted(maps.Keys(s.Malformed)) {
		part = appendText(appendText(append(part[:0], malformedPart), name), s.Malformed[name])
		_, _ = all.Write(part)
	}
	return "read:" + hex.EncodeToString(all.Sum(nil))
}

// malformedPart begins what is said about a malformed account. No length of a name begins so.
const malformedPart = 0xff

// appendTo appends every field, in a form of which each part says how long it is.
func (a StoredAccount) appendTo(b []byte) []byte {
	b = appendText(b, a.Hash)
	b = strconv.AppendBool(strconv.AppendBool(b, a.Locked), a.MustChange)
	for _, day := range []Day{a.LastChange, a.Min, a.Max, a.Warn, a.Inactive, a.Expire} {
		b = binary.AppendVarint(b, int64(day))
	}
	return binary.AppendVarint(binary.AppendVarint(b, a.ChangedAt.Unix()), int64(a.ChangedAt.Nanosecond()))
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}
