package state

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func TestJournalKeepsTheAnnouncedChange(t *testing.T) {
	const pam, watch, tool = shadowsync.SeenByPAM, shadowsync.SeenByWatch, shadowsync.SeenByTool
	change := func(hash int, by shadowsync.SeenBy, state shadowsync.ChangeState) shadowsync.Change {
		c := sampleChange("admin", hash)
		c.Origin.SeenBy, c.State = by, state
		return c
	}
	const queued, pending = shadowsync.Queued, shadowsync.Pending
	for _, c := range []struct {
		name          string
		before, after shadowsync.Change
		origin        shadowsync.SeenBy
		hash          int
		state         shadowsync.ChangeState
	}{
		{"noticed after announced", change(1, pam, queued), change(1, watch, pending), pam, 1, queued},
		{"noticed after announced and pending", change(1, pam, pending), change(1, watch, queued), pam, 1, queued},
		{"announced after noticed", change(1, watch, queued), change(1, pam, queued), pam, 1, queued},
		{"announced twice", change(1, pam, queued), change(1, tool, pending), tool, 1, pending},
		{"another hash noticed", change(1, pam, queued), change(2, watch, queued), watch, 2, queued},
		{"noticed twice", change(1, watch, queued), change(1, watch, pending), watch, 1, pending},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			journal(t, db, c.before)
			journal(t, db, c.after)
			got := load(t, db, nil).Accounts["admin"].Open
			if got.Origin.SeenBy != c.origin || got.OS != sampleCredential(c.hash) || got.State != c.state {
				t.Errorf("on record: %+v", got)
			}
		})
	}
}

func TestJournalKeepsTheProof(t *testing.T) {
	db := openIn(t, t.TempDir())
	proven := sampleChange("admin", 1)
	proven.StoreHash = "$2b$"
	journal(t, db, proven, sampleChange("admin", 1))
	if got := load(t, db, nil).Accounts["admin"].Open.StoreHash; got != "$2b$" {
		t.Errorf("store hash %q", got)
	}
	journal(t, db, sampleChange("admin", 2))
	if got := load(t, db, nil).Accounts["admin"].Open.StoreHash; got != "" {
		t.Errorf("store hash %q belongs to another hash", got)
	}
}

func TestCommitMovesOnlyWhatTheTransitionNames(t *testing.T) {
	db := openIn(t, t.TempDir())
	first := sampleTransition("admin", 1)
	commit(t, db, first)
	open := sampleChange("admin", 2)
	commit(t, db, shadowsync.Transition{Account: "admin", Open: &open})
	m := load(t, db, nil).Accounts["admin"]
	if !reflect.DeepEqual(m.Baseline, first.Baseline) || !reflect.DeepEqual(m.LastChange, first.Origin) || m.Open == nil {
		t.Errorf("after an open change: %+v", m)
	}
	commit(t, db, shadowsync.Transition{Account: "admin", Seen: &open})
	if m := load(t, db, nil).Accounts["admin"]; m.Open != nil || m.Baseline == nil {
		t.Errorf("after it was settled: %+v", m)
	}
}

