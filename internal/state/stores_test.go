package state

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// portal are the houses of one application with these stores, the first one first. A store is
// "NAME@PLACE", and has another kind if its place begins with a capital letter.
func portal(stores ...string) (houses []House) {
	for i, text := range stores {
		name, at, _ := strings.Cut(text, "@")
		h := House{Application: "portal", Unit: "portal.service", Accounts: []string{"admin"}, Store: Store{Name: name, Kind: "crypt", Place: at}, Further: i > 0}
		if at != strings.ToLower(at) {
			h.Store.Kind = "own"
		}
		if h.Further {
			h.Application += "." + name
		}
		houses = append(houses, h)
	}
	return houses
}

// hashIn is the hash that a store in this place holds.
func hashIn(at string) string { return "$6$" + strings.ToLower(at) }

// settled makes the account in sync with each of the stores.
func settled(t *testing.T, db *DB, houses []House) {
	t.Helper()
	for _, h := range houses {
		tr := sampleTransition("admin", 1)
		tr.Baseline = &shadowsync.Baseline{OS: sampleCredential(1), Store: shadowsync.Credential{Hash: hashIn(h.Store.Place)}}
		tr.Past, tr.Logout = shadowsync.PastOf(*tr.Baseline), nil
		if err := db.Commit(t.Context(), h.Application, []shadowsync.Transition{tr}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheStateFollowsTheStores: whatever becomes of the tables of stores, none gets the baseline of another.
func TestTheStateFollowsTheStores(t *testing.T) {
	for name, c := range map[string]struct {
		before, after []string
		want          []string // the place of whose store's baseline each has; empty: none
		told          string
	}{
		"nothing":                      {[]string{"@a", "cache@b"}, []string{"@a", "cache@b"}, []string{"a", "b"}, ""},
		"the first is gone":            {[]string{"@a", "cache@b"}, []string{"cache@b"}, []string{"b"}, "left portal "},
		"and the next has no name":     {[]string{"main@a", "cache@b"}, []string{"@b"}, []string{"b"}, "left portal "},
		"they change places":           {[]string{"main@a", "cache@b"}, []string{"cache@b", "main@a"}, []string{"b", "a"}, "renamed portal "},
		"the first had no name":        {[]string{"@a", "cache@b"}, []string{"cache@b", "new@a"}, []string{"b", "a"}, "renamed portal "},
		"another before it":            {[]string{"@a"}, []string{"x@b", "y@a"}, []string{"", "a"}, "renamed portal.y "},
		"a list of one":                {[]string{"@a"}, []string{"main@a"}, []string{"a"}, ""},
		"another after it":             {[]string{"@a"}, []string{"@a", "cache@b"}, []string{"a", ""}, ""},
		"three turn":                   {[]string{"x@a", "y@b", "z@c"}, []string{"z@c", "x@a", "y@b"}, []string{"c", "a", "b"}, "renamed portal "},
		"the names are exchanged":      {[]string{"x@a", "y@b"}, []string{"y@a", "x@b"}, []string{"a", "b"}, "renamed portal.x "},
		"another name":                 {[]string{"@a", "cache@b"}, []string{"@a", "store@b"}, []string{"a", "b"}, "renamed portal.store "},
		"the second is gone":           {[]string{"@a", "cache@b"}, []string{"@a"}, []string{"a"}, ""},
		"another place":                {[]string{"@a"}, []string{"@b"}, []string{""}, "renamed portal "},
		"another place of the second":  {[]string{"@a", "cache@b"}, []string{"@a", "cache@c"}, []string{"a", ""}, "renamed portal.cache "},
		"another kind":                 {[]string{"@a"}, []string{"@A"}, []string{""}, "renamed portal "},
		"the first gone, a second new": {[]string{"@a", "cache@b"}, []string{"cache@b", "new@c"}, []string{"b", ""}, "left portal "},
	} {
		t.Run(name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			before, after := portal(c.before...), portal(c.after...)
			rehouse(t, db, "1", before...)
			settled(t, db, before)
			told := rehouse(t, db, "2", after...)
			if c.told == "" && len(told) > 0 || c.told != "" && !slices.Contains(told, c.told) {
				t.Errorf("told of %q, want %q", told, c.told)
			}
			for i, h := range after {
				memory, err := db.Load(t.Context(), h.Application, []string{"admin"})
				m, got := memory.Accounts["admin"], ""
				if m.Baseline != nil {
					got = m.Baseline.Store.Hash
				}
				want := ""
				if c.want[i] != "" {
					want = hashIn(c.want[i])
				}
				if err != nil || got != want {
					t.Errorf("%s has the baseline %q, want %q (%v)", h.Application, got, want, err)
				}
				if slices.ContainsFunc(m.Record, func(e shadowsync.Entry) bool { return h.Store.Kind == "own" && e.Store.Hash != "" }) {
					t.Errorf("%s has values of another kind on record: %+v", h.Application, m.Record)
				}
			}
			if again := rehouse(t, db, "2", after...); again != nil {
				t.Errorf("at the next look it tells of %q", again)
			}
			rehouse(t, db, "3", before...) // nothing is forgotten meanwhile
			for i, h := range before {
				memory, err := db.Load(t.Context(), h.Application, []string{"admin"})
				m := memory.Accounts["admin"]
				if edited := strings.HasPrefix(name, "another place") || name == "another kind"; err != nil || !edited && (m.Baseline == nil || m.Baseline.Store.Hash != hashIn(before[i].Store.Place)) {
					t.Errorf("back again, %s has the baseline %+v (%v)", h.Application, m.Baseline, err)
				}
			}
		})
	}
}

// TestWhatIsNotAboutAStore: a hold by hand and sessions that must end stay with the application, and the
// store that is the first one now knows what the application may remember of the former one.
func TestWhatIsNotAboutAStore(t *testing.T) {
	db := openIn(t, t.TempDir())
	before := portal("@a", "cache@b")
	rehouse(t, db, "1", before...)
	settled(t, db, before)
	tr := shadowsync.Transition{Account: "admin", Logout: &shadowsync.Logout{Account: "admin", Origin: shadowsync.Origin{At: time.Unix(1, 0)}}}
	if err := db.Commit(t.Context(), "portal", []shadowsync.Transition{tr}); err != nil {
		t.Fatal(err)
	}
	if err := db.SetHeld(t.Context(), "portal", true); err != nil {
		t.Fatal(err)
	}
	rehouse(t, db, "2", portal("cache@b")...)
	if held, err := db.Held(t.Context(), "portal"); !held || err != nil {
		t.Errorf("held %v (%v)", held, err)
	}
	if due, err := db.Logouts(t.Context(), "portal"); err != nil || len(due) != 1 {
		t.Errorf("due: %+v (%v)", due, err)
	}
	memory, err := db.Load(t.Context(), "portal", []string{"admin"})
	if err != nil {
		t.Fatal(err)
	}
	old := shadowsync.PastOf(shadowsync.Baseline{Store: shadowsync.Credential{Hash: hashIn("a")}})
	if past := memory.Accounts["admin"].Past; !slices.Contains(past, old[1]) {
		t.Errorf("the past is %q", past)
	}
}

// TestAStateOfBefore: one that says nothing of its stores takes those that are there for them, at once.
func TestAStateOfBefore(t *testing.T) {
	db := openIn(t, t.TempDir())
	before := portal("@a", "cache@b")
	rehouse(t, db, "1", before...)
	settled(t, db, before)
	if err := db.set(t.Context(), "UPDATE housed SET revision = '1'"); err != nil { // as the former version wrote it
		t.Fatal(err)
	}
	if told := rehouse(t, db, "1", before...); told != nil {
		t.Errorf("told of %q", told)
	}
	rehouse(t, db, "2", portal("cache@b")...)
	memory, err := db.Load(t.Context(), "portal", []string{"admin"})
	if b := memory.Accounts["admin"].Baseline; err != nil || b == nil || b.Store.Hash != hashIn("b") {
		t.Errorf("the baseline is %+v (%v)", b, err)
	}
}

// TestANameThatAnotherHad: an application, or its store, gets a name under which the state of another one is
// still on record. It gets none of that, and the other one finds its own again.
func TestANameThatAnotherHad(t *testing.T) {
	house := func(name, unit, store, at string, accounts ...string) House {
		_, _, further := strings.Cut(name, ".")
		return House{Application: name, Unit: unit, Accounts: accounts, Further: further, Store: Store{Name: store, Kind: "crypt", Place: at}}
	}
	for name, c := range map[string]struct{ before, between, after []House }{
		"an application that is gone": {
			before: []House{house("web", "a.service", "", "a", "admin"), house("mail", "b.service", "", "b", "other")},
			after:  []House{house("web", "b.service", "", "b", "admin", "other")},
		},
		"a store that is gone": {
			before:  []House{house("web", "a.service", "", "a", "admin"), house("web.x", "a.service", "x", "ax", "admin"), house("mail", "b.service", "", "b", "other")},
			between: []House{house("web", "a.service", "", "a", "other"), house("mail", "b.service", "", "b", "admin")},
			after: []House{
				house("mail", "a.service", "", "a", "other"), house("web", "b.service", "", "b", "admin"), house("web.x", "b.service", "x", "bx", "admin"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openIn(t, t.TempDir())
			rehouse(t, db, "1", c.before...)
			settled(t, db, c.before)
			if err := db.SetHeld(t.Context(), "web", true); err != nil {
				t.Fatal(err)
			}
			if c.between != nil {
				rehouse(t, db, "2", c.between...)
			}
			rehouse(t, db, "3", c.after...)
			for _, h := range c.after {
				memory, err := db.Load(t.Context(), h.Application, []string{"admin"})
				if b := memory.Accounts["admin"].Baseline; err != nil || b != nil && b.Store.Hash != hashIn(h.Store.Place) {
					t.Errorf("%s of %s has the baseline %+v (%v)", h.Application, h.Unit, b, err)
				}
			}
			if held, err := db.Held(t.Context(), "web"); held || err != nil {
				t.Errorf("the other application is held: %v (%v)", held, err)
			}
			rehouse(t, db, "4", c.before...)
			if held, err := db.Held(t.Context(), "web"); !held || err != nil {
				t.Errorf("back again, it is held: %v (%v)", held, err)
			}
		})
	}
}

// TestAChangeOfAStoreThatIsGone: what is told of it names the application, and not the place of the state.
func TestAChangeOfAStoreThatIsGone(t *testing.T) {
	db := openIn(t, t.TempDir())
	before := portal("@a", "cache@b")
	rehouse(t, db, "1", before...)
	settled(t, db, before)
	waits := shadowsync.Change{Account: "admin", State: shadowsync.Pending, OS: sampleCredential(2)}
	if err := db.Journal(t.Context(), "portal", []shadowsync.Change{waits}); err != nil {
		t.Fatal(err)
	}
	if told := rehouse(t, db, "2", portal("cache@b")...); !slices.Contains(told, "left portal admin") {
		t.Errorf("told of %q", told)
	}
}
