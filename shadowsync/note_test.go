package shadowsync

import "testing"

// TestANoteAfterTheWatch: the broker dies after the watch has settled the change, and the note that
// the module leaves knows only the user. The session that the watch saw make the change stays open.
func TestANoteAfterTheWatch(t *testing.T) {
	user, other := 1000, 1001
	for name, c := range map[string]struct {
		note Origin
		keep string
	}{
		"the same user's": {Origin{UID: &user}, "7"},
		"another user's":  {Origin{UID: &other}, ""},
		"nobody's":        {Origin{}, ""},
		"of a session":    {Origin{UID: &user, Session: "8", PID: 4712}, "8"},
		"of a process":    {Origin{UID: &user, PID: 4712}, ProcessSession(4712)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			w.os["admin"] = cred(hashNew)
			w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch, At: epoch, UID: &user, Session: "7", PID: 4711}})
			c.note.At, c.note.SeenBy = epoch, SeenByPAM
			if _, err := w.reconciler().Announce(t.Context(), Change{Account: "admin", OS: w.os["admin"], Origin: c.note}); err != nil {
				t.Fatal(err)
			}
			if len(w.logouts) != 1 || w.logouts[0].Keep != c.keep {
				t.Errorf("due: %+v, want one that keeps %q", w.logouts, c.keep)
			}
		})
	}
}
