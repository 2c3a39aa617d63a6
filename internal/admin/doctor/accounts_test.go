package doctor

import (
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestAssessBaseline(t *testing.T) {
	t.Parallel()
	byPasswd := shadowsync.Origin{SeenBy: shadowsync.SeenByPAM}
	for name, tc := range map[string]struct {
		memory  shadowsync.AccountMemory
		state   State
		lacking int
	}{
		"none":         {shadowsync.AccountMemory{}, Fail, 1},
		"there":        {shadowsync.AccountMemory{Baseline: &shadowsync.Baseline{}}, OK, 0},
		"needs login":  {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.NeedsLogin}}, OK, 0},
		"undecided":    {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Conflict, Verdict: shadowsync.VerdictConflict}}, Warn, 0},
		"set, pending": {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Pending, Origin: byPasswd}}, OK, 0},
		"set, refused": {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Conflict, Verdict: shadowsync.VerdictRefused, Origin: byPasswd}}, Warn, 0},
		"old, refused": {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Conflict, Verdict: shadowsync.VerdictRefused}}, Fail, 1},
		"only locked":  {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Pending, Origin: byPasswd, Fields: shadowsync.FieldLocked}}, Fail, 1},
		"store away":   {shadowsync.AccountMemory{Open: &shadowsync.Change{State: shadowsync.Pending, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByWatch}}}, Fail, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := config.Application{Name: "app", Accounts: []string{"a"}}
			lacking, v := assessBaseline(a, shadowsync.Memory{Accounts: map[string]shadowsync.AccountMemory{"a": tc.memory}})
			if v.state != tc.state || len(lacking) != tc.lacking {
				t.Errorf("got %s %q, lacking %q", v.state, v.detail, lacking)
			}
		})
	}
}
