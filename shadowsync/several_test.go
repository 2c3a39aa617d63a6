package shadowsync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// several are two stores of one application. Each has a state of its own, and the OS side is the hub.
type several struct {
	*testing.T
	stores [2]*world // they share the OS side
	rule   Rule
	lends  bool // the second store has the first one's values
}

// bothStates is one store's state, from which the other store's can be read, too.
type bothStates struct {
	State
	*several
}

func (b bothStates) Survey(ctx context.Context, application string, names []string) (Memory, error) {
	if application == "conductor" {
		return stateSide{b.stores[0]}.Survey(ctx, application, names)
	}
	return b.State.Survey(ctx, application, names)
}

func newSeveral(t *testing.T, rule Rule) *several {
	s := &several{T: t, rule: rule}
	for i := range s.stores {
		s.stores[i] = newWorld()
		s.stores[i].os = s.stores[0].os
	}
	s.pass()
	for _, w := range s.stores {
		w.events = nil
	}
	return s
}

// reconciler is that of one store, as the configuration describes it.
func (s *several) reconciler(i int) *Reconciler {
	r := s.stores[i].reconciler()
	r.Application.Stores, r.Application.Policy.Conflict = []string{"conductor", "conductor.roles"}, s.rule
	r.Beside = func(_ context.Context, account string, os Credential) bool {
		return s.stores[1-i].store[account].Hash == os.Hash
	}
	r.State = bothStates{r.State, s}
	if i > 0 {
		if s.lends {
			r.Application.Lender = "conductor"
		}
		r.Application.Name, r.Application.Store, r.Application.Ending = "conductor.roles", "roles", Ending{On: []SeenBy{}}
	}
	return r
}

// pass looks at every store, and again while one of them changes the OS side, as the engine does.
func (s *several) pass() (passes int) {
	s.Helper()
	for passes = 1; passes <= 4; passes++ {
		wrote := false
		for i := range s.stores {
			report, err := s.reconciler(i).Reconcile(s.Context(), Request{})
			if err != nil {
				s.Fatal(err)
			}
			wrote = wrote || slices.ContainsFunc(report.Outcomes, func(o Outcome) bool { return o.WritesOS })
		}
		if !wrote {
			return passes
		}
	}
	s.Error("the stores keep changing the OS side")
	return passes
}

// told reports whether a person was told of the account: by an alarm, or as a conflict.
func (s *several) told() bool {
	for _, w := range s.stores {
		open := w.memory["admin"].Open
		if open != nil && open.State == Conflict || slices.Contains(w.actions(), ActionAlarm) {
			return true
		}
	}
	return false
}

func (s *several) holds(os, first, second string) {
	s.Helper()
	if got := [3]string{s.stores[0].os["admin"].Hash, s.stores[0].store["admin"].Hash, s.stores[1].store["admin"].Hash}; got != [3]string{os, first, second} {
		s.Errorf("OS, first and second store hold %q, want %q", got, []string{os, first, second})
	}
}

