package shadowsync

// Every order of what people, an application with a hash scheme of its own and accidents do. The model
// knows which password each value belongs to, and the product does not.

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// ordered is a world after some events.
type ordered struct {
	*world
	t      *testing.T
	told   []string
	latest int // of the events
	// serial makes each value a new one; wish is the password that root set last.
	serial, wish int
	// dump is what the application holds in memory, and writes over its store when it starts.
	dump string
	// seen are the values of the store that a look has seen, with the wish of that time.
	seen map[string]int
	// last is the value that a look saw last.
	last string
}

// orders are the events. Each is one thing that somebody does; looks are events too. None is tried twice in
// a row, nor where it changes nothing.
var orders = []struct {
	name string
	do   func(*ordered)
	can  func(*ordered) bool
}{
	{"look", (*ordered).look, always},
	{"passwd", (*ordered).passwd, always},
	{"usermod -p", (*ordered).usermod, always},
	{"login to the application", (*ordered).rehash, always},
	{"the application saves", func(o *ordered) { o.dump = o.store["admin"].Hash }, (*ordered).restores},
	{"the application starts", (*ordered).restore, (*ordered).restores},
	{"login to the OS", (*ordered).login, always},
	{"changed in the application", (*ordered).change, always},
	{"passwd, and a login before the write", func(o *ordered) { o.overtake(); o.passwd() }, (*ordered).up},
	{"look, and a login before the write", func(o *ordered) { o.overtake(); o.look(); o.beforeSave = nil }, (*ordered).up},
	{"the store takes no writes", func(o *ordered) { o.writeErr = ErrUnavailable }, (*ordered).up},
	{"the store is down", func(o *ordered) { o.storeErr = ErrUnavailable }, func(o *ordered) bool { return o.storeErr == nil }},
	{"the store is back", func(o *ordered) { o.storeErr, o.writeErr = nil, nil }, func(o *ordered) bool { return !o.up() }},
}

func always(*ordered) bool        { return true }
func (o *ordered) up() bool       { return o.storeErr == nil && o.writeErr == nil }
func (o *ordered) restores() bool { return o.dump != o.store["admin"].Hash }

// overtake has the application hash anew what a look has just seen, once, in the middle of our write.
func (o *ordered) overtake() {
	o.beforeSave = func() {
		since := o.seen[o.store["admin"].Hash]
		o.beforeSave = nil
		o.rehash()
		o.seen[o.store["admin"].Hash] = since
	}
}

func newOrdered(t *testing.T) *ordered {
	w := newWorld()
	w.scheme, w.fields, w.blind = "own", FieldHash, true
	o := &ordered{world: w, t: t, seen: map[string]int{}}
	w.os = map[string]Credential{"admin": cred(o.osHash(0))}
	w.store = map[string]Credential{"admin": {Hash: o.value(0)}}
	o.dump = w.store["admin"].Hash
	o.look()
	o.login()
	return o
}

// clone lets another order go on from here.
func (o *ordered) clone() *ordered {
	w, c := *o.world, *o
	w.os, w.store, w.memory = maps.Clone(w.os), maps.Clone(w.store), maps.Clone(w.memory)
	w.events, w.logouts, w.ended = nil, nil, nil
	c.world, c.seen, c.told = &w, maps.Clone(o.seen), slices.Clip(o.told)
	return &c
}

func (o *ordered) osHash(password int) string {
	o.serial++
	return fmt.Sprintf("$y$%d:%d", password, o.serial)
}

func (o *ordered) value(password int) string {
	o.serial++
	return fmt.Sprintf("own-%d:%d", password, o.serial)
}

// passwordOf is the password that a value of either side belongs to.
func passwordOf(value string) (password int) {
	_, _ = fmt.Sscanf(strings.TrimLeft(value, "$yown-"), "%d:", &password)
	return password
}

func (o *ordered) opens() int { return passwordOf(o.store["admin"].Hash) }

func (o *ordered) runner() *Reconciler {
	r := o.reconciler()
	r.Application.Accounts, r.Application.Changed = []string{"admin"}, ChangedLock
	return r
}

func (o *ordered) look() {
	o.note()
	if _, err := o.runner().Reconcile(o.t.Context(), Request{Origin: Origin{SeenBy: SeenByWatch}}); err != nil {
		o.fail("%v", err)
	}
	o.note()
}

// note keeps what a look sees.
func (o *ordered) note() {
	if o.storeErr != nil {
		return
	}
	o.last = o.store["admin"].Hash
	if value := o.store["admin"].Hash; !has(o.seen, value) {
		o.seen[value] = o.wish
	}
}

