package engine_test

import (
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestRecall: a password that only a further store's state has on record counts as one that the account had,
// in the order of time.
func TestRecall(t *testing.T) {
	s := enginetest.OpenSeveral(t, "cache")
	now := time.Now()
	for holder, minutes := range map[string][]int{"app": {30, 10}, "app.cache": {40, 20}} {
		var entries []shadowsync.Entry
		for _, ago := range minutes {
			at := now.Add(-time.Duration(ago) * time.Minute)
			entries = append(entries, shadowsync.Entry{Replaced: at, Baseline: shadowsync.Baseline{OS: shadowsync.Credential{Hash: "$6$" + at.String()}}})
		}
		if err := s.State.Commit(t.Context(), holder, []shadowsync.Transition{{Account: "user", Displaced: entries}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Recall(t.Context(), "app", []string{"user"})
	if err != nil {
		t.Fatal(err)
	}
	record := all["user"].Record
	if len(record) != 4 {
		t.Fatalf("on record are %d values", len(record))
	}
	for i, e := range record {
		if ago := now.Sub(e.Replaced).Round(time.Minute); ago != time.Duration(10*(i+1))*time.Minute {
			t.Errorf("entry %d is of %s ago", i, ago)
		}
	}
}