// TestALaterWordStaysOpen: a commit settles the change that it saw, and none that was recorded
// since, even one with the same value.
func TestALaterWordStaysOpen(t *testing.T) {
	first, later := sampleChange("admin", 1), sampleChange("admin", 2)
	later.OS = first.OS
	next := sampleChange("admin", 3)
	next.State = shadowsync.Pending
	for name, c := range map[string]struct {
		seen, open, want *shadowsync.Change
	}{
		"settles the older":    {&first, nil, &later},
		"settles none":         {nil, nil, &later},
		"replaces the older":   {&first, &next, &later},
		"opens where none was": {nil, &next, &later},
		"settles the later":    {&later, nil, nil},
		"replaces the later":   {&later, &next, &next},
	} {
		t.Run(name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			journal(t, db, first)
			journal(t, db, later)
			commit(t, db, shadowsync.Transition{Account: "admin", Seen: c.seen, Open: c.open})
			got := load(t, db, nil).Accounts["admin"].Open
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("on record %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestWriteBacksAreCounted(t *testing.T) {
	db := openIn(t, t.TempDir())
	first, second := samplePair(1), samplePair(2)
	for i, step := range []struct {
		baseline  *shadowsync.Baseline
		writeBack bool
		want      int
	}{
		{&first, false, 0},
		{&first, true, 1},
		{nil, true, 2},
		{&first, false, 2}, // not moved
		{nil, false, 2},
		{&second, false, 0},
		{&second, true, 1},
	} {
		commit(t, db, shadowsync.Transition{Account: "admin", Baseline: step.baseline, WriteBack: step.writeBack})
		if got := load(t, db, nil).Accounts["admin"].WriteBacks; got != step.want {
			t.Errorf("step %d: %d write-backs, want %d", i, got, step.want)
		}
	}
}

// TestWhatCameBackStaysOnRecord: a value that came back stays, however many others follow; the rest
// does not.
func TestWhatCameBackStaysOnRecord(t *testing.T) {
	db := openIn(t, t.TempDir())
	entry := func(n int) shadowsync.Entry {
		return shadowsync.Entry{Baseline: samplePair(n), Origin: sampleOrigin(n, shadowsync.SeenByTool), Replaced: time.Now().UTC()}
	}
	first := entry(1)
	commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{first}, Returned: &first})
	for n := 2; n < 12; n++ {
		commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{entry(n)}})
	}
	record := load(t, db, nil).Accounts["admin"].Record
	if n := len(record); n != shadowsync.RecordEntries+1 || record[n-1].OS != first.OS || record[n-1].Returns != 1 {
		t.Errorf("on record are %+v", record)
	}
}

// TestSeenInAWayOfBefore: a state may name a way of seeing changes that this version does not have.
func TestSeenInAWayOfBefore(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	entry := shadowsync.Entry{Baseline: samplePair(1), Origin: sampleOrigin(1, "former"), Replaced: time.Now().UTC()}
	open := sampleChange("admin", 1)
	open.Origin.SeenBy = "former"
	commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{entry}, Open: &open})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	m := load(t, openIn(t, dir), nil).Accounts["admin"]
	if len(m.Record) != 1 || m.Record[0].Origin.SeenBy != "former" || m.Open == nil || m.Open.Origin.SeenBy != "former" || m.Open.Origin.SeenBy.Announced() {
		t.Errorf("read as %+v", m)
	}
}

func TestReturnsAreCounted(t *testing.T) {
	db := openIn(t, t.TempDir())
	one := shadowsync.Entry{Baseline: samplePair(1), Origin: sampleOrigin(1, shadowsync.SeenByTool), Replaced: time.Now().UTC()}
	other := shadowsync.Entry{Baseline: samplePair(2), Origin: sampleOrigin(2, shadowsync.SeenByTool), Replaced: one.Replaced}
	commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{one, other}})
	for want := 1; want <= 3; want++ {
		for _, e := range load(t, db, nil).Accounts["admin"].Record {
			if e.OS == one.OS {
				commit(t, db, shadowsync.Transition{Account: "admin", Returned: &e})
			}
		}
		for _, e := range load(t, db, nil).Accounts["admin"].Record {
			if counted := e.OS == one.OS; counted && e.Returns != want || !counted && e.Returns != 0 {
				t.Errorf("%d returns, want %d: %v", e.Returns, want, counted)
			}
			if e.Origin.SeenBy != shadowsync.SeenByTool {
				t.Errorf("the origin is %+v", e.Origin)
			}
		}
	}
}