func has(m map[string]int, key string) bool { _, there := m[key]; return there }

func (o *ordered) passwd() {
	o.serial++
	o.wish = o.serial
	o.os["admin"] = o.os["admin"].With(cred(o.osHash(o.wish)), FieldsPassword)
	change := Change{Account: "admin", OS: o.os["admin"], StoreHash: o.value(o.wish), Origin: Origin{At: epoch, SeenBy: SeenByPAM, UID: new(int)}}
	if _, err := o.runner().Announce(o.t.Context(), change); err != nil {
		o.fail("%v", err)
	}
	o.look()
	if o.up() && o.opens() != o.wish {
		o.fail("passwd does not reach the store, which holds %q", o.store["admin"].Hash)
	}
}

func (o *ordered) usermod() {
	o.serial++
	o.wish = o.serial
	o.os["admin"] = o.os["admin"].With(cred(o.osHash(o.wish)), FieldsPassword)
	o.look()
}

// rehash is a login to the application, whatever its password is now.
func (o *ordered) rehash() { o.store["admin"] = Credential{Hash: o.value(o.opens())} }

func (o *ordered) restore() {
	o.look() // the hook before the start; the one after it may find another value
	o.store["admin"] = Credential{Hash: o.dump}
}

func (o *ordered) change() {
	o.serial++
	o.store["admin"] = Credential{Hash: o.value(o.serial)}
}

// login is what the broker does with the clear text of the OS's password.
func (o *ordered) login() {
	o.look()
	r, origin := o.runner(), Origin{At: epoch, SeenBy: SeenByPAM}
	os, value := o.os["admin"].Hash, o.store["admin"].Hash
	fits := passwordOf(value) == passwordOf(os)
	if o.storeErr != nil {
		return
	}
	var err error
	switch o.stateOf("admin") {
	case NeedsLogin:
		if !fits {
			value = o.value(passwordOf(os))
		}
		_, err = r.Prove(o.t.Context(), "admin", os, value, origin)
	case Unproven, Changed:
		if fits {
			_, err = r.Prove(o.t.Context(), "admin", os, value, origin)
		} else {
			_, err = r.Differs(o.t.Context(), "admin", os, origin)
		}
	}
	if err != nil {
		o.fail("%v", err)
	}
	o.look()
	if state := o.stateOf("admin"); state != Changed && state != Pending && (state != InSync || o.opens() != o.wish) {
		o.fail("after a login it is %s", state)
	}
}

func (o *ordered) fail(format string, args ...any) {
	o.t.Helper()
	o.t.Fatalf("%s: %s\nopen %+v\nbaseline %+v", strings.Join(o.told, ", "), fmt.Sprintf(format, args...), o.memory["admin"].Open, o.memory["admin"].Baseline)
}

// check looks, and compares what is said with what is so: as it is, and once the store is back.
func (o *ordered) check() {
	o.look()
	m := o.memory["admin"]
	if os := o.os["admin"]; passwordOf(os.Hash) != o.wish || os.Locked || os.Expire != cred("").Expire {
		o.fail("the OS holds %+v, root set %d", os, o.wish)
	}
	if b := m.Baseline; b.Store.Hash != "" && passwordOf(b.OS.Hash) != passwordOf(b.Store.Hash) {
		o.fail("the baseline pairs two passwords")
	}
	if state := o.stateOf("admin"); len(o.guarded) > 0 && state != Pending {
		o.fail("it is %s, and the unit is held", state)
	}
	o.tells(o.last)
	if !o.up() {
		o.storeErr, o.writeErr = nil, nil
		o.told = append(o.told, "all is back")
		o.look()
		o.tells(o.last)
	}
	if o.stateOf("admin") == Pending {
		o.fail("it is pending, and nothing hinders")
	}
}

// tells checks what is said about a value of the store's that does not belong to root's password.
func (o *ordered) tells(value string) {
	if passwordOf(value) == o.wish {
		return
	}
	switch state := o.stateOf("admin"); state {
	case Changed, NeedsLogin, Pending:
	case Unproven:
		if since := o.seen[value]; since != o.wish {
			o.fail("the store opens with a password of before, %d, and it was seen then: %q", o.opens(), value)
		}
	default:
		o.fail("it is %s, and the store held %q when it was seen last", state, value)
	}
}

