package shadowsync

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// flooded is a world whose store changes by itself, with its own clock.
type flooded struct {
	*world
	r   *Reconciler
	now time.Time
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{world: newWorld().start(t), now: epoch}
	f.r = f.reconciler()
	f.r.Pace, f.r.Now = &Pace{}, func() time.Time { return f.now }
	f.events = nil
	return f
}

func (f *flooded) look(t *testing.T) Report {
	t.Helper()
	report, err := f.r.Reconcile(t.Context(), Request{Origin: Origin{SeenBy: SeenByStore}, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// records counts an account's audit records.
func (f *flooded) records(account string) (n int) {
	for _, e := range f.events {
		if e.Account == account && e.Action != ActionAlarm {
			n++
		}
	}
	return n
}

// settle looks again when the report says so, until nothing is due.
func (f *flooded) settle(t *testing.T) {
	t.Helper()
	for report := f.look(t); report.Due > 0; report = f.look(t) {
		if report.Due > slowest {
			t.Fatalf("put off for %v", report.Due)
		}
		f.now = f.now.Add(report.Due)
	}
}

// TestFloodOfStoreChanges: with hundreds of new passwords a minute for an hour, the trail stays
// short, the last password is applied, and changes by root or of another account do not wait.
func TestFloodOfStoreChanges(t *testing.T) {
	f := newFlooded(t)
	const moves = 18_000
	for i := range moves {
		f.now = f.now.Add(time.Hour / moves)
		f.store["admin"] = held(cred(fmt.Sprint("$y$flood", i)), f.fields)
		report := f.look(t)
		if o, _ := report.For("admin"); i < atOnce && o.State != InSync {
			t.Fatalf("change %d of the store: %+v", i, o)
		} else if f.os["admin"].Hash != f.store["admin"].Hash && (o.State != Queued || report.Due <= 0) {
			t.Fatalf("what is put off is said to be %+v, due in %v", o, report.Due)
		}
		if i == moves/2 {
			f.passwd(t, "admin", "$y$root")
			f.store["user222"] = held(cred("$y$another"), f.fields)
			f.look(t)
			f.both(t, "admin", "$y$root")
			f.both(t, "user222", "$y$another")
		}
	}
	f.settle(t)
	f.both(t, "admin", fmt.Sprint("$y$flood", moves-1))
	if n := f.records("admin"); n < 60 || n > int(time.Hour/slowest)+2*atOnce {
		t.Errorf("%d records of %d changes of a store", n, moves)
	}
	stood := 0
	for _, e := range f.events {
		var n int
		var since string
		if _, err := fmt.Sscanf(e.Reason, "stands for %d changes of the store since %s", &n, &since); err == nil {
			stood += n
			if at, err := time.Parse(time.RFC3339, since); err != nil || at.After(e.At) || e.At.Sub(at) > 2*slowest {
				t.Errorf("at %v: %s", e.At, e.Reason)
			}
		}
	}
	if stood < moves-100 {
		t.Errorf("the records stand for %d of %d changes", stood, moves)
	}
}

// TestFloodOfWriteBacks: old memory is repaired within seconds, however often it comes.
func TestFloodOfWriteBacks(t *testing.T) {
	f := newFlooded(t)
	f.passwd(t, "admin", "$y$root")
	f.look(t)
	f.events = nil
	for range 3600 * 4 {
		f.now = f.now.Add(time.Second / 4)
		f.store["admin"] = held(cred(hashBase), f.fields)
		f.look(t)
		if f.os["admin"].Hash != "$y$root" {
			t.Fatal("the old value reached the OS")
		}
	}
	if n := f.records("admin"); n > int(time.Hour/slowestBack)+2*atOnce {
		t.Errorf("%d records in an hour", n)
	}
	before := f.now
	f.settle(t)
	f.both(t, "admin", "$y$root")
	if took := f.now.Sub(before); took > slowestBack {
		t.Errorf("the store held the old password for %v", took)
	}
}

// TestFloodOfJunk: values that cannot be applied are recorded just as rarely: refused and
// withdrawn, missing and present, and one reason after another while a change waits.
func TestFloodOfJunk(t *testing.T) {
	junk := map[string]func(f *flooded, i int){
		"refused": func(f *flooded, i int) {
			f.store["admin"] = held(cred([]string{"", hashBase}[i%2]), f.fields)
		},
		"malformed": func(f *flooded, i int) {
			f.malformed = map[string]string{"admin": fmt.Sprint("line ", i)}
			if i%3 == 0 {
				f.malformed = nil
			}
		},
		"missing": func(f *flooded, i int) {
			if f.store["admin"] = held(cred(hashBase), f.fields); i%2 == 0 {
				delete(f.store, "admin")
			}
		},
		"while a conflict is open": func(f *flooded, i int) {
			f.os["admin"] = cred("$y$usermod")
			f.malformed = map[string]string{"admin": fmt.Sprint("line ", i)}
		},
	}
	for name, move := range junk {
		t.Run(name, func(t *testing.T) {
			f := newFlooded(t)
			const moves = 3600
			for i := range moves {
				f.now = f.now.Add(time.Second)
				move(f, i)
				f.look(t)
			}
			if n := f.records("admin"); n == 0 || n > int(time.Hour/slowest)+2*atOnce {
				t.Errorf("%d records of %d moves", n, moves)
			}
			f.malformed = nil
			f.settle(t)
			if name != "missing" && name != "while a conflict is open" {
				f.store["admin"] = held(cred("$y$good"), f.fields)
				f.settle(t)
				f.both(t, "admin", "$y$good")
			}
		})
	}
}

// TestPaceForgives: after a quiet time a store's changes have no delay again; a clock that is set
// back delays nothing.
func TestPaceForgives(t *testing.T) {
	p, now := &Pace{}, epoch
	wait := func(i int) time.Duration {
		d := p.wait("admin", storeValue{why: fmt.Sprint(i)}, slowest, now)
		if d == 0 {
			p.dealt("admin", true, now)
		}
		return d
	}
	for i := range 1000 {
		wait(i)
		now = now.Add(time.Second)
	}
	if d := wait(1000); d <= 0 || d > slowest {
		t.Errorf("in a flood: %v", d)
	}
	now = now.Add(-24 * 365 * time.Hour)
	if d := wait(1001); d > slowest {
		t.Errorf("with the clock set back: %v", d)
	}
	now = now.Add(fullLevel * forgiven)
	for i := range atOnce {
		if d := wait(2000 + i); d != 0 {
			t.Errorf("after a rest, change %d: %v", i, d)
		}
	}
	if len(p.accounts) != 1 {
		t.Errorf("it remembers %d accounts", len(p.accounts))
	}
}

// TestPreferenceIsNotPutOff: an administrator's decision is carried out at once.
func TestPreferenceIsNotPutOff(t *testing.T) {
	f := newFlooded(t)
	for i := range 500 {
		f.now = f.now.Add(time.Second / 10)
		f.store["admin"] = held(cred(fmt.Sprint("$y$flood", i)), f.fields)
		f.look(t)
	}
	if f.os["admin"].Hash == f.store["admin"].Hash {
		t.Fatal("nothing was put off")
	}
	report, err := f.r.Reconcile(t.Context(), Request{Evidence: Evidence{Prefer: StoreSide}})
	if err != nil {
		t.Fatal(err)
	}
	f.both(t, "admin", "$y$flood499")
	if o, _ := report.For("admin"); o.State != InSync || !strings.Contains(fmt.Sprint(f.events[len(f.events)-1]), "applied") {
		t.Errorf("%+v", o)
	}
}
