package shadowsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"
)

// world is an OS, a store and a state in memory; they survive the process that a test kills.
type world struct {
	os         map[string]Credential
	store      map[string]Credential
	uids       map[string]int // default: 1000
	fields     Fields
	formats    Formats
	memory     map[string]AccountMemory
	synced     Revisions
	settle     time.Time
	events     []Event
	logouts    []Logout
	ended      []string
	guarded    []string
	anew       []string // those of guarded with a new change
	storeErr   error    // returned by every access
	writeErr   error    // returned by writes
	refuse     string
	malformed  map[string]string
	forgets    bool    // the store claims to have written, and did not
	lateWord   *Change // journalled just before the next commit: the lease was lost
	beforeSave func()  // runs just before the store compares and swaps
	die        Step
	commits    int

	pastUnknown bool
	blind       bool // the store has no revision
	scheme      string
}

var errWorthless = errors.New("worthless")

// killed is the value with which a probe panics: the process is gone.
type killed struct{ at Step }

func newWorld() *world {
	const fields = FieldHash | FieldLocked
	return &world{
		os:     map[string]Credential{"admin": cred(hashBase), "user222": cred("$y$user")},
		store:  map[string]Credential{"admin": held(cred(hashBase), fields), "user222": held(cred("$y$user"), fields)},
		fields: fields,
		memory: map[string]AccountMemory{},
	}
}

func (w *world) reconciler() *Reconciler {
	return &Reconciler{
		Application: Application{Name: "conductor", Unit: "128T.service", Accounts: []string{"admin", "user222"}, Revision: "1"},
		Accounts:    osSide{w}, Store: storeSide{w}, State: stateSide{w}, Lock: lock{}, Guard: guardSide{w}, Sessions: sessionSide{w},
		CheckHash: func(hash string) error {
			if hash == "" {
				return errors.New("empty")
			}
			return nil
		},
		Now: func() time.Time { return epoch },
		Probe: func(s Step) {
			if s == w.die {
				w.die = ""
				panic(killed{s})
			}
		},
	}
}