func TestAnOpaqueStoreInEveryOrder(t *testing.T) {
	depth := 5
	if testing.Short() || productStep > 1 {
		depth = 4
	}
	var walk func(*ordered, int)
	walk = func(from *ordered, left int) {
		for i, event := range orders {
			if i == from.latest || !event.can(from) {
				continue
			}
			o := from.clone()
			o.told, o.latest = append(o.told, event.name), i
			event.do(o)
			if left > 1 {
				walk(o, left-1)
			}
			o.check()
		}
	}
	walk(newOrdered(t), depth)
}

// TestADoubtedValueComesBack: the application hashed the same password anew, twice, and saved the first
// of these values, which was seen but never proven. After a new password it is an old one.
func TestADoubtedValueComesBack(t *testing.T) {
	for name, again := range map[string]int{"once": 1, "far more often than is kept": 2 * mostDoubted} {
		t.Run(name, func(t *testing.T) {
			w := newOwnWorld(t)
			see := func(value string) {
				w.store["admin"] = Credential{Hash: value}
				w.reconcile(t, Request{})
			}
			for i := range again {
				see(fmt.Sprint("own-often", i))
			}
			see(ownOld)
			see(ownApp)
			if w.stateOf("admin") != Unproven || w.store["admin"].Hash != ownApp {
				t.Fatalf("%s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
			}
			see(ownOld) // the same password still
			if w.stateOf("admin") != Unproven || w.store["admin"].Hash != ownOld {
				t.Fatalf("back it is %s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
			}
			see(ownApp)
			if past := w.memory["admin"].Past; len(past) > mostDoubted+10 {
				t.Errorf("%d values are remembered", len(past))
			}
			w.clearPasswd(t, "admin", hashNew, ownNew)
			w.reconcile(t, Request{})
			see(ownOld)
			if w.stateOf("admin") != InSync || w.store["admin"].Hash != ownNew {
				t.Errorf("%s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
			}
		})
	}
}

// writtenBack is a world whose application wrote its old memory over root's password, and whose store
// takes no writes.
func writtenBack(t *testing.T, opaque bool) (w *world, want string) {
	t.Helper()
	if want = hashNew; opaque {
		w, want = newOwnWorld(t), ownNew
		w.clearPasswd(t, "admin", hashNew, ownNew)
	} else {
		w = newWorld().start(t)
		w.passwd(t, "admin", hashNew)
	}
	memory := w.store["admin"]
	w.reconcile(t, Request{})
	w.store["admin"], w.writeErr, w.events = memory, ErrUnavailable, nil
	w.reconcile(t, Request{})
	if w.stateOf("admin") != Pending {
		t.Fatalf("it is %s", w.stateOf("admin"))
	}
	return w, want
}

// TestAWriteBackThatWaits: until the store can be repaired, that is pending, also while the store cannot
// be read. It is one write-back, however often the repair is tried.
func TestAWriteBackThatWaits(t *testing.T) {
	for name, opaque := range map[string]bool{"crypt(3)": false, "opaque": true} {
		t.Run(name, func(t *testing.T) {
			w, want := writtenBack(t, opaque)
			for range 2 * alarmAfter {
				w.reconcile(t, Request{})
			}
			w.storeErr = ErrUnavailable
			w.reconcile(t, Request{})
			if w.stateOf("admin") != Pending {
				t.Errorf("while the store is down it is %s", w.stateOf("admin"))
			}
			w.storeErr, w.writeErr = nil, nil
			w.reconcile(t, Request{})
			if w.stateOf("admin") != InSync || w.store["admin"].Hash != want {
				t.Errorf("at last it is %s, the store holds %q", w.stateOf("admin"), w.store["admin"].Hash)
			}
			if got := fmt.Sprint(w.actions()); got != "[pending adopted-again]" || w.memory["admin"].WriteBacks != 1 {
				t.Errorf("the audit says %s, %d write-backs", got, w.memory["admin"].WriteBacks)
			}
		})
	}
}

// TestAnOvertakenValueComesBack: the application changes the record while we write. What it held when we
// read it is an old value too, and no wish if it comes back.
func TestAnOvertakenValueComesBack(t *testing.T) {
	w := newWorld().start(t)
	w.store["admin"] = held(cred("$6$first"), w.fields)
	w.passwd(t, "admin", hashNew)
	w.beforeSave = func() { w.beforeSave, w.store["admin"] = nil, held(cred("$6$second"), w.fields) }
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
	w.store["admin"] = held(cred("$6$first"), w.fields)
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}
