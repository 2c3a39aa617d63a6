package since

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	zone := time.FixedZone("test", 2*3600)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, zone)
	tests := []struct {
		text string
		want time.Time // zero: an error
	}{
		{"2026-11-20", time.Date(2026, 11, 20, 0, 0, 0, 0, zone)},
		{"2026-11-20 09:30", time.Date(2026, 11, 20, 9, 30, 0, 0, zone)},
		{"2026-11-20 09:30:15", time.Date(2026, 11, 20, 9, 30, 15, 0, zone)},
		{"2026-11-20T09:30:15Z", time.Date(2026, 11, 20, 9, 30, 15, 0, time.UTC)},
		{"30s", now.Add(-30 * time.Second)},
		{"45m", now.Add(-45 * time.Minute)},
		{"1d12h", now.AddDate(0, 0, -1).Add(-12 * time.Hour)},
		{"2w", now.AddDate(0, 0, -14)},
		{"1mo", time.Date(2026, 10, 21, 10, 0, 0, 0, zone)},
		{"1y", time.Date(2025, 11, 21, 10, 0, 0, 0, zone)},
		{"", time.Time{}},
		{"2026-11-20T09:30", time.Date(2026, 11, 20, 9, 30, 0, 0, zone)},
		{"2026-11-20T09:30:15", time.Date(2026, 11, 20, 9, 30, 15, 0, zone)},
		{"2026-11-20T09:30Z", time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)},
		{"2026-11-20T09:30+01:00", time.Date(2026, 11, 20, 8, 30, 0, 0, time.UTC)},
		{"now", now},
		{"today", time.Date(2026, 11, 21, 0, 0, 0, 0, zone)},
		{"yesterday", time.Date(2026, 11, 20, 0, 0, 0, 0, zone)},
		{"yesterday 14:05", time.Date(2026, 11, 20, 14, 5, 0, 0, zone)},
		{"today 9:30", time.Date(2026, 11, 21, 9, 30, 0, 0, zone)},
		{"09:30", time.Date(2026, 11, 21, 9, 30, 0, 0, zone)},
		{"09:30:15", time.Date(2026, 11, 21, 9, 30, 15, 0, zone)},
		{"2 hours ago", now.Add(-2 * time.Hour)},
		{"1 hour ago", now.Add(-time.Hour)},
		{"2h ago", now.Add(-2 * time.Hour)},
		{"90 minutes", now.Add(-90 * time.Minute)},
		{"1 month ago", time.Date(2026, 10, 21, 10, 0, 0, 0, zone)},
		{"1 day 12 hours ago", now.AddDate(0, 0, -1).Add(-12 * time.Hour)},
		{"1y2mo3d", time.Date(2025, 9, 18, 10, 0, 0, 0, zone)},
		{"yesterdayish", time.Time{}},
		{"yesterday ", time.Time{}},
		{"yesterday noon", time.Time{}},
		{"today yesterday", time.Time{}},
		{"24:00", time.Time{}},
		{"10:60", time.Time{}},
		{"10", time.Time{}},
		{"ago", time.Time{}},
		{" ago", time.Time{}},
		{"hours ago", time.Time{}},
		{"2 hours  ago", time.Time{}},
		{"2 fortnights ago", time.Time{}},
		{"2 monthly", time.Time{}},
		{"in 2 hours", time.Time{}},
		{"1", time.Time{}},
		{"-1d", time.Time{}},
		{"1234567d", time.Time{}},
		{"1d ", time.Time{}},
		{"9999999999999999999999s", time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := Parse(tt.text, now)
			if (err != nil) != tt.want.IsZero() {
				t.Fatalf("%v, %v", got, err)
			}
			if err == nil && !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestYesterdayAcrossAClockChange: the day before has its own offset from UTC.
func TestYesterdayAcrossAClockChange(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err) // a machine without time zones
	}
	now := time.Date(2026, 10, 25, 12, 0, 0, 0, zone) // summer time ended at 03:00
	want := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC)
	if got, err := Parse("today", now); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
