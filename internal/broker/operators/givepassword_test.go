package operators

import (
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/engine/enginetest"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestKeepMarks: after an administrator has given a password, the account must still set one of its
// own if it had to before, and the notes say that and what they should know about a lock.
func TestKeepMarks(t *testing.T) {
	for name, test := range map[string]struct {
		former    func(*shadowsync.Account)
		shadow    string // after the new password
		mustStays bool
		notes     []string
	}{
		"nothing set":    {func(*shadowsync.Account) {}, "user:" + enginetest.OtherHash + ":20000::::::\n", false, nil},
		"must change":    {func(a *shadowsync.Account) { a.MustChange = true }, "user:" + enginetest.OtherHash + ":20000::::::\n", true, []string{"user must still set a new one at the next login, as before"}},
		"still expired":  {func(a *shadowsync.Account) { a.Locked, a.Expire = true, shut }, "user:" + enginetest.OtherHash + ":20000:::::1:\n", false, []string{"user is still locked: unlock user user"}},
		"it was a lock":  {func(a *shadowsync.Account) { a.Locked = true }, "user:" + enginetest.OtherHash + ":20000::::::\n", false, []string{"user was locked; the new password has unlocked it"}},
		"both of them":   {func(a *shadowsync.Account) { a.MustChange, a.Locked = true, true }, "user:" + enginetest.OtherHash + ":20000::::::\n", true, []string{"user must still", "user was locked"}},
		"nothing to say": {func(*shadowsync.Account) {}, "user:" + enginetest.RootsHash + ":20000::::::\n", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := openOffice(t, "")
			former := f.Present()
			test.former(&former)
			f.Write("shadow", test.shadow)
			f.Settle()
			notes := f.operators.keepMarks(t.Context(), f.call, f.Config.Applications[0], former)
			if f.Present().MustChange != test.mustStays {
				t.Errorf("must-change is %v afterwards", f.Present().MustChange)
			}
			if len(notes) != len(test.notes) {
				t.Fatalf("the operator is told %q", notes)
			}
			for i, want := range test.notes {
				if !strings.HasPrefix(notes[i], want) {
					t.Errorf("told %q, want %q", notes[i], want)
				}
			}
		})
	}
}