// reconcile runs once and reports whether the process was killed.
func (w *world) reconcile(t *testing.T, req Request) (report Report, dead bool) {
	t.Helper()
	defer func() {
		if k, ok := recover().(killed); ok {
			t.Logf("killed at %s", k.at)
			dead = true
		}
	}()
	r := w.reconciler()
	report, err := r.Reconcile(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return report, false
}

func (w *world) start(t *testing.T) *world {
	t.Helper()
	w.reconcile(t, Request{})
	w.events = nil
	return w
}

func (w *world) passwd(t *testing.T, name, hash string) {
	t.Helper()
	w.os[name] = w.os[name].With(cred(hash), FieldsPassword)
	change := Change{Account: name, OS: w.os[name], Origin: Origin{At: epoch, SeenBy: SeenByPAM, By: "root", UID: new(int), Program: "passwd"}}
	if _, err := w.reconciler().Announce(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func (w *world) both(t *testing.T, name, hash string) {
	t.Helper()
	if os, store := w.os[name].Hash, w.store[name].Hash; os != hash || store != hash {
		t.Errorf("%s: OS holds %q and the store %q, want %q", name, os, store, hash)
	}
}

func (w *world) actions() (out []string) {
	for _, e := range w.events {
		out = append(out, e.Action)
	}
	return out
}

// TestCrashAtEveryStep kills the process after each step of a plan. Another run must give the same
// result as without the crash, with sessions ended and everything audited.
func TestCrashAtEveryStep(t *testing.T) {
	scenes := map[string]struct {
		prepare func(*testing.T, *world)
		want    string
	}{
		"adopt a proven change": {func(t *testing.T, w *world) { w.passwd(t, "admin", hashNew) }, hashNew},
		"adopt a noticed one":   {func(_ *testing.T, w *world) { w.os["admin"] = cred(hashNew) }, hashNew},
		"apply":                 {func(_ *testing.T, w *world) { w.store["admin"] = held(cred(hashApp), w.fields) }, hashApp},
		"adopt again": {func(t *testing.T, w *world) {
			w.passwd(t, "admin", hashNew)
			w.reconcile(t, Request{})
			w.store["admin"] = held(cred(hashBase), w.fields)
		}, hashNew},
		"drain a pending change": {func(t *testing.T, w *world) {
			w.passwd(t, "admin", hashNew)
			w.storeErr = fmt.Errorf("%w: %w", ErrUnavailable, syscall.EROFS)
			w.reconcile(t, Request{})
			w.storeErr = nil
		}, hashNew},
	}
	for name, scene := range scenes {
		for _, step := range Steps {
			t.Run(name+"/"+string(step), func(t *testing.T) {
				w := newWorld().start(t)
				scene.prepare(t, w)
				w.die = step
				w.reconcile(t, Request{})
				w.die = ""
				w.reconcile(t, Request{Force: true})
				w.both(t, "admin", scene.want)
				w.both(t, "user222", "$y$user")
				m := w.memory["admin"]
				if m.Open != nil || m.Baseline.OS.Hash != scene.want {
					t.Errorf("not settled: %+v", m)
				}
				if len(w.logouts) > 0 || len(w.guarded) > 0 {
					t.Errorf("left over: logouts %v, guard %v", w.logouts, w.guarded)
				}
				if len(w.events) == 0 || scene.want == hashNew && !slices.ContainsFunc(m.Record, func(e Entry) bool { return e.OS.Hash == hashBase }) {
					t.Errorf("events %v, record %v", w.actions(), m.Record)
				}
			})
		}
	}
}

func TestPendingGuardsAndDrains(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.writeErr = fmt.Errorf("cannot write: %w: %w", ErrUnavailable, syscall.EROFS)
	report, _ := w.reconcile(t, Request{})
	o, _ := report.For("admin")
	if o.State != Pending || o.Reason != "store: read-only file system" {
		t.Errorf("got %s, %q", o.State, o.Reason)
	}
	if !slices.Equal(w.guarded, []string{"admin"}) || !slices.Equal(w.ended, []string{"admin"}) {
		t.Errorf("guard %v, sessions ended %v", w.guarded, w.ended)
	}
	before := len(w.events)
	w.reconcile(t, Request{})
	if len(w.events) != before {
		t.Errorf("a retry that changed nothing was audited: %v", w.actions())
	}
	w.die = StepJournalled // status looks while the store is tried again
	w.reconcile(t, Request{})
	w.die = ""
	if open := w.memory["admin"].Open; open == nil || open.State != Pending || open.Reason != "store: read-only file system" {
		t.Errorf("while it is tried again it is %+v, want pending", open)
	}
	w.writeErr = nil
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
	if len(w.guarded) != 0 || len(w.ended) != 1 {
		t.Errorf("guard %v, sessions ended %v", w.guarded, w.ended)
	}
}

// TestEachChangeIsNewOnce: a second change while the first one waits is new for the guard; a retry
// is not.
func TestEachChangeIsNewOnce(t *testing.T) {
	w := newWorld().start(t)
	w.writeErr = ErrUnavailable
	step := func(what string, want ...string) {
		t.Helper()
		w.reconcile(t, Request{Force: true})
		if !slices.Equal(w.guarded, []string{"admin"}) || !slices.Equal(w.anew, want) {
			t.Errorf("%s: guarded for %q, new are %q, want %q", what, w.guarded, w.anew, want)
		}
	}
	w.passwd(t, "admin", hashNew)
	step("passwd", "admin")
	step("a retry")
	w.passwd(t, "admin", "$y$second")
	step("another passwd", "admin")
	step("a retry of that")
	w.os["admin"] = cred("$y$third")
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStart}})
	if !slices.Equal(w.anew, []string{"admin"}) {
		t.Errorf("a change that was only noticed: new are %q", w.anew)
	}
}

func TestRefusedIsAConflictAndNotGuarded(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.refuse = "longer than 72 bytes"
	report, _ := w.reconcile(t, Request{})
	if o, _ := report.For("admin"); o.State != Conflict || o.Reason != "longer than 72 bytes" {
		t.Errorf("got %+v", o)
	}
	if len(w.guarded) != 0 {
		t.Errorf("guarded for %v", w.guarded)
	}
	w.refuse = ""
	w.reconcile(t, Request{Evidence: Evidence{Prefer: OSSide}})
	w.both(t, "admin", hashNew)
}

