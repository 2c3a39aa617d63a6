package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ago is a time span as people write it: 45m, 1d, 2w, 1mo, 1y, also joined: 1d12h.
var ago = regexp.MustCompile(`^(\d{1,6})(mo|[smhdwy])`)

// parseSince reads a point in the past: RFC 3339, a date or a date with a time in
// the machine's own zone, or how long ago. Months and years are the calendar's.
func parseSince(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	rest, t := text, now
	for rest != "" {
		m := ago.FindStringSubmatch(rest)
		if m == nil {
			return t, fmt.Errorf("%q is no time: write 2026-11-21, 2026-11-21T10:00:00Z or how long ago: 45m, 1d, 1mo", text)
		}
		rest = rest[len(m[0]):]
		n, _ := strconv.Atoi(m[1]) // up to six digits
		t = back(t, n, m[2])
	}
	if text == "" {
		return t, fmt.Errorf("an empty text is no time")
	}
	return t, nil
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
