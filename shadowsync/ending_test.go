package shadowsync

import "testing"

func TestEnding(t *testing.T) {
	all := []SeenBy{SeenByPAM, SeenByTool, SeenByPcli, SeenByWeb, SeenByWatch, SeenByStart, SeenByStore}
	for _, tt := range []struct {
		name   string
		ending Ending
		ends   map[SeenBy]bool
	}{
		{"the default", Ending{}, map[SeenBy]bool{SeenByPAM: true, SeenByTool: true, SeenByPcli: true, SeenByWeb: true}},
		{"nothing", Ending{On: []SeenBy{}}, nil},
		{"hash-only ones too", Ending{On: []SeenBy{SeenByPAM, SeenByWatch}}, map[SeenBy]bool{SeenByPAM: true, SeenByWatch: true, SeenByStart: true}},
		{"the operators' alone", Ending{On: []SeenBy{SeenByPcli}}, map[SeenBy]bool{SeenByPcli: true, SeenByWeb: true}},
		{"the store's", Ending{On: []SeenBy{SeenByStore}}, map[SeenBy]bool{SeenByStore: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, seen := range all {
				if got := tt.ending.on(seen); got != tt.ends[seen] {
					t.Errorf("%s ends sessions: %v", seen, got)
				}
			}
		})
	}
	for _, tt := range []struct {
		ending Ending
		seen   SeenBy
		keeps  string
	}{{Ending{}, SeenByPAM, "7"}, {Ending{Own: true}, SeenByPAM, ""}, {Ending{}, SeenByPcli, ""}} {
		if got := tt.ending.keeps(Origin{SeenBy: tt.seen, Session: "7"}); got != tt.keeps {
			t.Errorf("%+v keeps %q of a change by %s, want %q", tt.ending, got, tt.seen, tt.keeps)
		}
	}
}
