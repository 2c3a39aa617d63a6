package factor

import "bytes"

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
