package state

import (
	"context"
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

// carriedChanges are the writes that keep the last reading, each with an account's name or without.
var carriedChanges = map[string]func(t *testing.T, db *DB, i int){
	"journal": func(t *testing.T, db *DB, i int) { journal(t, db, sampleChange("admin", i), sampleChange("guest", i)) },
	"journal of an account that is not asked for": func(t *testing.T, db *DB, i int) { journal(t, db, sampleChange("other", i)) },
	"journal of an announced change that is noticed": func(t *testing.T, db *DB, i int) {
		c := sampleChange("admin", i)
		c.Origin.SeenBy, c.StoreHash, c.Reason = shadowsync.SeenByPAM, "$2b$", "no\xffUTF-8"
		c.Since, c.Origin.At = time.Now(), time.Now() // with a monotonic clock, in this zone
		journal(t, db, c)
		c.Origin.SeenBy, c.StoreHash = shadowsync.SeenByWatch, ""
		journal(t, db, c)
	},
	"mark": func(t *testing.T, db *DB, i int) {
		if err := db.Mark(t.Context(), application, shadowsync.Revisions{OS: string(rune('a' + i)), Store: "2"}); err != nil {
			t.Fatal(err)
		}
	},
}

// TestRecollectionIsCarried: our own journal and mark cost no second reading, which would return the
// same.
func TestRecollectionIsCarried(t *testing.T) {
	for name, write := range carriedChanges {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db, another := openIn(t, dir), openIn(t, dir)
			commit(t, db, sampleTransition("admin", 1))
			survey(t, db)
			for i := range 3 {
				before := survey(t, db)
				sentinel(db)
				write(t, db, i)
				got := survey(t, db)
				if got.Settle.Unix() != 1 {
					t.Fatal("it was read again")
				}
				got.Settle = time.Time{}
				if want := fresh(t, another); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
				if before.Synced == got.Synced && reflect.DeepEqual(before.Accounts, got.Accounts) && name != "journal of an account that is not asked for" {
					t.Error("nothing changed, or what was handed out before did too")
				}
			}
		})
	}
}

// TestRecollectionIsNotCarried over what another process wrote in between, over another write of
// ours, or from a transaction that failed.
func TestRecollectionIsNotCarried(t *testing.T) {
	for name, between := range map[string]func(t *testing.T, db, another *DB){
		"another process journals": func(t *testing.T, _, another *DB) { journal(t, another, sampleChange("guest", 7)) },
		"another process marks": func(t *testing.T, _, another *DB) {
			if err := another.Mark(t.Context(), application, shadowsync.Revisions{OS: "another's"}); err != nil {
				t.Fatal(err)
			}
		},
		"another process commits": func(t *testing.T, _, another *DB) { commit(t, another, sampleTransition("admin", 7)) },
		"we commit":               func(t *testing.T, db, _ *DB) { commit(t, db, sampleTransition("admin", 7)) },
		"a transaction of ours fails": func(t *testing.T, db, _ *DB) {
			ctx, cancel := context.WithCancel(t.Context())
			err := db.write(ctx, "test", func(tx *tx) error {
				cancel()
				return tx.carry(application, func(r *recollection) error { r.memory.Settle = time.Unix(2, 0); return nil })
			})
			if err == nil {
				t.Fatal("it did not fail")
			}
		},
	} {
		for what, write := range carriedChanges {
			t.Run(name+", "+what, func(t *testing.T) {
				dir := t.TempDir()
				db, another := openIn(t, dir), openIn(t, dir)
				commit(t, db, sampleTransition("admin", 1))
				survey(t, db)
				sentinel(db)
				between(t, db, another)
				write(t, db, 1)
				if got, want := survey(t, db), fresh(t, another); !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

// TestLoadRecalls: a few accounts come out of a valid reading, and are what a reading returns.
func TestLoadRecalls(t *testing.T) {
	dir := t.TempDir()
	db, another := openIn(t, dir), openIn(t, dir)
	commit(t, db, sampleTransition("admin", 1))
	commit(t, db, sampleTransition("other", 1))
	for _, names := range [][]string{{}, {"admin"}, {"guest"}, {"admin", "guest"}, {"other"}, nil} {
		survey(t, db)
		got, want := load(t, db, names), load(t, another, names)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got  %+v\nwant %+v", names, got, want)
		}
		sentinel(db)
		recalled := load(t, db, names).Settle.Unix() == 1
		if want := names != nil && len(names) != 1 || len(names) == 1 && names[0] != "other"; recalled != want {
			t.Errorf("%q: recalled %v, want %v", names, recalled, want)
		}
		commit(t, another, sampleTransition("admin", 2+len(names)))
		if got, want := load(t, db, names), load(t, another, names); !reflect.DeepEqual(got, want) {
			t.Errorf("%q, after another's change: got  %+v\nwant %+v", names, got, want)
		}
	}
}

// survey reads two accounts.
func survey(t *testing.T, db *DB) shadowsync.Memory {
	t.Helper()
	m, err := db.Survey(t.Context(), application, []string{"admin", "guest"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fresh is what survey returns, from a connection that remembers nothing.
func fresh(t *testing.T, db *DB) shadowsync.Memory {
	t.Helper()
	clear(db.recollections)
	return survey(t, db)
}

// sentinel makes a remembered reading tell from the state.
func sentinel(db *DB) {
	r := db.recollections[application]
	r.memory.Settle = time.Unix(1, 0)
	db.recollections[application] = r
}