// TestPreferOnlyNamed: a decision for one account must not settle the conflict of another.
func TestPreferOnlyNamed(t *testing.T) {
	w := newWorld().start(t)
	for _, name := range []string{"admin", "user222"} {
		w.os[name] = w.os[name].With(cred("$y$byroot"), FieldHash)
		w.store[name] = w.store[name].With(cred("$y$byapp"), FieldHash)
	}
	w.reconcile(t, Request{Evidence: Evidence{Prefer: StoreSide}, Only: []string{"admin"}})
	w.both(t, "admin", "$y$byapp")
	if w.os["user222"].Hash != "$y$byroot" || w.store["user222"].Hash != "$y$byapp" || w.memory["user222"].Open == nil {
		t.Errorf("user222 was settled too: OS %q, store %q", w.os["user222"].Hash, w.store["user222"].Hash)
	}
}

func TestChangesByOthersThanRootDoNotGuard(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	uid := 1000
	change := Change{Account: "admin", OS: w.os["admin"], Origin: Origin{At: epoch, SeenBy: SeenByPAM, UID: &uid}}
	if _, err := w.reconciler().Announce(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	w.storeErr = ErrUnavailable
	w.reconcile(t, Request{})
	if len(w.guarded) != 0 || w.memory["admin"].Open.State != Pending {
		t.Errorf("guard %v, open %+v", w.guarded, w.memory["admin"].Open)
	}
}

// TestAnnouncementAfterTheWatch: the watch settles the change before PAM's announcement arrives;
// the record is completed and the sessions still end.
func TestAnnouncementAfterTheWatch(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByWatch, At: epoch}})
	if len(w.ended) != 0 {
		t.Errorf("a noticed change ended sessions of %v", w.ended)
	}
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{Force: true})
	if m := w.memory["admin"]; m.LastChange.SeenBy != SeenByPAM || m.Open != nil {
		t.Errorf("got %+v", m)
	}
	if !slices.Equal(w.ended, []string{"admin"}) || !slices.Equal(w.actions(), []string{"adopted", "attributed", "logged-out"}) {
		t.Errorf("ended %v, audit %v", w.ended, w.actions())
	}
}

// TestAnnouncementAtTheCommit: if PAM announces a change again while the change is being settled,
// the settlement does not close the announcement.
func TestAnnouncementAtTheCommit(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	w.lateWord = &Change{Account: "admin", State: Queued, Verdict: VerdictAdopt, OS: cred(hashNew), Since: epoch.Add(time.Second), Origin: Origin{At: epoch, SeenBy: SeenByPAM, By: "root"}}
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
	w.reconcile(t, Request{})
	if m := w.memory["admin"]; m.Open != nil || m.LastChange == nil || m.LastChange.SeenBy != SeenByPAM {
		t.Errorf("open %+v, last change %+v", m.Open, m.LastChange)
	}
}

// TestStoreMovesWhileWeWork: the application writes between our look and our write.
func TestStoreMovesWhileWeWork(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.beforeSave = func() { w.beforeSave, w.store["admin"] = nil, held(cred(hashApp), w.fields) }
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
	if m := w.memory["admin"]; !slices.ContainsFunc(m.Record, func(e Entry) bool { return e.Store.Hash == hashApp && e.Lost }) {
		t.Errorf("the application's value is not on record: %+v", m.Record)
	}
}

