package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/state/notes"
)

// A password that was set while nothing could check it is recorded as unchecked, once. One that was
// checked is not, nor is any if there are no rules.
func TestNotedAndNotJudged(t *testing.T) {
	const fresh = "$6$fresh$hash"
	for _, tt := range []struct {
		name    string
		rules   bool
		vouched bool
		hash    string
		want    int
	}{{"not judged", true, false, fresh, 1}, {"judged", true, true, fresh, 0}, {"no rules", false, false, fresh, 0}, {"no password", true, false, "!", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			s := mount(t, 1)
			r := s.engine.Reconciler("app")
			r.Application.Judged, r.Vouched = tt.rules, func(string) bool { return tt.vouched }
			if err := notes.Prepare(s.root); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(fmt.Sprintf("1 %d ", time.Now().Unix()), filepath.Join(s.root, notes.Dir, "n.admin")); err != nil {
				t.Fatal(err)
			}
			s.usermod(t, oldHash, tt.hash)
			s.reconcile(t)
			s.reconcile(t)
			n := 0
			for record, err := range s.engine.State.Trail(t.Context(), state.Query{}) {
				if err != nil {
					t.Fatal(err)
				}
				if record.Event.Action == "judged" && record.Event.Reason == "not judged: it was set while shadowsync did not answer" {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("%d records, want %d", n, tt.want)
			}
		})
	}
}
