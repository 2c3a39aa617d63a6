package shadowsync

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// alarmed lists the reasons of the alarms in the trail.
func (w *world) alarmed() (reasons []string) {
	for _, e := range w.events {
		if e.Action == ActionAlarm {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// If the same value returns three times, there is an alarm that names unit and program, whoever
// sets the value. Values that are new each time cause no alarm.
func TestAlarmAfterThreeReturns(t *testing.T) {
	puppet := Request{Origin: Origin{SeenBy: SeenByWatch, Program: "usermod", Unit: "puppet.service"}, Evidence: Evidence{Writer: WriterOther}}
	for name, c := range map[string]struct {
		set  func(turn int) string
		want int
	}{
		"the same": {func(int) string { return hashBase }, 2}, // at the third and the fourth return
		"new ones": {func(turn int) string { return fmt.Sprintf("$6$salt$value%d", turn) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			for turn := range 4 {
				w.passwd(t, "admin", fmt.Sprintf("$y$person%d", turn))
				w.reconcile(t, Request{})
				w.os["admin"] = w.os["admin"].With(cred(c.set(turn)), FieldsPassword)
				w.reconcile(t, puppet)
				w.both(t, "admin", c.set(turn))
			}
			alarms := w.alarmed()
			if len(alarms) != c.want {
				t.Fatalf("alarms %q, want %d", alarms, c.want)
			}
			if c.want > 0 && (!strings.Contains(alarms[0], "3 times") || !strings.Contains(alarms[0], "usermod in puppet.service")) {
				t.Errorf("the alarm says %q", alarms[0])
			}
		})
	}
}

// The same for every other way in which a value comes back and holds.
func TestAlarmAfterThreeReturnsHowever(t *testing.T) {
	by := func(program string) Request {
		return Request{Origin: Origin{SeenBy: SeenByWatch, Program: program, Unit: "puppet.service"}, Evidence: Evidence{Writer: WriterOther}}
	}
	set := func(w *world, hash string) { w.os["admin"] = w.os["admin"].With(cred(hash, today), FieldsPassword) }
	inStore := func(w *world, hash string) { w.store["admin"] = held(cred(hash), w.fields) }
	for name, c := range map[string]struct {
		turn func(t *testing.T, w *world, n int)
		says string
	}{
		"chpasswd -e": {func(t *testing.T, w *world, n int) {
			w.passwd(t, "admin", fmt.Sprintf("$y$person%d", n))
			w.reconcile(t, Request{})
			set(w, hashBase)
			w.reconcile(t, by("chpasswd"))
		}, "chpasswd in puppet.service"},
		"two values that alternate": {func(t *testing.T, w *world, _ int) {
			for _, hash := range []string{hashNew, hashBase} {
				set(w, hash)
				w.reconcile(t, by("usermod"))
			}
		}, "usermod in puppet.service"},
		"six values in turn between": {func(t *testing.T, w *world, n int) {
			for i := range 6 * min(n, 1) { // from the second turn on: before that, the value itself is not in the history
				w.passwd(t, "admin", fmt.Sprintf("$y$person%d-%d", n, i))
				w.reconcile(t, Request{})
			}
			w.passwd(t, "admin", fmt.Sprintf("$y$person%d", n))
			w.reconcile(t, Request{})
			set(w, hashBase)
			w.reconcile(t, by("usermod"))
		}, "usermod in puppet.service"},
		"in the store": {func(t *testing.T, w *world, n int) {
			for _, hash := range []string{fmt.Sprintf("$6$person%d", n), hashApp} {
				inStore(w, hash)
				w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStore}})
			}
		}, "the credential store of 128T.service"},
		"on the OS side, over one that the store led": {func(t *testing.T, w *world, n int) {
			inStore(w, fmt.Sprintf("$6$person%d", n))
			w.reconcile(t, Request{Origin: Origin{SeenBy: SeenByStore}})
			set(w, hashBase)
			w.reconcile(t, by("usermod"))
		}, "usermod in puppet.service"},
		"on both sides at once": {func(t *testing.T, w *world, n int) {
			w.passwd(t, "admin", fmt.Sprintf("$y$person%d", n))
			w.reconcile(t, Request{})
			set(w, hashBase)
			inStore(w, hashBase)
			w.reconcile(t, by("usermod"))
		}, "usermod in puppet.service"},
		"while the store is down": {func(t *testing.T, w *world, n int) {
			w.passwd(t, "admin", fmt.Sprintf("$y$person%d", n))
			w.reconcile(t, Request{})
			w.storeErr = ErrUnavailable
			set(w, hashBase)
			w.reconcile(t, by("usermod"))
			w.reconcile(t, Request{})
			w.storeErr = nil
			w.reconcile(t, Request{})
		}, "usermod in puppet.service"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			for n := range 3 {
				c.turn(t, w, n)
				if alarms := w.alarmed(); n < 2 && len(alarms) > 0 {
					t.Errorf("turn %d: alarms %q", n, alarms)
				}
			}
			c.turn(t, w, 3)
			alarms := w.alarmed()
			if len(alarms) == 0 || !strings.Contains(alarms[0], "came back 3 times, set by "+c.says+":") {
				t.Errorf("alarms %q", alarms)
			}
		})
	}
}