func TestAlarmAfterThreeWriteBacks(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	for range 4 {
		w.store["admin"] = held(cred(hashBase), w.fields)
		w.reconcile(t, Request{})
		w.both(t, "admin", hashNew)
	}
	alarms := 0
	for _, a := range w.actions() {
		if a == "alarm" {
			alarms++
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms in %v", alarms, w.actions())
	}
}

// TestAcknowledgedWasSeen: a write that the store only claims to have made is not in sync.
func TestAcknowledgedWasSeen(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.forgets = true
	report, _ := w.reconcile(t, Request{})
	if o, _ := report.For("admin"); o.State != Queued || w.memory["admin"].Baseline.OS.Hash != hashBase {
		t.Errorf("told %s, baseline %q", o.State, w.memory["admin"].Baseline.OS.Hash)
	}
	w.forgets = false
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}

func TestUnchangedReadsNothing(t *testing.T) {
	w := newWorld().start(t)
	w.reconcile(t, Request{})
	report, _ := w.reconcile(t, Request{})
	if !report.Unchanged {
		t.Error("looked at every account although neither side moved")
	}
}

// TestUnchangedAsksBothSidesAtOnce: a hook's first look, for which the application's start waits.
func TestUnchangedAsksBothSidesAtOnce(t *testing.T) {
	w := newWorld().start(t)
	w.reconcile(t, Request{})
	r, met := w.reconciler(), make(chan struct{})
	r.Accounts, r.Store = meetingOS{osSide{w}, met}, meetingStore{storeSide{w}, met}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if report, err := r.Reconcile(ctx, Request{}); err != nil || !report.Unchanged {
		t.Errorf("one side waits for the other: %+v, %v", report, err)
	}
}

// The sides answer what their revision is only when both have been asked.
type (
	meetingOS struct {
		osSide
		met chan struct{}
	}
	meetingStore struct {
		storeSide
		met chan struct{}
	}
)

func (m meetingOS) Revision(ctx context.Context) (string, error) {
	select {
	case m.met <- struct{}{}:
		return m.osSide.Revision(ctx)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (m meetingStore) Revision(ctx context.Context) (string, error) {
	select {
	case <-m.met:
		return m.storeSide.Revision(ctx)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	report, _ := w.reconcile(t, Request{DryRun: true})
	if o, _ := report.For("admin"); o.Verdict != VerdictAdopt || !o.WritesDB || o.WritesOS {
		t.Errorf("got %+v", o)
	}
	if w.store["admin"].Hash != hashBase || len(w.events) != 0 {
		t.Error("a dry run wrote")
	}
}

// TestDryRunAmong: a dry run among some accounts looks at these alone, with the same result.
func TestDryRunAmong(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = cred(hashNew)
	all, _ := w.reconcile(t, Request{DryRun: true})
	for _, name := range w.reconciler().Application.Accounts {
		some, _ := w.reconcile(t, Request{DryRun: true, Among: []string{name}})
		want, _ := all.For(name)
		if len(some.Outcomes) != 1 || !reflect.DeepEqual(some.Outcomes[0], want) {
			t.Errorf("%s: got %+v, want %+v", name, some.Outcomes, want)
		}
	}
}

// The sides of the world.

type (
	osSide      struct{ *world }
	storeSide   struct{ *world }
	stateSide   struct{ *world }
	guardSide   struct{ *world }
	sessionSide struct{ *world }
	lock        struct{}
)

func (o osSide) Revision(context.Context) (string, error) { return fmt.Sprint(o.os), nil }

func (o osSide) Read(_ context.Context, names []string) (OSSnapshot, error) {
	s := OSSnapshot{Revision: fmt.Sprint(o.os), Accounts: map[string]Account{}}
	for _, n := range names {
		if c, ok := o.os[n]; ok {
			s.Accounts[n] = Account{Name: n, UID: cmp.Or(o.uids[n], 1000), Credential: c}
		}
	}
	return s, nil
}

func (o osSide) UIDs(_ context.Context, names []string) (map[string]int, error) {
	uids := map[string]int{}
	for _, n := range names {
		if _, ok := o.os[n]; ok {
			uids[n] = 1000
		}
	}
	return uids, nil
}

func (o osSide) Write(_ context.Context, writes []Write) (Unwritten, error) {
	return swap(o.os, writes, AllFields), nil
}

func swap(side map[string]Credential, writes []Write, fields Fields) map[string]error {
	failed := map[string]error{}
	for _, w := range writes {
		if !w.Create && !Equal(side[w.Name], w.Expect, fields) {
			failed[w.Name] = ErrChanged
			continue
		}
		side[w.Name] = side[w.Name].With(w.Want, fields)
	}
	return failed
}

func (s storeSide) Capabilities() Capabilities {
	return Capabilities{Fields: s.fields, Formats: s.formats, Scheme: s.scheme}
}

func (s storeSide) Revision(context.Context) (string, error) {
	if s.blind {
		return "", ErrNoRevision
	}
	return fmt.Sprint(s.store), s.storeErr
}

func (s storeSide) Read(_ context.Context, names []string) (StoreSnapshot, error) {
	revision := fmt.Sprint(s.store)
	if s.blind {
		revision = ""
	}
	snap := StoreSnapshot{Revision: revision, Accounts: map[string]StoredAccount{}, Malformed: s.malformed}
	for _, n := range names {
		if c, ok := s.store[n]; ok && s.malformed[n] == "" {
			snap.Accounts[n] = StoredAccount{Credential: c}
		}
	}
	return snap, s.storeErr
}

func (s storeSide) Write(_ context.Context, writes []Write) (Unwritten, error) {
	if err := errors.Join(s.storeErr, s.writeErr); err != nil {
		return nil, cmpErr(s.writeErr, s.storeErr)
	}
	if s.beforeSave != nil {
		s.beforeSave()
	}
	if s.refuse != "" {
		failed := map[string]error{}
		for _, w := range writes {
			failed[w.Name] = &RefusedError{Reason: s.refuse}
		}
		return failed, nil
	}
	if s.forgets {
		return nil, nil
	}
	return swap(s.store, writes, s.fields), nil
}

func (s storeSide) Watch(context.Context) (<-chan struct{}, error) { return nil, nil }
func (s storeSide) Close() error                                   { return nil }

func (s stateSide) Load(context.Context, string, []string) (Memory, error) {
	m := Memory{Accounts: map[string]AccountMemory{}, Synced: s.synced, Settle: s.settle, PastUnknown: s.pastUnknown}
	for n, a := range s.memory {
		m.Accounts[n] = a
	}
	return m, nil
}

func (s stateSide) Survey(context.Context, string, []string) (Memory, error) {
	m := Memory{Accounts: map[string]AccountMemory{}, Synced: s.synced, Settle: s.settle, PastUnknown: s.pastUnknown}
	for n, a := range s.memory {
		a.Record, a.Past = nil, nil
		m.Accounts[n] = a
	}
	return m, nil
}

func (s stateSide) Journal(_ context.Context, _ string, changes []Change) error {
	s.synced = Revisions{}
	for _, c := range changes {
		m := s.memory[c.Account]
		m.Open = &c
		s.memory[c.Account] = m
	}
	return nil
}

func (s stateSide) Commit(ctx context.Context, application string, transitions []Transition) error {
	s.synced = Revisions{}
	s.commits++
	if c := s.lateWord; c != nil {
		s.lateWord = nil
		if err := s.Journal(ctx, application, []Change{*c}); err != nil {
			return err
		}
	}
	for _, t := range transitions {
		m := s.memory[t.Account]
		if t.Successor {
			m = AccountMemory{Open: m.Open, Past: m.Past}
		}
		m.Person = cmp.Or(t.Person, m.Person)
		moved := t.Baseline != nil && (m.Baseline == nil || *t.Baseline != *m.Baseline)
		if moved {
			m.Baseline = t.Baseline
		}
		if m.Open == nil || t.Seen != nil && t.Seen.Since.Equal(m.Open.Since) {
			m.Open = t.Open
		}
		m.Record = slices.Concat(Record(t.Displaced), m.Record).Trim(epoch, 0)
		for i, e := range m.Record {
			if t.Returned != nil && e.OS == t.Returned.OS {
				m.Record[i].Returns++
			}
		}
		if t.Origin != nil {
			m.LastChange = t.Origin
		}
		m.Past = m.Past.Add(t.Past)
		if t.WriteBack {
			m.WriteBacks++
		} else if moved {
			m.WriteBacks = 0
		}
		s.memory[t.Account] = m
		s.events = append(s.events, t.Events...)
		if t.Logout != nil {
			l := *t.Logout
			l.ID = int64(len(s.logouts) + 1)
			s.logouts = append(s.logouts, l)
		}
	}
	return nil
}

func (s stateSide) Mark(_ context.Context, _ string, at Revisions) error { s.synced = at; return nil }

func (s stateSide) Audit(_ context.Context, events ...Event) error {
	s.events = append(s.events, events...)
	return nil
}

func (s stateSide) Logouts(context.Context, string) ([]Logout, error) {
	return slices.Clone(s.logouts), nil
}

func (s stateSide) LogoutsDone(_ context.Context, done ...LoggedOut) error {
	for _, d := range done {
		s.logouts = slices.DeleteFunc(s.logouts, func(l Logout) bool { return l.ID == d.ID })
		s.events = append(s.events, d.Event)
	}
	return nil
}

func (g guardSide) Set(_ context.Context, _, _ string, accounts []string, anew ...string) error {
	g.guarded, g.anew = accounts, anew
	return nil
}

func (s sessionSide) End(_ context.Context, a Account, _ Logout) ([]Session, []Session, error) {
	s.ended = append(s.ended, a.Name)
	return nil, nil, nil
}

func (lock) Acquire(context.Context) (Lease, error) { return lock{}, nil }
func (lock) Extend() error                          { return nil }
func (lock) Release()                               {}
