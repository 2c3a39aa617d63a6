package shadowsync

import "testing"

// TestMergeOfLentValues goes over the whole product once more, for stores that have another one's values.
func TestMergeOfLentValues(t *testing.T) {
	for name, product := range map[string]func(check func(Input)){
		"crypt":  func(check func(Input)) { product(FieldHash, check) },
		"opaque": opaqueProduct,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn, lent := 0, 0
			product(func(in Input) {
				turn++
				if turn%(productStep*7) != 0 {
					return
				}
				values := []string{"lent"}
				if in.Store != nil {
					values = append(values, in.Store.Hash)
				}
				for _, in.Lent = range values {
					d := Merge(in)
					for _, broken := range []string{inventsNothing(in, d), leavesGoneAlone(in, d), keepsStoreOut(in, d), carriesNoDeletion(in, d), soundDays(d), takesWhatIsLent(in, d), convergesLent(in, d)} {
						if broken != "" {
							t.Fatalf("%s\nlent %q, input %s\ndecision %s", broken, in.Lent, show(in), showDecision(d))
						}
					}
					if d.Store != nil && d.Store.Hash == "lent" {
						lent++
					}
				}
			})
			if lent == 0 {
				t.Error("no decision takes what is lent: nothing was tested")
			}
		})
	}
}

// takesWhatIsLent: in sync with the password for which there is a lent value, the store has that.
func takesWhatIsLent(in Input, d Decision) string {
	if in.Lent == "" || in.Fault != nil || in.Store == nil || in.OS == nil || d.OS == nil || d.Verdict.State() != InSync || d.OS.Hash != in.OS.Hash || d.Awaits {
		return ""
	}
	if d.Store.Hash != in.Lent && d.Verdict != VerdictApply {
		return "in sync with " + d.Store.Hash
	}
	return ""
}

// convergesLent: what is lent is known for the OS's password; another one that the OS gets has its own,
// which the next look takes.
func convergesLent(in Input, d Decision) string {
	if in.OS == nil || d.OS == nil || d.OS.Hash != in.OS.Hash || d.Verdict == VerdictApply {
		return ""
	}
	return converges(in, d)
}
