package state

import (
	"reflect"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestRecollection: the memory always equals a fresh reading, whichever process wrote.
func TestRecollection(t *testing.T) {
	dir := t.TempDir()
	db, another := openIn(t, dir), openIn(t, dir)
	names := []string{"admin", "guest"}
	same := func(when string) shadowsync.Memory {
		t.Helper()
		got, err := db.Survey(t.Context(), application, names)
		want, wantErr := another.Load(t.Context(), application, names)
		want.Whole = true
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v, %v", when, got, err, want, wantErr)
		}
		return got
	}
	same("at first")
	commit(t, db, sampleTransition("admin", 1))
	same("after a change of ours")
	commit(t, another, sampleTransition("admin", 2))
	same("after another's")
	journal(t, another, sampleChange("guest", 1))
	got := same("after another account's")
	if got.Accounts["guest"].Open == nil || len(got.Accounts["admin"].Record) == 0 {
		t.Errorf("nothing was there to be kept: %+v", got)
	}
	delete(got.Accounts, "guest")
	same("after somebody took an account out of the map")
	if err := another.SetSettle(t.Context(), application, time.Unix(1_900_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	same("after the settle time moved")
	names = names[:1]
	same("of other accounts")
}

// TestRecollectionIsUsed: without a write nothing is read, until the memory is old.
func TestRecollectionIsUsed(t *testing.T) {
	db := openIn(t, t.TempDir())
	commit(t, db, sampleTransition("admin", 1))
	survey := func() shadowsync.Memory {
		t.Helper()
		m, err := db.Survey(t.Context(), application, []string{"admin"})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	survey()
	r := db.recollections[application]
	r.memory = shadowsync.Memory{Settle: time.Unix(1, 0)}
	db.recollections[application] = r
	if m := survey(); m.Settle.Unix() != 1 {
		t.Errorf("it was read again: %+v", m)
	}
	r.read = time.Now().Add(-rememberedFor)
	db.recollections[application] = r
	if m := survey(); m.Accounts["admin"].Baseline == nil {
		t.Errorf("it was not read again: %+v", m)
	}
}