// TestStoresOfOneApplication: what one store brings goes to the OS and on to the other.
func TestStoresOfOneApplication(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := newSeveral(t, RuleDefault)
			s.stores[i].store["admin"] = held(cred("$y$fresh"), s.stores[i].fields)
			s.pass()
			s.holds("$y$fresh", "$y$fresh", "$y$fresh")
			if s.told() {
				t.Errorf("%v, %v", s.stores[0].events, s.stores[1].events)
			}
		})
	}
	t.Run("passwd", func(t *testing.T) {
		s := newSeveral(t, RuleDefault)
		s.stores[1].storeErr = ErrUnavailable
		s.stores[0].os["admin"] = s.stores[0].os["admin"].With(cred(hashNew), FieldsPassword)
		for i := range s.stores {
			change := Change{Account: "admin", OS: s.stores[0].os["admin"], Origin: Origin{At: epoch, SeenBy: SeenByPAM, By: "root", UID: new(int)}}
			if _, err := s.reconciler(i).Announce(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		s.pass()
		s.holds(hashNew, hashNew, hashBase)
		if got := [2][]string{s.stores[0].guarded, s.stores[1].guarded}; len(got[0]) != 0 || !slices.Equal(got[1], []string{"admin"}) {
			t.Errorf("guarded: %q", got)
		}
		if due := [2]int{len(s.stores[0].logouts), len(s.stores[1].logouts)}; due != [2]int{1, 0} {
			t.Errorf("logouts due: %v", due)
		}
		s.stores[1].storeErr = nil
		s.pass()
		s.holds(hashNew, hashNew, hashNew)
		if len(s.stores[1].guarded) != 0 || s.stores[1].memory["admin"].Open != nil {
			t.Errorf("not drained: %q, %+v", s.stores[1].guarded, s.stores[1].memory["admin"].Open)
		}
	})
}

// TestStoresDoNotPlayPingPong: whatever two applications keep writing into two stores, the OS side comes
// to rest. In the end all hold the same, or a person was told.
func TestStoresDoNotPlayPingPong(t *testing.T) {
	const before = "$y$before" // on record in both stores
	wishes := []string{"", before, hashBase, "$y$one", "$y$two"}
	for _, rule := range []Rule{RuleDefault, RuleOS, RuleStore, RuleHold} {
		for _, first := range wishes {
			for _, second := range wishes {
				t.Run(fmt.Sprintf("%s/%s/%s", rule, first, second), func(t *testing.T) {
					s := newSeveral(t, rule)
					for _, hash := range []string{before, hashNew} {
						s.stores[0].os["admin"] = cred(hash)
						s.pass()
					}
					changes, last := 0, s.stores[0].os["admin"].Hash
					for range 12 {
						for i, hash := range []string{first, second} {
							if hash != "" {
								s.stores[i].store["admin"] = held(cred(hash), s.stores[i].fields)
							}
						}
						s.pass()
						if now := s.stores[0].os["admin"].Hash; now != last {
							changes, last = changes+1, now
						}
					}
					if changes > 1 {
						t.Errorf("the OS side changed %d times", changes)
					}
					s.pass()
					if os := s.stores[0].os["admin"].Hash; (s.stores[0].store["admin"].Hash != os || s.stores[1].store["admin"].Hash != os) && !s.told() {
						t.Errorf("OS %q, stores %q and %q, and nobody was told: %v, %v", os, s.stores[0].store["admin"].Hash, s.stores[1].store["admin"].Hash, s.stores[0].actions(), s.stores[1].actions())
					}
				})
			}
		}
	}
}

// TestWrongStoreOfSeveral: an older password that the application brings at its start and that none of its stores
// holds gives one alarm, which names them. One that a store holds may have come from there.
func TestWrongStoreOfSeveral(t *testing.T) {
	for name, c := range map[string]struct {
		writer Writer
		held   bool // the second store holds it
		want   int
	}{
		"by the application":            {WriterApplication, false, 1},
		"by an unknown program":         {WriterUnknown, false, 1},
		"from the second store":         {WriterApplication, true, 0},
		"perhaps from the second store": {WriterUnknown, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSeveral(t, RuleDefault)
			s.stores[0].passwd(t, "admin", hashNew)
			s.pass()
			for i, w := range s.stores {
				w.settle = epoch.Add(time.Second + time.Minute)
				if i == 1 && c.held {
					w.store["admin"] = held(cred(hashBase), w.fields)
				}
			}
			s.stores[0].os["admin"] = s.stores[0].os["admin"].With(cred(hashBase), FieldsPassword)
			for i := range s.stores {
				r := s.reconciler(i)
				r.Application.Settle = time.Minute
				req := Request{Origin: Origin{SeenBy: SeenByWatch, Unit: "128T.service"}, Evidence: Evidence{Writer: c.writer}}
				if _, err := r.Reconcile(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			alarms := slices.Concat(s.stores[0].alarmed(), s.stores[1].alarmed())
			if len(alarms) != c.want || c.want > 0 && (!strings.HasPrefix(alarms[0], elsewhere) || !strings.Contains(alarms[0], "none of its configured stores holds (conductor, conductor.roles)")) {
				t.Errorf("alarms %q, want %d", alarms, c.want)
			}
		})
	}
}

// TestALentStoreAtRest: a store with another one's values takes no lock while nothing changes, and notices what
// becomes known about that one although no content changed.
func TestALentStoreAtRest(t *testing.T) {
	s := newSeveral(t, RuleDefault)
	s.lends = true
	for _, w := range s.stores {
		w.scheme, w.fields = "own", FieldHash
		for _, name := range []string{"admin", "user222"} {
			w.store[name] = held(cred("own:"+name), w.fields)
			w.memory[name] = AccountMemory{Baseline: &Baseline{OS: w.os[name], Store: w.store[name]}}
		}
	}
	s.pass()
	s.pass()
	unchanged := func() bool {
		report, err := s.reconciler(1).Reconcile(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		return report.Unchanged
	}
	if !unchanged() {
		t.Error("at rest it takes the long way")
	}
	first := s.stores[0]
	m := first.memory["admin"] // a login has shown that the first store's value belongs to the OS's password
	m.Open = &Change{Account: "admin", State: Unproven, Verdict: VerdictUnproven, OS: first.os["admin"], StoreHash: "own:proven"}
	first.memory["admin"] = m
	if unchanged() {
		t.Error("it does not notice what the first store will hold")
	}
	s.holds(first.os["admin"].Hash, "own:admin", "own:proven")
}

// TestLentValues: a store gets what another one has, byte for byte: made once, at passwd or at a login,
// or there already.
func TestLentValues(t *testing.T) {
	s := newSeveral(t, RuleDefault)
	s.lends = true
	for _, w := range s.stores {
		w.formats = Formats{"$2b$"}
		w.store["admin"] = held(cred("$2b$base"), w.fields)
		w.memory["admin"] = AccountMemory{Baseline: &Baseline{OS: w.os["admin"], Store: w.store["admin"]}}
		delete(w.store, "user222")
	}
	changes := func(hash, made string) {
		s.stores[0].os["admin"] = s.stores[0].os["admin"].With(cred(hash), FieldsPassword)
		for i := range s.stores {
			change := Change{Account: "admin", OS: s.stores[0].os["admin"], Origin: Origin{At: epoch, SeenBy: SeenByPAM, By: "root", UID: new(int)}}
			if i == 0 {
				change.StoreHash = made
			}
			if _, err := s.reconciler(i).Announce(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
	}
	changes("$y$first", "$2b$first")
	s.pass()
	s.holds("$y$first", "$2b$first", "$2b$first")

	s.stores[0].storeErr = ErrUnavailable // it will hold what was made for it
	changes("$y$second", "$2b$second")
	s.pass()
	s.holds("$y$second", "$2b$first", "$2b$second")
	s.stores[0].storeErr = nil
	s.pass()
	s.holds("$y$second", "$2b$second", "$2b$second")

	changes("$y$third", "") // without its clear text
	s.pass()
	for i, w := range s.stores {
		if o := w.memory["admin"].Open; o == nil || o.State != NeedsLogin {
			t.Errorf("store %d: %+v", i, o)
		}
	}
	if taken, err := s.reconciler(0).Prove(t.Context(), "admin", "$y$third", "$2b$third", Origin{}); !taken || err != nil {
		t.Fatal(taken, err)
	}
	s.pass()
	s.holds("$y$third", "$2b$third", "$2b$third")

	other := s.stores[0] // the first store has another value of the same password meanwhile
	other.store["admin"] = held(cred("$2b$again"), other.fields)
	other.memory["admin"] = AccountMemory{Baseline: &Baseline{OS: other.os["admin"], Store: other.store["admin"]}}
	s.pass()
	s.holds("$y$third", "$2b$again", "$2b$again")
}