func TestRecordIsTrimmed(t *testing.T) {
	db := openIn(t, t.TempDir())
	entry := func(i int, age time.Duration) shadowsync.Entry {
		return shadowsync.Entry{Baseline: samplePair(i), Origin: sampleOrigin(i, shadowsync.SeenByTool), Replaced: time.Now().UTC().Add(-age)}
	}
	commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{entry(0, shadowsync.RecordAge+time.Hour), entry(1, time.Hour)}})
	if r := load(t, db, nil).Accounts["admin"].Record; len(r) != 1 || r[0].OS != sampleCredential(1) {
		t.Errorf("by age: %+v", r)
	}
	for i := 2; i < 9; i += 2 {
		commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{entry(i, 0), entry(i+1, 0)}})
	}
	var held int // in the table: a reading trims too
	if err := db.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM entry").Scan(&held); err != nil || held != shadowsync.RecordEntries {
		t.Errorf("%d entries in the table, %v", held, err)
	}
	r := load(t, db, []string{"admin"}).Accounts["admin"].Record
	if len(r) != shadowsync.RecordEntries {
		t.Fatalf("%d entries", len(r))
	}
	for i, e := range r {
		if e.OS != sampleCredential(9-i) {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
}

// TestRecordKeepsPasswords: entries that password.history needs stay beyond the record's depth and
// age; lock marks and losers do not count.
func TestRecordKeepsPasswords(t *testing.T) {
	db := openIn(t, t.TempDir())
	db.KeepPasswords(6)
	entry := func(password int, age time.Duration, change func(*shadowsync.Entry)) shadowsync.Entry {
		e := shadowsync.Entry{Baseline: samplePair(password), Origin: sampleOrigin(password, shadowsync.SeenByTool), Replaced: time.Now().UTC().Add(-age)}
		e.OS.Locked = false
		change(&e)
		return e
	}
	asItIs, locked, lost := func(*shadowsync.Entry) {}, func(e *shadowsync.Entry) { e.OS.Locked = true }, func(e *shadowsync.Entry) { e.Lost = true }
	displaced := []shadowsync.Entry{entry(99, 2*shadowsync.RecordAge, lost)}
	for i := range 8 {
		age := shadowsync.RecordAge + time.Duration(10-i)*time.Hour
		displaced = append(displaced, entry(i, age, asItIs), entry(i, age, locked), entry(20+i, age, lost))
	}
	for _, e := range displaced {
		commit(t, db, shadowsync.Transition{Account: "admin", Displaced: []shadowsync.Entry{e}})
	}
	r := load(t, db, []string{"admin"}).Accounts["admin"].Record
	if got := r.Passwords(6); len(got) != 6 || got[0] != sampleCredential(7).Hash || got[5] != sampleCredential(2).Hash {
		t.Errorf("kept: %q", got)
	}
	if len(r) != 6 {
		t.Errorf("%d entries", len(r))
	}
	db.KeepPasswords(0)
	commit(t, db, shadowsync.Transition{Account: "admin"})
	db.KeepPasswords(6)
	if r := load(t, db, []string{"admin"}).Accounts["admin"].Record; len(r) != 0 {
		t.Errorf("without the rule %d entries stay", len(r))
	}
}

func TestEveryChangeTakesBackTheMark(t *testing.T) {
	db := openIn(t, t.TempDir())
	at := shadowsync.Revisions{OS: "1", Store: "2", Config: "3"}
	for name, change := range map[string]func(){
		"journal": func() { journal(t, db, sampleChange("admin", 1)) },
		"commit":  func() { commit(t, db, sampleTransition("admin", 1)) },
		"mark":    func() { _ = db.Mark(context.Background(), application, shadowsync.Revisions{}) },
	} {
		if err := db.Mark(context.Background(), application, at); err != nil {
			t.Fatal(err)
		}
		if got := load(t, db, []string{}).Synced; got != at {
			t.Fatalf("marked %+v", got)
		}
		change()
		if got := load(t, db, []string{}).Synced; got != (shadowsync.Revisions{}) {
			t.Errorf("after %s still %+v", name, got)
		}
	}
}

func TestCommitIsAllOrNothing(t *testing.T) {
	db := openIn(t, t.TempDir())
	run(t, db, "CREATE TRIGGER fail BEFORE INSERT ON logout BEGIN SELECT raise(ABORT, 'no'); END")
	err := db.Commit(context.Background(), application, []shadowsync.Transition{sampleTransition("a", 1), sampleTransition("b", 1)})
	if err == nil {
		t.Fatal("committed")
	}
	if m := load(t, db, nil); len(m.Accounts) != 0 {
		t.Errorf("left behind: %+v", m)
	}
	if n, err := db.Verify(context.Background()); n != 0 || err != nil {
		t.Errorf("audit: %d, %v", n, err)
	}
}

func TestOldHashesDoNotRestInTheFile(t *testing.T) {
	dir := t.TempDir()
	db := openIn(t, dir)
	secret := sampleHash("canary")
	c := sampleChange("admin", 1)
	c.OS.Hash, c.StoreHash = secret, secret
	journal(t, db, c)
	if n := occurrences(t, dir, secret); n == 0 {
		t.Fatal("the canary is not found while it is on record: this test proves nothing")
	}
	settled := sampleTransition("admin", 2)
	settled.Seen = &c
	commit(t, db, settled)
	if n := occurrences(t, dir, secret); n != 0 {
		t.Errorf("%d left", n)
	}
}

func occurrences(t *testing.T, dir, text string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f) // only after the last write: closing drops SQLite's locks
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(content, []byte(text))
	}
	return n
}

