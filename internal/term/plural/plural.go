// Package plural counts things in messages: "1 session", "2 sessions".
//
//	plural.go  Count and Form
package plural

import "strconv"

// Count is a number with what it counts, in the singular: Count(2, "session") is "2 sessions".
func Count(n int, one string) string { return strconv.Itoa(n) + " " + Form(n, one, one+"s") }

// Form is the word for this number of things.
func Form(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
