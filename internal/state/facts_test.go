package state

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestFactsOfAnApplication(t *testing.T) {
	db := openIn(t, t.TempDir())
	ctx := t.Context()
	settles := func() (time.Time, error) {
		memory, err := db.Load(ctx, application, []string{})
		return memory.Settle, err
	}
	if boot, err := db.Boot(ctx, application); boot != "" || err != nil {
		t.Errorf("at first: boot %q, %v", boot, err)
	}
	if until, err := settles(); !until.IsZero() || err != nil {
		t.Errorf("at first: settle %v, %v", until, err)
	}
	until := sampleTime(1)
	if held, err := db.Held(ctx, application); held || err != nil {
		t.Errorf("at first: held %v, %v", held, err)
	}
	for _, err := range []error{
		db.SetHeld(ctx, application, true), db.SetHeld(ctx, "other", true), db.SetHeld(ctx, "other", false),
		db.SetBoot(ctx, application, "b1"), db.SetSettle(ctx, application, until),
		db.SetBoot(ctx, "other", "b2"), db.SetBoot(ctx, application, "b3"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if boot, err := db.Boot(ctx, application); boot != "b3" || err != nil {
		t.Errorf("boot %q, %v", boot, err)
	}
	if got, err := settles(); !got.Equal(until) || err != nil {
		t.Errorf("settle %v, %v; want %v", got, err, until)
	}
	if err := db.SetSettle(ctx, application, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got, err := settles(); !got.IsZero() || err != nil {
		t.Errorf("settle %v, %v", got, err)
	}
	for name, want := range map[string]bool{application: true, "other": false, "never seen": false} {
		if held, err := db.Held(ctx, name); held != want || err != nil {
			t.Errorf("%s: held %v, %v", name, held, err)
		}
	}
	if err := db.ReleaseHeld(ctx); err != nil {
		t.Fatal(err)
	}
	if held, err := db.Held(ctx, application); held || err != nil {
		t.Errorf("released: held %v, %v", held, err)
	}
}

func TestDigestsAreTheLastSeen(t *testing.T) {
	db := openIn(t, t.TempDir())
	at := sampleTime(0)
	note := func(value string, at time.Time) {
		t.Helper()
		if err := db.NoteDigest(t.Context(), application, value, at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		note(fmt.Sprint("d", i), at.Add(time.Duration(i)*time.Minute))
	}
	later := at.Add(time.Hour)
	note("d10", later)                           // came back: the last seen again
	note("d10", later.Add(time.Minute))          // within the hour: costs no write
	note("after 1970", time.Unix(1, 0).UTC())    // the clock does not decide what is new
	note("after 1970", time.Unix(9999, 0).UTC()) // more than an hour
	seen, err := db.SeenDigests(t.Context(), application)
	if err != nil || len(seen) != digestsKept {
		t.Fatalf("%d digests, %v", len(seen), err)
	}
	if want := (Digest{"after 1970", time.Unix(1, 0).UTC(), time.Unix(9999, 0).UTC()}); seen[0] != want {
		t.Errorf("first %+v, want %+v", seen[0], want)
	}
	if want := (Digest{"d10", at.Add(10 * time.Minute), later}); seen[1] != want {
		t.Errorf("second %+v, want %+v", seen[1], want)
	}
	if seen[2].Value != "d19" {
		t.Errorf("third %+v", seen[2])
	}
}

func TestManifest(t *testing.T) {
	db := openIn(t, t.TempDir())
	ctx := t.Context()
	want := []SetupFile{{"/etc/a", "aa", ""}, {"/etc/b", "bb", "cc"}}
	for _, list := range [][]SetupFile{{{"/etc/z", "zz", ""}}, want} {
		if err := db.SetManifest(ctx, list); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Manifest(ctx); !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
