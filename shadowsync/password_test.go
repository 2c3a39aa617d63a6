package shadowsync

import (
	"strings"
	"testing"
)

// TestKinds: what a password field means, and that a field is written as it was read, except for
// the number of its marks.
func TestKinds(t *testing.T) {
	for field, want := range map[string]struct {
		kind   Kind
		locked bool
		again  string
	}{
		"":          {KindOpen, false, ""},
		"!":         {KindShut, true, "!"},
		"!!":        {KindShut, true, "!"},
		"*":         {KindNone, false, "*"},
		"!*":        {KindNone, true, "!*"},
		"*LK*":      {KindNone, false, "*LK*"},
		"x":         {KindElsewhere, false, "x"},
		"!x":        {KindElsewhere, true, "!x"},
		"NP":        {KindElsewhere, false, "NP"},
		"*NP*":      {KindElsewhere, false, "*NP*"},
		"$6$s$h":    {KindPassword, false, "$6$s$h"},
		"!$6$s$h":   {KindPassword, true, "!$6$s$h"},
		"!!$6$s$h":  {KindPassword, true, "!$6$s$h"},
		"!!!$6$s$h": {KindPassword, true, "!$6$s$h"},
		"abcdefghi": {KindPassword, false, "abcdefghi"},
	} {
		var c Credential
		c.Hash, c.Locked = ParsePassword(field)
		if c.Kind() != want.kind || c.Locked != want.locked || c.Password() != want.again || !SamePassword(field, want.again) {
			t.Errorf("%q is %s, locked %v, and is written as %q, want %+v", field, c.Kind(), c.Locked, c.Password(), want)
		}
	}
}

// field is a credential with this password field.
func field(text string) Credential {
	c := cred("")
	c.Hash, c.Locked = ParsePassword(text)
	return c
}

// TestKindsAreCarried checks the table of Kind: each field appears on one side of an account that
// has a password, and of one that has none yet.
func TestKindsAreCarried(t *testing.T) {
	locked := "!" + hashBase
	for _, c := range []struct {
		now     string
		carried bool
	}{
		{hashNew, true},
		{locked, true},
		{"!" + locked, true},
		{"!", true},
		{"!!", true},
		{"*", true},
		{"!*", true},
		{"", false},
		{"x", false},
		{"NP", false},
		{"*NP*", false},
		{"!x", false},
	} {
		t.Run(c.now, func(t *testing.T) {
			for _, first := range []bool{false, true} {
				for _, side := range []Side{OSSide, StoreSide} {
					w := newWorld()
					if !first {
						w.start(t)
					}
					from, to := w.os, w.store
					if side == StoreSide {
						from, to = w.store, w.os
					}
					from["admin"] = from["admin"].With(field(c.now), FieldHash|FieldLocked)
					w.reconcile(t, Request{First: side, Origin: Origin{SeenBy: SeenByWatch}})
					got, want := to["admin"].Password(), field(c.now).Password()
					if c.carried && (got != want || w.memory["admin"].Open != nil) {
						t.Errorf("from %s, first %v: the other side holds %q, open %+v", side, first, got, w.memory["admin"].Open)
					}
					if !c.carried {
						w.stays(t, c.now, got)
					}
				}
			}
		})
	}
}

// stays: a field that is no value changes only the lock mark on the other side.
func (w *world) stays(t *testing.T, now, got string) {
	t.Helper()
	if strings.TrimPrefix(got, "!") != hashBase {
		t.Errorf("%q goes over a good hash: %q", now, got)
	}
	if o := w.memory["admin"].Open; o == nil || o.State != Conflict || strings.Contains(o.Reason, "passwd -d") {
		t.Errorf("%q: open is %+v", now, o)
	}
}

// TestALockWithoutAPasswordComesBack: the lock of an account that usermod -p '!' disabled is
// carried over, and so is its new password; the replaced value can be put back.
func TestALockWithoutAPasswordComesBack(t *testing.T) {
	w := newWorld().start(t)
	w.os["admin"] = field("!")
	w.reconcile(t, Request{})
	if w.store["admin"].Password() != "!" || len(w.memory["admin"].Record) != 1 || w.memory["admin"].Record[0].OS.Hash != hashBase {
		t.Fatalf("the store holds %q, on record is %+v", w.store["admin"].Password(), w.memory["admin"].Record)
	}
	w.os["admin"] = field("") // by passwd -u -f or -d: the store must not become open
	w.reconcile(t, Request{})
	if w.store["admin"].Password() != "!" || w.memory["admin"].Open == nil {
		t.Fatalf("the store holds %q, open is %+v", w.store["admin"].Password(), w.memory["admin"].Open)
	}
	w.passwd(t, "admin", hashNew)
	w.reconcile(t, Request{})
	w.os["admin"] = w.os["admin"].With(cred("", func(c *Credential) { c.Locked = false }), FieldLocked)
	w.reconcile(t, Request{})
	w.both(t, "admin", hashNew)
}
