package factor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var admin = Subject{Local, "admin"}

// memory is a store in memory.
type memory struct {
	mu      sync.Mutex
	records map[Subject]Record
	events  []shadowsync.Event
	logouts []Logout
	full    bool // nothing can be written
}

func (m *memory) Factor(_ context.Context, s Subject) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record(s), nil
}

func (m *memory) record(s Subject) Record {
	r, ok := m.records[s]
	if !ok {
		r = Record{Subject: s, State: None}
	}
	r.Recovery = slices.Clone(r.Recovery)
	return r
}

func (m *memory) Factors(context.Context) (all []Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		all = append(all, r)
	}
	return all, nil
}

func (m *memory) ChangeFactor(_ context.Context, s Subject, change func(Record) (Change, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := change(m.record(s))
	switch {
	case err != nil:
		return err
	case m.full:
		return shadowsync.ErrUnavailable
	}
	m.records[s] = c.Record
	m.events = append(m.events, c.Events...)
	if c.Logout != nil {
		m.logouts = append(m.logouts, *c.Logout)
	}
	return nil
}

func (m *memory) Audit(_ context.Context, events ...shadowsync.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, events...)
	return nil
}

// brake counts wrong codes, and stops after three of a place.
type brake struct {
	mu     sync.Mutex
	counts map[Count]int
	due    map[string]int
}

func (b *brake) Begin(c Count, _ time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts[c] == map[Area]int{AtPlace: 3, InNetwork: 5, Everywhere: 9, Warning: 1}[c.Area] {
		return 5 * time.Second
	}
	b.counts[c]++
	return 0
}

func (b *brake) Spare(c Count) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[c]--
}

func (b *brake) Forgive(c Count) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.counts, c)
}

func (b *brake) Due(name string, _ time.Time) (int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due[name]++
	return 0, b.due[name] <= 3
}

func newBrake() *brake { return &brake{counts: map[Count]int{}, due: map[string]int{}} }

// noBrake lets every try through.
type noBrake struct{}

func (noBrake) Begin(Count, time.Time) time.Duration { return 0 }
func (noBrake) Spare(Count)                          {}
func (noBrake) Forgive(Count)                        {}
func (noBrake) Due(string, time.Time) (int, bool)    { return 0, true }

// world is a system with a clock that tests set.
type world struct {
	*Factors
	*testing.T
	memory  *memory
	now     time.Time
	boot    string
	elapsed time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, memory: &memory{records: map[Subject]Record{}}, now: time.Unix(1_800_000_000, 0), boot: "first", elapsed: time.Hour}
	w.Factors = &Factors{
		Store: w.memory, Key: KeyFile{t.TempDir(), "/factor.key"}, Brake: noBrake{},
		Now: func() time.Time { return w.now }, Boot: func() (string, time.Duration) { return w.boot, w.elapsed },
	}
	return w
}

// code is the code of the authenticator, so many steps from now.
func (w *world) code(secret []byte, steps int64) []byte {
	return totp.Code(secret, totp.StepAt(w.now)+steps)
}

func (w *world) check(code []byte) error {
	_, err := w.Check(w.Context(), Attempt{Subject: admin, Code: code})
	return err
}

// enrol enrols admin and goes to the next step.
func (w *world) enrol() (secret []byte, recovery []string) {
	w.Helper()
	secret, err := w.Begin(w.Context(), Beginning{Subject: admin, ByRoot: true})
	if err == nil {
		recovery, err = w.Confirm(w.Context(), Attempt{Subject: admin, Code: w.code(secret, 0)})
	}
	if err != nil || len(recovery) != 10 {
		w.Fatalf("cannot enrol: %d recovery codes, %v", len(recovery), err)
	}
	w.now = w.now.Add(totp.Period)
	return secret, recovery
}

