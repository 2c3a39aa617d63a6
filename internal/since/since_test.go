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
		{"yesterday", time.Time{}},
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
