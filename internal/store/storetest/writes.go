package storetest

import (
	"errors"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// persisted: a write is there for the application, for this store and for one opened later. Only its
// account changes.
func persisted(s *stage) {
	w := s.moves("admin", 1, 3)
	if left := s.write(w); len(left) > 0 {
		s.Fatal(left)
	}
	s.holds("admin", 3)
	s.holds("user222", 2)
	for range 2 {
		if err := s.store.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	s.store = s.open()
	s.holds("admin", 3)
	s.writesAndReadsBack()
}

// writesAndReadsBack checks a store's own way of both in one call.
func (s *stage) writesAndReadsBack() {
	both, ok := s.store.(shadowsync.WriteReader)
	if !ok {
		return
	}
	left, back, err := both.WriteRead(s.Context(), []shadowsync.Write{s.moves("admin", 3, 4)})
	if err != nil || len(left) > 0 {
		s.Fatalf("WriteRead: %v, %v", left, err)
	}
	if back != nil && back.Accounts["admin"].Hash != s.nth(4).Hash {
		s.Errorf("WriteRead reads back %q", back.Accounts["admin"].Hash)
	}
	s.holds("admin", 4)
}

// comparesAndSwaps: what is not as expected stays, and does not hinder the others.
func comparesAndSwaps(s *stage) {
	stale, good := s.moves("admin", 3, 4), s.moves("user222", 2, 5)
	left := s.write(stale, good)
	if len(left) != 1 || !errors.Is(left["admin"], shadowsync.ErrChanged) {
		s.Errorf("left %v, want ErrChanged for admin", left)
	}
	s.holds("admin", 1)
	s.holds("user222", 5)

	late := s.moves("admin", 1, 4)
	s.Set("admin", s.f.Value(6))
	if left := s.write(late); !errors.Is(left["admin"], shadowsync.ErrChanged) {
		s.Errorf("after a change of the application's: %v, want ErrChanged", left)
	}
	s.holds("admin", 6)
}

// probe: a write of what is there succeeds, and so does a rehearsal; the value stays.
func probe(s *stage) {
	if left := s.write(s.moves("admin", 1, 1)); len(left) > 0 {
		s.Errorf("left %v", left)
	}
	s.untouched()
	stale := s.moves("admin", 3, 3)
	if left := s.write(stale); !errors.Is(left["admin"], shadowsync.ErrChanged) {
		s.Errorf("of what is not there: %v, want ErrChanged", left)
	}
	if r, ok := s.store.(driver.Rehearser); ok {
		if err := r.Rehearse(s.Context()); err != nil {
			s.Errorf("Rehearse: %v", err)
		}
	}
	s.untouched()
}

// create: an account that is there is left alone; one that is not is created or refused.
func create(s *stage) {
	if left := s.write(shadowsync.Write{Name: "admin", Want: s.nth(3), Create: true}); !errors.Is(left["admin"], shadowsync.ErrChanged) {
		s.Errorf("admin is there: %v, want ErrChanged", left)
	}
	s.holds("admin", 1)
	left := s.write(shadowsync.Write{Name: "created", Want: s.nth(3), Create: true})
	if !s.store.Capabilities().Creates {
		if _, there := s.Held("created"); there || !isRefused(left["created"]) {
			s.Errorf("it creates none: %v, want a RefusedError; there: %v", left, there)
		}
		return
	}
	if len(left) > 0 {
		s.Fatal(left)
	}
	s.holds("created", 3)
	s.untouched()
}

// remove: only what is as expected is removed, or it is refused.
func remove(s *stage) {
	w := s.moves("admin", 1, 1)
	w.Delete = true
	left := s.write(w)
	if _, there := s.Held("admin"); there != isRefused(left["admin"]) {
		s.Errorf("left %v, there: %v", left, there)
	}
	w = s.moves("user222", 3, 3)
	w.Delete = true
	if left := s.write(w); len(left) != 1 {
		s.Errorf("it is not as expected: left %v", left)
	}
	s.holds("user222", 2)
}

// missing: an account that is not there is named, and not created.
func missing(s *stage) {
	left := s.write(
		shadowsync.Write{Name: "nobody", Expect: s.nth(1), Want: s.nth(3)},
		s.moves("user222", 2, 5),
	)
	if len(left) != 1 || !errors.Is(left["nobody"], shadowsync.ErrNoAccount) {
		s.Errorf("left %v, want ErrNoAccount for nobody", left)
	}
	if _, there := s.Held("nobody"); there {
		s.Error("it was created")
	}
	s.holds("user222", 5)
}

// twice: two writes for one account are a mistake of the caller's; nothing is written.
func twice(s *stage) {
	left, err := s.store.Write(s.Context(), []shadowsync.Write{s.moves("admin", 1, 3), s.moves("user222", 2, 4), s.moves("admin", 1, 5)})
	if err == nil {
		s.Errorf("no error; left %v", left)
	}
	s.notTold(err)
	s.untouched()
}

// hard are names that syntax, patterns and encodings stumble over.
var hard = []string{
	"o'brien", `d"quote`, "with space", "se;mi--colon", `back\slash`, "per%cent_", "*", "ünï·日本", "a=b", "a,b", "#comment", "$1", "{x}", "admin@site",
	"ADMIN", // beside admin
}

// names: each hard name is one account among the others.
func names(s *stage) {
	accounts := map[string]string{"admin": s.f.Value(1)}
	var held []string
	for i, name := range hard {
		if !s.f.Lacks(name) {
			accounts[name] = s.f.Value(10 + i)
			held = append(held, name)
		}
	}
	if len(held) == 0 {
		s.Error("the fixture lacks every name: this tests nothing")
	}
	s.Store = s.f.Make(s.T, accounts)
	s.store = s.open()
	for _, name := range held {
		moved := 100 + len(name)
		if left := s.write(shadowsync.Write{Name: name, Expect: s.read(name).Accounts[name].Credential, Want: s.expected(name, moved)}); len(left) > 0 {
			s.Errorf("%q: left %v", name, left)
			continue
		}
		accounts[name] = s.f.Value(moved)
		for other, want := range accounts {
			if value, there := s.Held(other); !there || value != want {
				s.Errorf("after a write to %q, %q has %q, %v; want %q", name, other, value, there, want)
			}
		}
	}
}

// values: a value is kept to the byte, or refused and nothing changes.
func values(s *stage) {
	for _, odd := range []string{
		`$6$s$"quote\slash'`, "$6$s$colon:colon", "$6$s$line\nbreak", "$6$s$NUL\x00", "$6$s$ü日本", "$6$s$not UTF-8 \xff",
		"$6$s$" + strings.Repeat("long", 20_000), " $6$spaces ", "'; DROP TABLE users; --", "#", "$6$s$\r",
	} {
		before, _ := s.Held("admin")
		held := s.read("admin").Accounts["admin"].Credential
		want := held.With(s.credential(odd), shadowsync.FieldHash|shadowsync.FieldLocked)
		left := s.write(shadowsync.Write{Name: "admin", Expect: held, Want: want})
		after, there := s.Held("admin")
		switch {
		case !there:
			s.Fatalf("%.40q: the account is gone", odd)
		case isRefused(left["admin"]):
			if after != before {
				s.Errorf("%.40q: refused, and the application finds %.40q", odd, after)
			}
		case len(left) > 0:
			s.Errorf("%.40q: left %v, want a RefusedError", odd, left)
		case after != odd || s.read("admin").Accounts["admin"].Hash != s.credential(odd).Hash:
			s.Errorf("%.40q: the application finds %.40q, Read %.40q", odd, after, s.read("admin").Accounts["admin"].Hash)
		}
		s.holds("user222", 2)
	}
}

// locked: a lock is an exclamation mark before the hash, as in shadow(5), for the application too.
func locked(s *stage) {
	if s.store.Capabilities().Fields&shadowsync.FieldLocked == 0 {
		return
	}
	w := s.moves("admin", 1, 1)
	w.Want.Locked = true
	if left := s.write(w); len(left) > 0 {
		s.Fatal(left)
	}
	if got := s.read("admin").Accounts["admin"]; !got.Locked || got.Hash != s.nth(1).Hash {
		s.Errorf("locked, it is read as %q, %v", got.Hash, got.Locked)
	}
	if left := s.write(shadowsync.Write{Name: "admin", Expect: w.Want, Want: w.Expect}); len(left) > 0 {
		s.Fatal(left)
	}
	s.untouched()
}

// opaque: in a value of an application's own scheme, no mark means anything. With one, it is at most no
// value any more.
func opaque(s *stage) {
	if !s.store.Capabilities().Opaque() {
		return
	}
	for _, mark := range []string{"!", "*", "!!"} {
		marked := mark + s.f.Value(3)
		s.Set("admin", marked)
		got := s.read("admin")
		if _, bad := got.Malformed["admin"]; !bad && (got.Accounts["admin"].Hash == s.f.Value(3) || got.Accounts["admin"].Locked) {
			s.Errorf("%q is read as %+v", marked, got.Accounts["admin"].Credential)
		}
	}
}