func (w *world) record() Record {
	w.Helper()
	r, err := w.Of(w.Context(), admin)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) wants(what string, got, want error) {
	w.Helper()
	if !errors.Is(got, want) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestEnrolment(t *testing.T) {
	w := newWorld(t)
	_, err := w.Confirm(t.Context(), Attempt{Subject: admin, Code: []byte("123456")})
	w.wants("confirmed without a beginning", err, ErrNotBegun)
	first, err := w.Begin(t.Context(), Beginning{Subject: admin, ByRoot: true})
	if err != nil || w.record().State != Pending || w.record().Asked() {
		t.Fatalf("%+v, %v", w.record(), err)
	}
	w.wants("checked before it was confirmed", w.check(w.code(first, 0)), ErrNotEnrolled)
	secret, err := w.Begin(t.Context(), Beginning{Subject: admin, ByRoot: true})
	if err != nil || string(secret) == string(first) {
		t.Fatalf("a second beginning: %v", err)
	}
	_, err = w.Confirm(t.Context(), Attempt{Subject: admin, Code: w.code(first, 0)})
	w.wants("confirmed by a code of the first beginning", err, ErrWrong)
	if recovery, err := w.Confirm(t.Context(), Attempt{Subject: admin, Code: w.code(secret, 0)}); len(recovery) != 10 || err != nil {
		t.Fatalf("%q, %v", recovery, err)
	}
	if r := w.record(); r.State != Enrolled || !r.Asked() || r.RecoveryLeft() != 10 || !r.EnrolledAt.Equal(w.now) {
		t.Errorf("%+v", r)
	}
	w.wants("the code that confirmed", w.check(w.code(secret, 0)), ErrUsed)
	_, err = w.Begin(t.Context(), Beginning{Subject: admin, ByRoot: true})
	w.wants("begun while enrolled", err, ErrEnrolled)
}

func TestACodeIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrol()
	if err := w.check(w.code(secret, 1)); err != nil {
		t.Fatalf("the step ahead: %v", err)
	}
	w.wants("the same", w.check(w.code(secret, 1)), ErrUsed)
	w.wants("an earlier one", w.check(w.code(secret, 0)), ErrUsed)
	w.wants("two ahead", w.check(w.code(secret, 2)), ErrWrong)
	taken := w.code(secret, 1)
	w.now = w.now.Add(5 * totp.Period)
	w.wants("the same, long after", w.check(taken), ErrUsed)
	w.now = w.now.Add(-5 * totp.Period)
	var wrong *WrongError
	if err := w.check(w.code(secret, -14)); !errors.As(err, &wrong) || wrong.Ahead() != "a clock that is 7m0s behind" {
		t.Errorf("seven minutes ago: %v", err)
	}
	for _, text := range []string{"", "12345", "1234567", "hunter2", "\b\n\r\x7fINCORRECT"} {
		w.wants("no code: "+text, w.check([]byte(text)), ErrForm)
	}
	w.now = w.now.Add(2 * totp.Period)
	spaced := append([]byte(" "), w.code(secret, 0)...)
	if err := w.check(slices.Insert(spaced, 4, ' ')); err != nil {
		t.Errorf("with spaces: %v", err)
	}
}

func TestSimultaneousChecks(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	for name, code := range map[string][]byte{"authenticator": w.code(secret, 0), "recovery": []byte(recovery[3])} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			results := make(chan error, 200)
			for range cap(results) {
				all.Go(func() { results <- w.check(slices.Clone(code)) })
			}
			all.Wait()
			close(results)
			passed := 0
			for err := range results {
				if err == nil {
					passed++
				} else if !errors.Is(err, ErrUsed) {
					t.Error(err)
				}
			}
			if passed != 1 {
				t.Errorf("%d passed", passed)
			}
		})
	}
}

