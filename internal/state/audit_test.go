package state

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

func record(t testing.TB, db *DB, events ...shadowsync.Event) {
	t.Helper()
	for _, e := range events {
		if err := db.Audit(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func query(t testing.TB, db *DB, q Query) (seqs []int64, events []shadowsync.Event) {
	t.Helper()
	for r, err := range db.Trail(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		seqs, events = append(seqs, r.Seq), append(events, r.Event)
	}
	return seqs, events
}

func TestAuditSelects(t *testing.T) {
	db := openIn(t, t.TempDir())
	start := time.Date(2026, 11, 21, 10, 0, 0, 999_999_999, time.FixedZone("", 3600))
	for i := range 6 {
		record(t, db, shadowsync.Event{At: start.Add(time.Duration(i) * time.Minute), Account: []string{"admin", "bad\xff\n"}[i%2], Application: []string{"conductor", "router", ""}[i%3]})
	}
	for _, c := range []struct {
		name string
		q    Query
		want []int64
	}{
		{"all", Query{}, []int64{1, 2, 3, 4, 5, 6}},
		{"an account", Query{Account: "admin"}, []int64{1, 3, 5}},
		{"a foreign name", Query{Account: "bad\xff\n"}, []int64{2, 4, 6}},
		{"an application", Query{Application: "router"}, []int64{2, 5}},
		{"an account of an application", Query{Application: "router", Account: "admin"}, []int64{5}},
		{"the newest of an application", Query{Application: "conductor", Limit: 1}, []int64{4}},
		{"no such application", Query{Application: "Router"}, nil},
		{"since", Query{Since: start.Add(4 * time.Minute)}, []int64{5, 6}},
		{"the newest", Query{Limit: 2}, []int64{5, 6}},
		{"the newest of an account", Query{Account: "admin", Limit: 2}, []int64{3, 5}},
		{"more than there are", Query{Limit: 99, Since: start.Add(time.Minute)}, []int64{2, 3, 4, 5, 6}},
		{"nobody's", Query{Account: "nobody", Limit: 2}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := query(t, db, c.q); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAuditSelectsActionsAndPeople(t *testing.T) {
	db := openIn(t, t.TempDir())
	start := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	for i, e := range []shadowsync.Event{
		{Action: "adopted", Origin: shadowsync.Origin{By: "root", Login: "alice"}},
		{Action: "adopted", Origin: shadowsync.Origin{By: "alice"}},
		{Action: "alarm"},
		{Action: "locked\xff", Origin: shadowsync.Origin{By: "root", Sudo: "bob"}},
	} {
		e.At = start.Add(time.Duration(i) * time.Minute)
		record(t, db, e)
	}
	for _, c := range []struct {
		name string
		q    Query
		want []int64
	}{
		{"an action", Query{Action: "adopted"}, []int64{1, 2}},
		{"a foreign action", Query{Action: "locked\xff"}, []int64{4}},
		{"a user", Query{By: "root"}, []int64{1, 4}},
		{"a user or their login", Query{By: "alice"}, []int64{1, 2}},
		{"who started sudo", Query{By: "bob"}, []int64{4}},
		{"nobody's", Query{By: "carol"}, nil},
		{"until, inclusive", Query{Until: start.Add(time.Minute)}, []int64{1, 2}},
		{"between", Query{Since: start.Add(time.Minute), Until: start.Add(2 * time.Minute)}, []int64{2, 3}},
		{"the newest until", Query{Until: start.Add(2 * time.Minute), Limit: 1}, []int64{3}},
		{"all of it", Query{Action: "adopted", By: "alice", Until: start, Limit: 5}, []int64{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := query(t, db, c.q); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	actions, people, err := db.Recent(t.Context())
	if want := []string{"adopted", "alarm", "locked\ufffd"}; err != nil || !reflect.DeepEqual(actions, want) {
		t.Errorf("actions %q, %v, want %q", actions, err, want)
	}
	if want := []string{"alice", "root"}; !reflect.DeepEqual(people, want) {
		t.Errorf("people %q, want %q", people, want)
	}
}

func TestAuditReturnsWhatWasRecorded(t *testing.T) {
	db := openIn(t, t.TempDir())
	want := sampleEvents("ädmin \x1b[2J \u202e 🔑 <&>", 1)[0]
	record(t, db, want)
	if _, got := query(t, db, Query{}); !reflect.DeepEqual(got, []shadowsync.Event{want}) {
		t.Errorf("got %+v", got)
	}
	var text string
	if err := db.conn.QueryRowContext(t.Context(), "SELECT event FROM audit").Scan(&text); err != nil {
		t.Fatal(err)
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			t.Errorf("%q rests raw in the file", r)
		}
	}
}

func TestAuditPages(t *testing.T) {
	db := openIn(t, t.TempDir())
	const n = 2*page + 3
	fill(t, db, n, func(t *shadowsync.Transition) { t.Events = sampleEvents(t.Account, 1) })
	if seqs, _ := query(t, db, Query{}); len(seqs) != n || seqs[n-1] != n {
		t.Errorf("%d records", len(seqs))
	}
	if got, err := db.Verify(context.Background()); got != n || err != nil {
		t.Errorf("verified %d: %v", got, err)
	}
	for range db.Trail(context.Background(), Query{}) { // a reader that stops early blocks no writer
		record(t, db, sampleEvents("admin", 1)[0])
		break
	}
}

func TestAuditIsAppendOnly(t *testing.T) {
	db := openIn(t, t.TempDir())
	record(t, db, sampleEvents("admin", 1)[0])
	for _, q := range []string{"DELETE FROM audit", "UPDATE audit SET event = '{}'"} {
		if _, err := db.conn.ExecContext(t.Context(), q); err == nil {
			t.Errorf("%s went through", q)
		}
	}
}

func TestVerifyFindsTampering(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		seq       int64 // the first bad record
	}{
		{"an event altered", `UPDATE audit SET event = replace(event, 'admin', 'nadim') WHERE seq = 3`, 3},
		{"a hash altered", `UPDATE audit SET hash = zeroblob(32) WHERE seq = 3`, 3},
		{"a record removed", `DELETE FROM audit WHERE seq = 3`, 3},
		{"the first removed", `DELETE FROM audit WHERE seq = 1`, 1},
		{"a record removed and the rest moved up", `DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3`, 3},
		{"two exchanged", `UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 99`, 2},
		{"the end cut off", `DELETE FROM audit WHERE seq > 4`, 5},
		{"all removed", `DELETE FROM audit`, 1},
		{"the head removed", `DELETE FROM audit_head`, 6},
		{"the head moved back", `UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)`, 6},
		{"a record put in", `INSERT INTO audit (seq, event, hash) VALUES (7, '{}', zeroblob(32))`, 7},
		{"an event that is no object", `UPDATE audit SET event = '[]' WHERE seq = 2`, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			for i := range 6 {
				record(t, db, sampleEvents("admin", i)[0])
			}
			run(t, db, "DROP TRIGGER audit_keep; DROP TRIGGER audit_fix")
			run(t, db, c.sql)
			checkBroken(t, db, c.seq)
			// Tampering does not stop a password change, and a password change does not hide it.
			commit(t, db, sampleTransition("admin", 1))
			if _, err := db.Verify(context.Background()); err == nil {
				t.Error("one more record healed the chain")
			}
		})
	}
}

func checkBroken(t *testing.T, db *DB, seq int64) {
	t.Helper()
	n, err := db.Verify(context.Background())
	var broken *ChainError
	if !errors.As(err, &broken) {
		t.Fatalf("verified %d: %v", n, err)
	}
	if broken.Seq != seq {
		t.Errorf("found %q at %d, want %d", broken.Reason, broken.Seq, seq)
	}
}

func TestLogoutsAreSettledOnce(t *testing.T) {
	db := openIn(t, t.TempDir())
	commit(t, db, sampleTransition("a", 1), sampleTransition("b", 2))
	due, err := db.Logouts(context.Background(), application)
	if err != nil || len(due) != 2 || due[0].Account != "a" || due[1].Keep != "4" || due[1].Origin.PID != 4713 {
		t.Fatalf("%+v, %v", due, err)
	}
	for range 2 {
		if err := db.LogoutsDone(context.Background(), shadowsync.LoggedOut{ID: due[1].ID, Event: sampleEvents("b", 3)[0]}); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, db, sampleTransition("c", 3))
	left, _ := db.Logouts(context.Background(), application)
	if fmt.Sprint(left[0].Account, left[1].Account) != "ac" || left[1].ID == due[1].ID {
		t.Errorf("left: %+v", left)
	}
	if n, err := db.Verify(context.Background()); n != 4 || err != nil {
		t.Errorf("%d audit records, %v; want 4", n, err)
	}
	if other, err := db.Logouts(context.Background(), "other"); len(other) != 0 || err != nil {
		t.Errorf("another application's: %v, %v", other, err)
	}
}

// Alarms are the alarms of the last day, the latest of each account and kind.
func TestAlarms(t *testing.T) {
	db := openIn(t, t.TempDir())
	now := time.Now()
	for _, e := range []shadowsync.Event{
		{At: now.Add(-25 * time.Hour), Application: "app", Account: "old", Action: shadowsync.ActionAlarm, Reason: "over"},
		{At: now.Add(-time.Hour), Application: "app", Account: "admin", Action: shadowsync.ActionAlarm, Reason: "first"},
		{At: now, Application: "app", Account: "admin", Action: shadowsync.ActionAlarm, Reason: "second"},
		{At: now, Application: "app", Account: "admin", Action: shadowsync.ActionAlarm, Reason: "wrong store: x"},
		{At: now, Application: "app", Account: "admin", Action: "adopted", Reason: "alarm"},
		{At: now, Application: "other", Account: "admin", Action: shadowsync.ActionAlarm, Reason: "of another"},
	} {
		if err := db.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	alarms, err := db.Alarms(t.Context(), "app", now)
	if err != nil || len(alarms) != 2 || alarms[0].Reason != "second" || alarms[1].Reason != "wrong store: x" {
		t.Errorf("alarms %+v, %v", alarms, err)
	}
}
