// Package since reads points in the past as people write them. It promises that what it
// understands, it understands in the machine's own zone and by its calendar.
package since

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxDigits bounds a number of time spans.
const maxDigits = 6

// Parse reads RFC 3339, a date or a date with a time in the zone of now, or how long before
// now: 45m, 1d, 2w, 1mo, 1y, also joined: 1d12h. Months and years are the calendar's.
func Parse(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, errors.New("an empty text is no time")
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t := now
	for rest := text; rest != ""; {
		n, unit, tail, ok := span(rest)
		if !ok {
			return t, fmt.Errorf("%q is no time: write 2026-11-21, 2026-11-21T10:00:00Z or how long ago: 45m, 1d, 1mo", text)
		}
		t, rest = back(t, n, unit), tail
	}
	return t, nil
}

// span cuts a number and its unit off.
func span(text string) (n int, unit, rest string, ok bool) {
	i := 0
	for i < len(text) && i < maxDigits && text[i] >= '0' && text[i] <= '9' {
		n = 10*n + int(text[i]-'0')
		i++
	}
	if i == 0 {
		return 0, "", "", false
	}
	for _, unit := range []string{"mo", "s", "m", "h", "d", "w", "y"} {
		if rest, ok := strings.CutPrefix(text[i:], unit); ok {
			return n, unit, rest, true
		}
	}
	return 0, "", "", false
}

func back(t time.Time, n int, unit string) time.Time {
	switch unit {
	case "s":
		return t.Add(-time.Duration(n) * time.Second)
	case "m":
		return t.Add(-time.Duration(n) * time.Minute)
	case "h":
		return t.Add(-time.Duration(n) * time.Hour)
	case "d":
		return t.AddDate(0, 0, -n)
	case "w":
		return t.AddDate(0, 0, -7*n)
	case "mo":
		return t.AddDate(0, -n, 0)
	}
	return t.AddDate(-n, 0, 0)
}
