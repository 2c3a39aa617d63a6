package state

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/shadowsync"
)

func local(account string) factor.Subject {
	return factor.Subject{Realm: factor.Local, Account: account}
}

func sampleFactor(account string) factor.Record {
	return factor.Record{
		Subject: local(account), State: factor.Enrolled, Secret: []byte{1, 0, 2}, Generation: 3, Step: 60_000_000,
		Recovery: []factor.RecoveryCode{{Hash: []byte("one")}, {Hash: []byte("two"), Used: time.Unix(70, 5).UTC()}},
		Ticket:   &factor.Ticket{Hash: []byte("ticket"), Boot: "boot", Until: time.Hour},
		Mail:     account + "@example.net", EnrolledAt: time.Unix(50, 1).UTC(), UsedAt: time.Unix(60, 2).UTC(),
	}
}

func unlisted([]factor.Record, bool) error { return nil }

func putFactor(t *testing.T, db *DB, r factor.Record) {
	t.Helper()
	err := db.ChangeFactor(t.Context(), r.Subject, func(factor.Record) (factor.Change, error) { return factor.Change{Record: r}, nil }, unlisted)
	if err != nil {
		t.Fatal(err)
	}
}

func factorIn(t *testing.T, db *DB, s factor.Subject) factor.Record {
	t.Helper()
	r, err := db.Factor(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFactorsAreKept(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	want := []factor.Record{sampleFactor("admin"), {Subject: local("user222"), State: factor.None, Mail: "a@b.net"}}
	for _, r := range want {
		if got := factorIn(t, db, r.Subject); got.State != factor.None || got.Subject != r.Subject {
			t.Errorf("before: %+v", got)
		}
		putFactor(t, db, r)
	}
	all, err := openIn(t, dir).Factors(t.Context())
	if want[1].Secret = []byte{}; err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got  %+v\nwant %+v\n%v", all, want, err)
	}
}

// TestACompareAndSet: of many processes that change a factor at once, each sees what the one before it
// has done.
func TestACompareAndSet(t *testing.T) {
	dir := t.TempDir()
	putFactor(t, openIn(t, dir), factor.Record{Subject: local("admin"), State: factor.Enrolled})
	const many = 8
	var all sync.WaitGroup
	for range many {
		db := openIn(t, dir)
		all.Go(func() {
			for range 5 {
				err := db.ChangeFactor(context.Background(), local("admin"), func(r factor.Record) (factor.Change, error) {
					r.Step++
					return factor.Change{Record: r}, nil
				}, unlisted)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if r := factorIn(t, openIn(t, dir), local("admin")); r.Step != 5*many {
		t.Errorf("%d of %d changes are there", r.Step, 5*many)
	}
}

// TestAFactorChangesWithItsRecords: the change, its audit, the end of the sessions and the list are one.
func TestAFactorChangesWithItsRecords(t *testing.T) {
	db := openIn(t, t.TempDir())
	errList := errors.New("no room for the list")
	change := func(factor.Record) (factor.Change, error) {
		return factor.Change{
			Record: sampleFactor("admin"), Events: sampleEvents("admin", 1),
			Logout: &factor.Logout{Application: application, Logout: shadowsync.Logout{Account: "admin"}},
		}, nil
	}
	var listed []factor.Record
	for _, result := range []error{errList, nil} {
		err := db.ChangeFactor(t.Context(), local("admin"), change, func(all []factor.Record, _ bool) error {
			listed = all
			return result
		})
		if !errors.Is(err, result) || len(listed) != 1 || listed[0].State != factor.Enrolled {
			t.Fatalf("listed %+v, %v", listed, err)
		}
		n := 0
		if result == nil {
			n = 1
		}
		logouts, err := db.Logouts(t.Context(), application)
		audited, verified := db.Verify(t.Context())
		if kept := factorIn(t, db, local("admin")).Generation; kept != int64(3*n) || len(logouts) != n || audited != n || err != nil || verified != nil {
			t.Errorf("after %v: generation %d, %d logouts, %d records, %v, %v", result, kept, len(logouts), audited, err, verified)
		}
	}
	listed = nil
	err := db.ChangeFactor(t.Context(), local("admin"), func(r factor.Record) (factor.Change, error) {
		r.Step++
		return factor.Change{Record: r}, nil
	}, func(all []factor.Record, _ bool) error { listed = all; return nil })
	if err != nil || listed != nil {
		t.Errorf("a code that is taken changes no list: %+v, %v", listed, err)
	}
}

// TestASuccessorHasNoFactor: another person who has the account's name now, is not asked for the former
// one's codes; and no backup brings them back.
func TestASuccessorHasNoFactor(t *testing.T) {
	db := openIn(t, t.TempDir())
	putFactor(t, db, sampleFactor("admin"))
	tr := sampleTransition("admin", 1)
	tr.Successor = true
	commit(t, db, tr)
	r := factorIn(t, db, local("admin"))
	if r.State != factor.None || r.Asked() || len(r.Secret) > 0 || r.Recovery != nil || r.Mail != "" || r.Generation != 4 {
		t.Errorf("%+v", r)
	}
}

func TestMalformedFactorsAreRefused(t *testing.T) {
	for _, set := range []string{"state = 'off'", "recovery = '{'", "used = 'yesterday'", "realm = 'nis'"} {
		db := openIn(t, t.TempDir())
		putFactor(t, db, sampleFactor("admin"))
		if _, err := db.conn.ExecContext(t.Context(), "UPDATE factor SET "+set); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Factors(t.Context()); !errors.Is(err, shadowsync.ErrMalformed) {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// TestARestoreForgetsNoUsedCode: see factor.Merge.
func TestARestoreForgetsNoUsedCode(t *testing.T) {
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image.db")
	db := openIn(t, dir)
	for _, name := range []string{"used", "reset", "gone"} {
		putFactor(t, db, sampleFactor(name))
	}
	if err := db.Copy(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	used := sampleFactor("used")
	used.Step++
	used.Recovery[0].Used = time.Unix(99, 0).UTC()
	reset := factor.Record{Subject: local("reset"), State: factor.None, Secret: []byte{}, Generation: 4, Ticket: &factor.Ticket{Hash: []byte("new"), Boot: "boot"}}
	late := sampleFactor("late")
	for _, r := range []factor.Record{used, reset, late} {
		putFactor(t, db, r)
	}
	if _, err := db.conn.ExecContext(t.Context(), "DELETE FROM factor WHERE account = 'gone'"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	held, err := Hold(t.Context(), "/", dir, image)
	if err != nil {
		t.Fatal(err)
	}
	_, err = held.Replace(t.Context(), factor.Keys{}.Merge, func(string) shadowsync.Event { return shadowsync.Event{Action: "restored"} })
	if err == nil {
		err = held.Commit(t.Context())
	}
	if err := errors.Join(err, held.Close()); err != nil {
		t.Fatal(err)
	}
	all, err := openIn(t, dir).Factors(t.Context())
	want := []factor.Record{sampleFactor("gone"), late, reset, used}
	if err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got  %+v\nwant %+v\n%v", all, want, err)
	}
}

// TestFactorsAreSalvaged: a state that is begun anew after damage must not let anybody in without a code.
func TestFactorsAreSalvaged(t *testing.T) {
	aside := filepath.Join(t.TempDir(), "damaged.db")
	before := openIn(t, t.TempDir())
	for _, name := range []string{"admin", "user222"} {
		putFactor(t, before, sampleFactor(name))
	}
	if err := before.Copy(t.Context(), aside); err != nil {
		t.Fatal(err)
	}
	found := SalvageFactors(t.Context(), aside)
	db := openIn(t, t.TempDir())
	newer := sampleFactor("user222")
	newer.Generation++
	putFactor(t, db, newer)
	if err := db.TakeFactors(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	all, err := db.Factors(t.Context())
	if want := []factor.Record{sampleFactor("admin"), newer}; err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got  %+v\nwant %+v\n%v", all, want, err)
	}
	if found := SalvageFactors(t.Context(), filepath.Join(t.TempDir(), "nothing")); found != nil {
		t.Errorf("found %+v in nothing", found)
	}
}