func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	w.memory.full = true
	w.wants("a code", w.check(w.code(secret, 0)), shadowsync.ErrUnavailable)
	w.wants("a recovery code", w.check([]byte(recovery[0])), shadowsync.ErrUnavailable)
	w.memory.full = false
	if err := errors.Join(w.check(w.code(secret, 0)), w.check([]byte(recovery[0]))); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t)
	_, recovery := w.enrol()
	taken, err := w.Check(t.Context(), Attempt{Subject: admin, Code: []byte(strings.ToUpper(strings.ReplaceAll(recovery[2], "-", " ")))})
	if err != nil || taken != (Taken{true, 9}) {
		t.Fatalf("%+v, %v", taken, err)
	}
	w.wants("a second time", w.check([]byte(recovery[2])), ErrUsed)
	before := w.record()
	renewed, err := w.Renew(t.Context(), admin, shadowsync.Origin{})
	if after := w.record(); err != nil || after.RecoveryLeft() != 10 || after.Generation != before.Generation+1 {
		t.Fatalf("renewed: %+v, %v", after, err)
	}
	w.wants("an old one", w.check([]byte(recovery[5])), ErrWrong)
	if err := w.check([]byte(renewed[0])); err != nil {
		t.Errorf("a new one: %v", err)
	}
}

