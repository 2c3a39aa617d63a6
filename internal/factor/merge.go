package factor

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// Merge returns which of two records of one subject holds after a restore: the live one, or a backup's.
// The higher generation holds, so that a backup brings no factor back that was reset, nor recovery codes
// that were replaced. Of equal generations nothing is forgotten that was used up on either side.
func Merge(live, backup Record) Record {
	switch {
	case live.Generation > backup.Generation:
		return live
	case live.Generation < backup.Generation:
		return backup
	}
	merged := live
	if live.State == Pending && backup.State == Enrolled { // confirmed after the live state was itself put back
		merged = backup
	}
	merged.Step = max(live.Step, backup.Step)
	if backup.UsedAt.After(merged.UsedAt) {
		merged.UsedAt = backup.UsedAt
	}
	merged.Recovery = append([]RecoveryCode{}, merged.Recovery...)
	for _, other := range [][]RecoveryCode{live.Recovery, backup.Recovery} {
		for _, used := range other {
			for i := range merged.Recovery {
				if c := &merged.Recovery[i]; c.Used.IsZero() && bytes.Equal(c.Hash, used.Hash) {
					c.Used = used.Used
				}
			}
		}
	}
	return merged
}

// Keys are the keys of the secrets in two sets of records that become one.
type Keys struct {
	Kept  []byte // the key from now on; nil: there is none
	Other []byte // another one that secrets may be sealed under; nil: there is none
}

// Source says where a merged record comes from.
type Source string

// The sources.
const (
	FromLive   Source = "live"
	FromBackup Source = "backup"
	FromBoth   Source = "both" // known to both, with the same generation
)

// Merged is a record after a restore.
type Merged struct {
	Record
	From   Source
	Opened bool // there is no secret, or the key that is kept opens it
}

// Merge merges the records of a system with those of a backup, one by one as the function Merge does,
// and seals again under the kept key what only the other one opens. Of equal generations, a secret that
// a key opens holds against one that none does. The result is sorted by realm and account.
func (k Keys) Merge(live, backup []Record) ([]Merged, error) {
	by := map[Subject]Merged{}
	for _, l := range live {
		by[l.Subject] = Merged{Record: l, From: FromLive}
	}
	for _, b := range backup {
		if l, both := by[b.Subject]; both {
			by[b.Subject] = k.merge(l.Record, b)
		} else {
			by[b.Subject] = Merged{Record: b, From: FromBackup}
		}
	}
	all := slices.Collect(maps.Values(by))
	for i := range all {
		if err := k.reseal(&all[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b Merged) int {
		return cmp.Or(cmp.Compare(a.Realm, b.Realm), cmp.Compare(a.Account, b.Account))
	})
	return all, nil
}

func (k Keys) merge(live, backup Record) Merged {
	switch {
	case live.Generation > backup.Generation:
		return Merged{Record: live, From: FromLive}
	case live.Generation < backup.Generation:
		return Merged{Record: backup, From: FromBackup}
	case k.open(live) == nil && k.open(backup) != nil:
		return Merged{Record: Merge(backup, live), From: FromBoth}
	}
	return Merged{Record: Merge(live, backup), From: FromBoth}
}

// open returns a key that opens the record's secret; nil: none does.
func (k Keys) open(r Record) []byte {
	for _, key := range [][]byte{k.Kept, k.Other} {
		secret, err := r.openWith(key)
		clear(secret)
		if err == nil {
			return key
		}
	}
	return nil
}

func (k Keys) reseal(m *Merged) error {
	if len(m.Secret) == 0 {
		m.Opened = true
		return nil
	}
	key := k.open(m.Record)
	if m.Opened = key != nil; !m.Opened || bytes.Equal(key, k.Kept) {
		return nil
	}
	secret, err := m.openWith(key)
	if err != nil {
		return err
	}
	defer clear(secret)
	m.Secret, err = m.sealWith(k.Kept, secret)
	return err
}