func TestBusy(t *testing.T) {
	dir := t.TempDir()
	db, other := openIn(t, dir), openIn(t, dir)
	run(t, other, "BEGIN EXCLUSIVE")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		limit time.Duration
	}{
		"until the context ends":   {ctx, 500 * time.Millisecond},
		"until patience is at end": {context.Background(), patience + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			err := db.Journal(c.ctx, application, []shadowsync.Change{sampleChange("admin", 1)})
			if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), db.path) {
				t.Errorf("got %v", err)
			}
			if waited := time.Since(start); waited > c.limit {
				t.Errorf("waited %v", waited)
			}
			if _, err := db.Load(c.ctx, application, nil); c.ctx.Err() != nil && !errors.Is(err, shadowsync.ErrUnavailable) {
				t.Errorf("Load: %v", err)
			}
		})
	}
	run(t, other, "COMMIT")
	journal(t, db, sampleChange("admin", 1))
}

func TestBusyWithReaders(t *testing.T) {
	dir := t.TempDir()
	db, reader := openIn(t, dir), openIn(t, dir)
	run(t, reader, "BEGIN; SELECT * FROM account")
	done := make(chan error)
	go func() {
		done <- db.Commit(context.Background(), application, []shadowsync.Transition{sampleTransition("a", 1)})
	}()
	time.Sleep(50 * time.Millisecond) // long enough for the commit to meet the reader
	run(t, reader, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFullDisk(t *testing.T) {
	db := openIn(t, t.TempDir())
	commit(t, db, sampleTransition("admin", 1))
	run(t, db, "PRAGMA max_page_count = 20")
	err := db.Commit(context.Background(), application, func() (all []shadowsync.Transition) {
		for i := range 100 {
			all = append(all, sampleTransition(accountName(i), i))
		}
		return all
	}())
	if !errors.Is(err, shadowsync.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v", err)
	}
	if m := load(t, db, nil); len(m.Accounts) != 1 {
		t.Errorf("%d accounts", len(m.Accounts))
	}
	commit(t, db, sampleTransition("admin", 2))
}

func TestCancelled(t *testing.T) {
	db := openIn(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := db.Commit(ctx, application, []shadowsync.Transition{sampleTransition("admin", 1)})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, shadowsync.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}
