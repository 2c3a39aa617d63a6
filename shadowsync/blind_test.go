package shadowsync

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// counted counts how often all accounts of a store are read.
type counted struct {
	storeSide
	whole *int
}

func (c counted) Read(ctx context.Context, names []string) (StoreSnapshot, error) {
	if len(names) > 1 {
		*c.whole++
	}
	return c.storeSide.Read(ctx, names)
}

// TestStoreWithoutARevision: whether it changed is found by one reading, which the rest of the reconcile
// uses.
func TestStoreWithoutARevision(t *testing.T) {
	w := newWorld().start(t)
	w.blind = true
	w.reconcile(t, Request{})
	reads := 0
	look := func(wantUnchanged bool) {
		t.Helper()
		r := w.reconciler()
		r.Store = counted{storeSide{w}, &reads}
		reads = 0
		report, err := r.Reconcile(t.Context(), Request{})
		if err != nil || report.Unchanged != wantUnchanged || reads != 1 {
			t.Errorf("unchanged %v after %d readings, %v", report.Unchanged, reads, err)
		}
	}
	look(true)
	for _, hash := range []string{hashNew, "$y$another"} {
		w.store["admin"] = held(cred(hash), w.fields)
		look(false)
		w.both(t, "admin", hash)
		w.reconcile(t, Request{})
		look(true)
	}
	w.malformed = map[string]string{"user222": "damaged"}
	look(false)
}

// slowLock is a lock for which another process reconciles first.
type slowLock struct{ first func() }

func (l slowLock) Acquire(context.Context) (Lease, error) {
	l.first()
	return lock{}, nil
}

// TestEarlyReadingIsStale: while the reconcile waits for the lock, another process gives both sides a new
// password. The value that was read before must not come back.
func TestEarlyReadingIsStale(t *testing.T) {
	w := newWorld().start(t)
	w.blind = true
	w.reconcile(t, Request{})
	w.store["admin"] = held(cred("$y$applications"), w.fields)
	r := w.reconciler()
	r.Lock = slowLock{func() {
		w.passwd(t, "admin", hashNew)
		w.reconcile(t, Request{})
		w.reconcile(t, Request{First: OSSide, Evidence: Evidence{Prefer: OSSide}})
		w.both(t, "admin", hashNew)
		w.events = nil
	}}
	if _, err := r.Reconcile(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	w.both(t, "admin", hashNew)
	if got := w.actions(); len(got) > 0 {
		t.Errorf("the audit says %q of a value that was gone", got)
	}
}

// TestSnapshotsApart: no two snapshots have the same revision, whatever their texts hold.
func TestSnapshotsApart(t *testing.T) {
	account := func(name, hash string) map[string]StoredAccount {
		return map[string]StoredAccount{name: {Credential: Credential{Hash: hash}}}
	}
	several := account("a", "x")
	several["b"] = StoredAccount{Credential: Credential{Hash: "y"}}
	snapshots := []StoreSnapshot{
		{},
		{Accounts: account("a", "")},
		{Accounts: account("", "a")},
		{Accounts: account("ab", "c")},
		{Accounts: account("a", "bc")},
		{Accounts: account("a", "x b y")},
		{Accounts: several},
		{Accounts: account("a", "x"), Malformed: map[string]string{"b": "y"}},
		{Malformed: map[string]string{"a": "x"}},
		{Malformed: map[string]string{"b": "y"}},
	}
	for i := range reflect.TypeFor[Credential]().NumField() {
		var c Credential
		switch field := reflect.ValueOf(&c).Elem().Field(i); field.Kind() {
		case reflect.String:
			field.SetString("z")
		case reflect.Bool:
			field.SetBool(true)
		default:
			field.SetInt(1)
		}
		snapshots = append(snapshots, StoreSnapshot{Accounts: map[string]StoredAccount{"a": {Credential: c}}})
	}
	for _, at := range []time.Time{epoch, epoch.Add(1)} {
		snapshots = append(snapshots, StoreSnapshot{Accounts: map[string]StoredAccount{"a": {ChangedAt: at}}})
	}
	var seen []string
	for i, s := range snapshots {
		revision := s.revision()
		if at := slices.Index(seen, revision); at >= 0 {
			t.Errorf("%+v and %+v have the same revision", snapshots[at], s)
		}
		seen = append(seen, revision)
		if again := snapshots[i].revision(); again != revision {
			t.Errorf("%+v: %s, then %s", s, revision, again)
		}
	}
	if own := (StoreSnapshot{Revision: "7", Accounts: several}).revision(); own != "7" {
		t.Errorf("the store's own revision counts, got %s", own)
	}
}

func BenchmarkRevisionOfASnapshot(b *testing.B) {
	s := StoreSnapshot{Accounts: map[string]StoredAccount{}}
	for i := range 10_000 {
		s.Accounts[fmt.Sprint("user", i)] = StoredAccount{Credential: Credential{Hash: fmt.Sprint("pbkdf2_sha256$870000$saltsaltsaltsaltsalt$ghghgghghghghghgghghghgghghghghghghgghghhghg", i)}}
	}
	for b.Loop() {
		s.revision()
	}
}
