package shadowsync

import "testing"

func TestEnding(t *testing.T) {
	all := []SeenBy{SeenByPAM, SeenByTool, SeenByPcli, SeenByWatch, SeenByStart, SeenByStore}
	for _, tt := range []struct {
		name   string
		ending Ending
		ends   map[SeenBy]bool
	}{
		{"the default", Ending{}, map[SeenBy]bool{SeenByPAM: true, SeenByTool: true, SeenByPcli: true}},
		{"nothing", Ending{On: []SeenBy{}}, nil},
		{"hash-only ones too", Ending{On: []SeenBy{SeenByPAM, SeenByWatch}}, map[SeenBy]bool{SeenByPAM: true, SeenByWatch: true, SeenByStart: true}},
		{"the operators' alone", Ending{On: []SeenBy{SeenByPcli}}, map[SeenBy]bool{SeenByPcli: true}},
		{"the store's", Ending{On: []SeenBy{SeenByStore}}, map[SeenBy]bool{SeenByStore: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, seen := range all {
				if got := tt.ending.Ends(seen); got != tt.ends[seen] {
					t.Errorf("%s ends sessions: %v", seen, got)
				}
			}
		})
	}
	for _, tt := range []struct {
		ending Ending
		origin Origin
		keeps  string
	}{
		{Ending{}, Origin{SeenBy: SeenByPAM, PID: 9, Session: "7"}, "7"},
		{Ending{}, Origin{SeenBy: SeenByPAM, PID: 9}, "p9"}, // login(1), before it opens a session
		{Ending{}, Origin{SeenBy: SeenByWatch}, ""},
		{Ending{Own: true}, Origin{SeenBy: SeenByPAM, PID: 9, Session: "7"}, ""},
		{Ending{Own: true}, Origin{SeenBy: SeenByPAM, PID: 9}, ""},
		{Ending{}, Origin{SeenBy: SeenByPcli, PID: 9, Session: "7"}, ""},
	} {
		if got := tt.ending.Keeps(tt.origin); got != tt.keeps {
			t.Errorf("%+v keeps %q of a change by %+v, want %q", tt.ending, got, tt.origin, tt.keeps)
		}
	}
}

// TestEndsOnce: a change ends sessions when it is first dealt with; an operator's change, when the
// store has it.
func TestEndsOnce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		seen    SeenBy
		open    *Change
		verdict Verdict
		ends    bool
	}{
		{"PAM's, taken", SeenByPAM, nil, VerdictAdopt, true},
		{"PAM's, pending", SeenByPAM, nil, VerdictPending, true},
		{"PAM's, taken at last", SeenByPAM, &Change{State: Pending}, VerdictAdopt, false},
		{"an operator's, taken", SeenByPcli, &Change{State: Queued}, VerdictAdopt, true},
		{"an operator's, pending", SeenByPcli, &Change{State: Queued}, VerdictPending, false},
		{"an operator's, taken at last", SeenByPcli, &Change{State: Pending}, VerdictAdopt, true},
		{"noticed", SeenByWatch, nil, VerdictAdopt, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			it := item{
				in:       Input{Baseline: &Baseline{OS: Credential{Hash: "old"}}, Open: tt.open},
				decision: Decision{Verdict: tt.verdict, OS: &Credential{Hash: "new"}}, origin: Origin{SeenBy: tt.seen},
			}
			if got := it.endsSessions(Ending{}); got != tt.ends {
				t.Errorf("ends sessions: %v", got)
			}
		})
	}
}
