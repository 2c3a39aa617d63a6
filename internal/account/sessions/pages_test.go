package sessions

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions/websession"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestEndSessionsOfPages: they are listed and end like the others, of this account and but the one that is kept.
func TestEndSessionsOfPages(t *testing.T) {
	const uid, other = 4_000_000_001, 4_000_000_002 // nobody's
	s := Sessions{Pages: websession.Store{Dir: filepath.Join(t.TempDir(), "web")}}
	begin := func(uid int) string {
		_, token, err := s.Pages.Begin(websession.Session{Account: "anna", UID: uid, Address: "192.0.2.7", Idle: time.Hour, Total: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		one, err := s.Pages.Find(token)
		if err != nil {
			t.Fatal(err)
		}
		return one.Name()
	}
	kept := begin(uid)
	begin(uid)
	begin(other)
	account := shadowsync.Account{Name: "anna", UID: uid}
	// Where the test runs, nobody may be able to tell about processes.
	ended, survivors, _ := s.EndBut(t.Context(), account, Keep{Session: kept})
	if len(ended) != 1 || ended[0].ID == kept || len(survivors) != 0 {
		t.Errorf("ended %v, survived %v", ended, survivors)
	}
	ended, survivors, _ = s.End(t.Context(), account, shadowsync.Logout{Account: "anna"})
	if len(ended) != 1 || ended[0].ID != kept || len(survivors) != 0 {
		t.Errorf("ended %v, survived %v", ended, survivors)
	}
	if all, err := s.Pages.All(); err != nil || len(all[uid]) != 0 || len(all[other]) != 1 {
		t.Errorf("open: %v, %v", all, err)
	}
}
