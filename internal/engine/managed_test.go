package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const twoApplications = `
[[application]]
unit = "a.service"
accounts = ["admin", "user222"]
[[application]]
unit = "b.service"
accounts = ["third"]
`

// The list tells the PAM module for which accounts it must connect to check a password or report a
// login.
func TestManagedList(t *testing.T) {
	for name, tc := range map[string]struct {
		rules    string
		awaiting []string
		want     string
	}{
		"plain":    {"", nil, "admin\ta.service\nuser222\ta.service\nthird\tb.service\n"},
		"judged":   {"[password]\nmin_length = 12\n", nil, "admin\ta.service\tjudge\nuser222\ta.service\tjudge\nthird\tb.service\tjudge\n"},
		"no rule":  {"[password]\nmax_days = 90\n", nil, "admin\ta.service\nuser222\ta.service\nthird\tb.service\n"},
		"awaiting": {"", []string{"user222"}, "admin\ta.service\nuser222\ta.service\tlogin\nthird\tb.service\n"},
		"both":     {"[password]\nhistory = 1\n", []string{"third", "gone"}, "admin\ta.service\tjudge\nuser222\ta.service\tjudge\nthird\tb.service\tjudge\tlogin\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Parse([]byte(tc.rules + twoApplications))
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			db, err := state.Open(t.Context(), filepath.Join(root, "state"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, account := range tc.awaiting {
				change := shadowsync.Change{Account: account, State: shadowsync.NeedsLogin, OS: shadowsync.Credential{Hash: "$y$x"}}
				if err := db.Journal(t.Context(), "b", []shadowsync.Change{change}); err != nil {
					t.Fatal(err)
				}
			}
			pending := shadowsync.Change{Account: "admin", State: shadowsync.Pending, OS: shadowsync.Credential{Hash: "$y$x"}}
			if err := db.Journal(t.Context(), "a", []shadowsync.Change{pending}); err != nil {
				t.Fatal(err)
			}
			if err := WriteManaged(t.Context(), root, c, db); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(root, RunDir, "managed")); err != nil || string(got) != tc.want {
				t.Errorf("%v, got %q, want %q", err, got, tc.want)
			}
		})
	}
}