// A person who uses passwd to go back to an old password causes no alarm.
func TestNoAlarmForPeople(t *testing.T) {
	w := newWorld().start(t)
	for range 4 {
		for _, hash := range []string{hashNew, hashBase} {
			w.passwd(t, "admin", hash)
			w.reconcile(t, Request{})
		}
	}
	if alarms := w.alarmed(); len(alarms) > 0 {
		t.Errorf("alarms %q", alarms)
	}
}

// If the setter was not seen, the alarm says so, and the value holds.
func TestAlarmAboutAnotherStoreUnseen(t *testing.T) {
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	w.settle = epoch.Add(time.Second + time.Minute)
	w.os["admin"] = w.os["admin"].With(cred(hashBase), FieldsPassword)
	r := w.reconciler()
	r.Application.Settle = time.Minute
	if _, err := r.Reconcile(t.Context(), Request{Origin: Origin{SeenBy: SeenByWatch}}); err != nil {
		t.Fatal(err)
	}
	w.both(t, "admin", hashBase)
	if alarms := w.alarmed(); len(alarms) != 1 || !strings.HasPrefix(alarms[0], elsewhere) || !strings.Contains(alarms[0], "not known which program set it") {
		t.Errorf("alarms %q", alarms)
	}
}

// If the application brings a value at its start that its store does not hold, it reads another
// store. A value that it may have read before the change is its old memory.
func TestAlarmAboutAnotherStore(t *testing.T) {
	const settle = time.Minute
	for name, c := range map[string]struct {
		started time.Time // relative to the change, which is at epoch
		store   string    // what the application wrote there; empty: nothing
		want    bool
	}{
		"started after the change":                {epoch.Add(time.Second), "", true},
		"ran since before the change":             {epoch.Add(-time.Second), "", false},
		"started after, and dumped its store too": {epoch.Add(time.Second), hashBase, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld().start(t)
			w.passwd(t, "admin", hashNew)
			w.reconcile(t, Request{})
			w.settle = c.started.Add(settle)
			w.os["admin"] = w.os["admin"].With(cred(hashBase), FieldsPassword)
			if c.store != "" {
				w.store["admin"] = held(cred(c.store), w.fields)
			}
			r := w.reconciler()
			r.Application.Settle = settle
			request := Request{Origin: Origin{SeenBy: SeenByWatch, Program: "usermod", Unit: "128T.service"}, Evidence: Evidence{Writer: WriterApplication}}
			if _, err := r.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			w.both(t, "admin", hashNew)
			alarms := w.alarmed()
			if got := len(alarms) == 1 && strings.Contains(alarms[0], "usermod in 128T.service set an older password at its start"); got != c.want || !c.want && len(alarms) > 0 {
				t.Errorf("alarms %q, want one: %v", alarms, c.want)
			}
			for _, e := range w.events {
				if e.Action == ActionAlarm && !e.WrongStore() {
					t.Errorf("not told from other alarms: %q", e.Reason)
				}
			}
		})
	}
}

// The store does not take the change, so what the application brings at its start is its store's
// value.
func TestNoAlarmWhileTheStoreTakesNothing(t *testing.T) {
	const settle = time.Minute
	w := newWorld().start(t)
	w.passwd(t, "admin", hashNew)
	w.writeErr = ErrUnavailable
	w.reconcile(t, Request{})
	w.settle = epoch.Add(time.Second + settle)
	w.os["admin"] = w.os["admin"].With(cred(hashBase), FieldsPassword)
	r := w.reconciler()
	r.Application.Settle = settle
	request := Request{Origin: Origin{SeenBy: SeenByWatch}, Evidence: Evidence{Writer: WriterApplication}}
	if _, err := r.Reconcile(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := w.os["admin"].Hash; got != hashNew {
		t.Errorf("the OS holds %q", got)
	}
	if alarms := w.alarmed(); len(alarms) > 0 {
		t.Errorf("alarms %q, want none", alarms)
	}
}