func TestRenewedCodesKeepTheSecret(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrol()
	if _, err := w.Renew(t.Context(), admin, shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	if err := w.check(w.code(secret, 0)); err != nil {
		t.Errorf("the authenticator: %v", err)
	}
}

func TestWrongCodesAreSlowedWhereTheyComeFrom(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	w.Brake = newBrake()
	from := func(source string, code []byte) error {
		_, err := w.Check(t.Context(), Attempt{Subject: admin, Code: code, Source: source})
		return err
	}
	for range 3 {
		w.wants("wrong", from("2001:db8::1", []byte("000000")), ErrWrong)
	}
	var slow *SlowError
	if err := from("2001:db8::ffff:2", w.code(secret, 0)); !errors.As(err, &slow) || slow.Wait != 5*time.Second {
		t.Errorf("the right code from the same network: %v", err)
	}
	if err := from("2001:db8::1", []byte(recovery[0])); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	if err := from("192.0.2.1", w.code(secret, 0)); err != nil {
		t.Errorf("the rightful user: %v", err)
	}
	recorded := len(w.memory.events)
	for range 10 {
		w.wants("used", from("::ffff:192.0.2.1", w.code(secret, 0)), ErrUsed) // not counted
		w.wants("no code", from("192.0.2.1", nil), ErrForm)
	}
	if n := len(w.memory.events) - recorded; n != 3 {
		t.Errorf("what is not counted fills the audit with %d records", n)
	}
	for range 3 {
		w.wants("a recovery code again, at once", from("2001:db8::1", []byte(recovery[0])), ErrUsed)
	}
	w.now = w.now.Add(momentAgo)
	for range 3 {
		w.wants("a recovery code again", from("2001:db8::1", []byte(recovery[0])), ErrUsed)
	}
	if err := from("2001:db8::1", []byte(recovery[0])); !errors.As(err, &slow) {
		t.Errorf("a used recovery code is not counted: %v", err)
	}
}

// TestGuessesFromManyPlaces: together they are stopped, and told once. Whoever comes from a place of
// before, or has a recovery code, gets in all the while.
func TestGuessesFromManyPlaces(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	if err := w.SetMail(t.Context(), admin, "anna@example.net", by); err != nil {
		t.Fatal(err)
	}
	w.Brake = newBrake()
	from := func(source string, code []byte) error {
		_, err := w.Check(t.Context(), Attempt{Subject: admin, Code: code, Source: source})
		return err
	}
	w.wants("the owner before", from("198.51.100.1", w.code(secret, 0)), nil)
	var slow *SlowError
	for i := range 20 {
		err := from(fmt.Sprintf("192.0.2.%d", i), []byte("000000"))
		if stopped := errors.As(err, &slow); stopped != (i >= 9) || stopped && !slow.Everywhere {
			t.Errorf("guess %d: %v", i+1, err)
		}
	}
	w.now = w.now.Add(2 * totp.Period)
	w.wants("the owner", from("198.51.100.1", w.code(secret, 0)), nil)
	if err := from("203.0.113.1", w.code(secret, 1)); !errors.As(err, &slow) {
		t.Errorf("from a new place: %v", err)
	}
	w.wants("a recovery code from there", from("203.0.113.1", []byte(recovery[0])), nil)
	w.wants("and then the authenticator", from("203.0.113.1", w.code(secret, 1)), nil)
	told := 0
	for _, e := range w.memory.events {
		if e.Action == ActionGuessed {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	w.now = w.now.Add(placeFor)
	if err := from("198.51.100.1", w.code(secret, 0)); !errors.As(err, &slow) {
		t.Errorf("from a place of long ago: %v", err)
	}
}

// TestGuessesFromANetwork: whoever has a /48 has many /64.
func TestGuessesFromANetwork(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrol()
	w.Brake = newBrake()
	from := func(source string, code []byte) error {
		_, err := w.Check(t.Context(), Attempt{Subject: admin, Code: code, Source: source})
		return err
	}
	for i := range 8 {
		err := from(fmt.Sprintf("2001:db8:7:%d::1", i), []byte("000000"))
		if stopped := errors.As(err, new(*SlowError)); stopped != (i >= 5) {
			t.Errorf("guess %d: %v", i+1, err)
		}
	}
	w.wants("from another network", from("2001:db8:8::1", w.code(secret, 0)), nil)
}

func TestPlaces(t *testing.T) {
	for source, want := range map[string][2]string{
		"": {"this machine", ""}, "127.9.9.9": {"this machine", ""}, "::1": {"this machine", ""}, "::ffff:127.0.0.1": {"this machine", ""},
		"192.0.2.1": {"192.0.2.1", ""}, "::ffff:192.0.2.1": {"192.0.2.1", ""}, "64:ff9b::c000:201": {"192.0.2.1", ""},
		"2001:db8:1:2:3::4": {"2001:db8:1:2::/64", "2001:db8:1::/48"}, "fe80::1%eth0": {"fe80::/64", "fe80::/48"}, "host.example.net": {"host.example.net", ""},
	} {
		place, network := PlaceOf(source)
		if got := [2]string{place, network}; got != want {
			t.Errorf("%s: %q", source, got)
		}
	}
	var r Record
	for i := range placesKept + 1 {
		r.visit(fmt.Sprint(i), time.Unix(int64(i), 0))
	}
	r.visit("3", time.Unix(9, 0))
	if len(r.Places) != placesKept || r.Places[0].Name != "3" || r.knows("0", time.Unix(9, 0)) || !r.knows("1", time.Unix(9, 0)) {
		t.Errorf("%+v", r.Places)
	}
}

// TestLoopbackIsOnePlace: a local user has many addresses of loopback to guess from.
func TestLoopbackIsOnePlace(t *testing.T) {
	w := newWorld(t)
	w.enrol()
	w.Brake = newBrake()
	for i, source := range []string{"127.0.0.1", "127.1.2.3", "::1", "127.9.9.9"} {
		_, err := w.Check(t.Context(), Attempt{Subject: admin, Code: []byte("000000"), Source: source})
		if slow := errors.As(err, new(*SlowError)); slow != (i == 3) {
			t.Errorf("wrong code %d from %s: %v", i+1, source, err)
		}
	}
}

func TestFloorInTheFuture(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	today := w.now
	w.now = today.Add(48 * time.Hour)
	if err := w.check(w.code(secret, 0)); err != nil {
		t.Fatal(err)
	}
	until := totp.StepBegins(totp.StepAt(w.now) + 1)
	w.now = today
	var floor *FloorError
	if err := w.check(w.code(secret, 0)); !errors.As(err, &floor) || !floor.Until.Equal(until) {
		t.Fatalf("%v, want the floor until %v", err, until)
	}
	if err := w.check([]byte(recovery[0])); err != nil {
		t.Errorf("a recovery code meanwhile: %v", err)
	}
	if lowered, err := w.LowerFloor(t.Context(), admin, shadowsync.Origin{}); !lowered || err != nil {
		t.Fatal(lowered, err)
	}
	w.wants("the present code", w.check(w.code(secret, 0)), ErrUsed)
	w.now = w.now.Add(totp.Period)
	if err := w.check(w.code(secret, 0)); err != nil {
		t.Errorf("the next one: %v", err)
	}
	if lowered, err := w.LowerFloor(t.Context(), admin, shadowsync.Origin{}); lowered || err != nil {
		t.Errorf("lowered without need: %v, %v", lowered, err)
	}
}

func TestReset(t *testing.T) {
	w := newWorld(t)
	_, err := w.Reset(t.Context(), admin, nil, shadowsync.Origin{})
	w.wants("of nobody", err, ErrNotEnrolled)
	secret, recovery := w.enrol()
	if err := w.SetMail(t.Context(), admin, "admin@example.net", shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	generation := w.record().Generation
	code, err := w.Reset(t.Context(), admin, &Logout{"app", shadowsync.Logout{Account: "admin", Keep: "7"}}, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if l := w.memory.logouts; len(l) != 1 || l[0].Application != "app" || l[0].Account != "admin" || l[0].Keep != "7" {
		t.Errorf("sessions: %+v", l)
	}
	if r := w.record(); r.State != None || !r.Asked() || len(r.Secret) > 0 || r.Recovery != nil || r.Generation != generation+1 || r.Mail != "admin@example.net" {
		t.Errorf("kept: %+v", r)
	}
	w.wants("a code of the old secret", w.check(w.code(secret, 0)), ErrNotEnrolled)
	w.wants("an old recovery code", w.check([]byte(recovery[0])), ErrNotEnrolled)
	begin := func(code string) error {
		_, err := w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(code)})
		return err
	}
	w.wants("a password thief", begin(""), ErrTicket)
	w.wants("a guess", begin(strings.Repeat("abcd-", 5)), ErrWrong)
	w.elapsed += ticketFor
	w.wants("a day later", begin(code), ErrExpired)
	w.elapsed, w.boot = time.Minute, "second"
	w.wants("after a reboot", begin(code), ErrExpired)
	w.boot = "first"
	if err := begin(code); err != nil {
		t.Errorf("the rightful user: %v", err)
	}
	if r := w.record(); r.State != Pending || r.Ticket == nil {
		t.Errorf("until it is confirmed the code must stay needed: %+v", r)
	}
}

// TestAnEnrolmentCodeFromARescueSystem is valid in the system that boots later.
func TestAnEnrolmentCodeFromARescueSystem(t *testing.T) {
	w := newWorld(t)
	w.enrol()
	w.boot, w.elapsed = "", 0
	code, err := w.Reset(t.Context(), admin, nil, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() error {
		_, err := w.Begin(t.Context(), Beginning{Subject: admin, Code: []byte(code)})
		return err
	}
	w.boot, w.elapsed = "next", ticketFor
	w.wants("a day after the boot", begin(), ErrExpired)
	w.elapsed = time.Hour
	if err := begin(); err != nil {
		t.Error(err)
	}
}

func TestKey(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	file := w.Key.(KeyFile)
	key, err := file.Get()
	if err != nil {
		t.Fatal(err)
	}
	other := Subject{LDAP, "admin"}
	w.memory.records[other] = Record{Subject: other, State: Enrolled, Secret: w.record().Secret, Generation: w.record().Generation}
	_, err = w.Check(t.Context(), Attempt{Subject: other, Code: w.code(secret, 0)})
	var broken *KeyError
	if !errors.As(err, &broken) {
		t.Errorf("a secret that was moved to another account: %v", err)
	}
	delete(w.memory.records, other)

	remove(t, file)
	if err := w.check(w.code(secret, 0)); !errors.As(err, &broken) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the key: %v", err)
	}
	if err := w.check([]byte(recovery[0])); err != nil {
		t.Errorf("a recovery code without the key: %v", err)
	}
	_, err = w.Begin(t.Context(), Beginning{Subject: Subject{Local, "user222"}, ByRoot: true})
	w.wants("a new key while factors need the lost one", err, fs.ErrNotExist)
	if _, err := w.Reset(t.Context(), admin, nil, shadowsync.Origin{}); err != nil {
		t.Fatalf("the way on: %v", err)
	}
	if _, err := w.Begin(t.Context(), Beginning{Subject: admin, ByRoot: true}); err != nil {
		t.Errorf("enrolled anew: %v", err)
	}
	if now, err := file.Get(); err != nil || string(now) == string(key) {
		t.Errorf("the new key: %v", err)
	}
}

func TestNothingTellsASecret(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrol()
	code := w.code(secret, 0)
	_, _ = w.check(code), w.check([]byte(recovery[0]))
	_ = w.check([]byte("999999"))
	enrolment, err := w.Reset(t.Context(), admin, nil, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range w.memory.events {
		all.WriteString(e.Action + " " + e.Reason + "\n")
	}
	if n := len(w.memory.events); n != 6 {
		t.Errorf("%d events: %s", n, all.String())
	}
	for _, hidden := range append(recovery, string(code), "999999", totp.SetupKey(secret), enrolment) {
		if strings.Contains(all.String(), hidden) {
			t.Errorf("%q is in the audit:\n%s", hidden, all.String())
		}
	}
}

func TestMail(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"admin", "a@", "Admin <a@b.net>", "a@b.net, c@d.net", "a@b.net\n", strings.Repeat("a", 250) + "@b.net"} {
		w.wants(text, w.SetMail(t.Context(), admin, text, shadowsync.Origin{}), ErrAddress)
	}
	for _, text := range []string{"a@b.net", ""} {
		if err := w.SetMail(t.Context(), admin, text, shadowsync.Origin{}); err != nil || w.record().Mail != text {
			t.Errorf("%q: %v, kept %q", text, err, w.record().Mail)
		}
	}
}

func TestList(t *testing.T) {
	ticket := &Ticket{}
	got := string(List([]Record{
		{Subject: Subject{LDAP, "a"}, State: Enrolled},
		{Subject: Subject{Local, "b"}, State: Pending},
		{Subject: Subject{Local, "c"}, State: None},
		{Subject: Subject{Local, "d"}, State: None, Ticket: ticket, UID: new(int)},
		{Subject: Subject{Local, "e"}, State: Pending, Ticket: ticket},
	}))
	if want := "a\tldap\tenrolled\t-\nd\tlocal\tenrol\t0\ne\tlocal\tenrol\t-\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMerge(t *testing.T) {
	used := time.Unix(1000, 0)
	codes := func(first, second time.Time) []RecoveryCode {
		return []RecoveryCode{{[]byte("1"), first}, {[]byte("2"), second}}
	}
	live := Record{Subject: admin, State: Enrolled, Generation: 4, Step: 10, Recovery: codes(used, time.Time{})}
	backup := Record{Subject: admin, State: Enrolled, Generation: 4, Step: 12, Recovery: codes(time.Time{}, used)}
	if m := Merge(live, backup); m.Step != 12 || m.RecoveryLeft() != 0 || live.RecoveryLeft() != 1 {
		t.Errorf("of one generation: %+v", m)
	}
	backup.Generation = 3
	if m := Merge(live, backup); m.Step != 10 || m.RecoveryLeft() != 1 {
		t.Errorf("against an older one: %+v", m)
	}
	backup.Generation = 5
	if m := Merge(live, backup); m.Step != 12 || m.Generation != 5 {
		t.Errorf("against a newer one: %+v", m)
	}
}
