// Package since parses times in the past as people write them, in the machine's own time zone and
// calendar.
package since

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxDigits bounds the digits of a number in a time span.
const maxDigits = 6

// Parse reads a point in time:
//
//   - RFC 3339, also without seconds or without a zone: 2026-11-21T10:00:00Z, 2026-11-21T10:00
//   - a date, or a date and a time: 2026-11-21, "2026-11-21 10:00"
//   - a time of today, "today" or "yesterday" (when that day begins), or one of them with a time:
//     10:00, yesterday, "yesterday 10:00:30", now
//   - how long before now: 45m, 1d, 2w, 1mo, 1y, "2 hours ago", also combined: 1d12h. Months and
//     years are those of the calendar.
//
// Without a zone a time is in the zone of now.
func Parse(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, errors.New("the time is empty")
	}
	if t, ok := absolute(text, now.Location()); ok {
		return t, nil
	}
	if t, ok := ofDay(text, now); ok {
		return t, nil
	}
	if t, ok := ago(text, now); ok {
		return t, nil
	}
	return now, fmt.Errorf(`%q is not a time: write 2026-11-21, "2026-11-21 10:00", yesterday, 10:00, 45m or "2 hours ago"`, text)
}

// absolute reads a date, with or without a time.
func absolute(text string, zone *time.Location) (time.Time, bool) {
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly, "2006-01-02 15:04", time.DateTime,
	} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// ofDay reads a day that is named from now on, a time of it, or both.
func ofDay(text string, now time.Time) (time.Time, bool) {
	if text == "now" {
		return now, true
	}
	days, clock := 0, text
	for name, back := range map[string]int{"today": 0, "yesterday": -1} {
		if rest, ok := strings.CutPrefix(text, name); ok && (rest == "" || rest[0] == ' ') {
			days, clock = back, strings.TrimPrefix(rest, " ")
			if rest == "" {
				clock = "00:00"
			}
		}
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, clock); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day()+days, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// ago goes back from now by one span after another.
func ago(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSuffix(text, " ago")
	t := now
	for rest := text; rest != ""; {
		n, unit, tail, ok := span(rest)
		if !ok {
			return t, false
		}
		t, rest = back(t, n, unit), strings.TrimPrefix(tail, " ")
	}
	return t, text != ""
}

// units are the names of the units of time.
var units = map[string]string{
	"s": "s", "sec": "s", "second": "s", "seconds": "s",
	"m": "m", "min": "m", "minute": "m", "minutes": "m",
	"h": "h", "hour": "h", "hours": "h",
	"d": "d", "day": "d", "days": "d",
	"w": "w", "week": "w", "weeks": "w",
	"mo": "mo", "month": "mo", "months": "mo",
	"y": "y", "year": "y", "years": "y",
}

// span cuts off a number and its unit, with or without a blank between them.
func span(text string) (n int, unit, rest string, ok bool) {
	i := 0
	for i < len(text) && i < maxDigits && text[i] >= '0' && text[i] <= '9' {
		n = 10*n + int(text[i]-'0')
		i++
	}
	if i == 0 {
		return 0, "", "", false
	}
	text = strings.TrimPrefix(text[i:], " ")
	rest = strings.TrimLeft(text, "abcdefghijklmnopqrstuvwxyz")
	unit, ok = units[text[:len(text)-len(rest)]]
	return n, unit, rest, ok && rest != " "
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
