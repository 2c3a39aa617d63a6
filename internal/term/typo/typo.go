// Package typo measures how far a typed word is from a known one, so that a program can ask "did you
// mean". It only measures; nothing is done on a guess.
//
//	typo.go  Distance and Similar
package typo

// Distance is how many letters must be added, removed, replaced or swapped with the next one to
// turn one word into the other.
func Distance(a, b string) int {
	before, last := []int{}, make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			other := 1
			if a[i] == b[j] {
				other = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+other)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Similar is the greatest distance at which a word still looks like a mistyped form of another.
func Similar(word string) int { return 1 + len(word)/4 }
