package state

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// The state of a store belongs to that store. In the configuration, tables of stores change places, come,
// go and are edited, and the first store's state bears the name of the application. So the state records
// which store each of its parts was of, and follows.

// Store identifies a store, as far as the configuration tells.
type Store struct {
	Name  string // its store_name; empty: it has none
	Kind  string // equal for stores whose values are of the same kind
	Place string // equal for values in the same place; empty: not known
}

func (s Store) is(other Store) bool {
	return s.Place != "" && s.Kind == other.Kind && s.Place == other.Place
}

// former is a store of which there is a state, or was.
type former struct {
	name, unit  string // of the state, and of the application
	application string
	store       Store
}

// first reports whether the state is that of an application's first store.
func (f former) first() bool { return f.name == f.application }

// departed is what stands for the store_name once the store is gone. No store_name begins so.
func (f former) departed() string { return "~" + cmp.Or(f.store.Kind+f.store.Place, f.name) }

// lodging is the unit on record of a store's state. No unit's name has a slash.
func (h House) lodging() string {
	if h.Further {
		return h.Unit + "/" + h.Store.Name
	}
	return h.Unit
}

// unitOf takes a lodging apart.
func unitOf(lodging string) (unit, store string) {
	unit, store, _ = strings.Cut(lodging, "/")
	return unit, store
}

// housedText is what the state records about the configuration that it follows: a line with its revision,
// then a line for each house. After an empty line come the stores that are gone: see departedText.
func housedText(revision string, houses []House) string {
	var text strings.Builder
	text.WriteString(revision)
	for _, h := range houses {
		text.WriteString("\n" + storeLine(h.Application, h.Store))
	}
	return text.String()
}

func storeLine(name string, s Store) string {
	return strings.Join([]string{name, s.Name, s.Kind, s.Place}, "\t")
}

// presentOf is the text without the stores that are gone.
func presentOf(text string) string {
	present, _, _ := strings.Cut(text, "\n\n")
	return present
}

// lodged returns the stores that the state knows. Older versions write no lines about them: then those that
// the configuration names are taken for them.
func (m *mover) lodged(text string) (known []former, err error) {
	stores := map[string]Store{}
	for line := range strings.Lines(text) {
		if part := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(part) == 4 {
			stores[part[0]] = Store{part[1], part[2], part[3]}
		}
	}
	var name, lodging string
	err = m.each("SELECT name, unit FROM application WHERE unit <> '' ORDER BY name", nil, []any{&name, &lodging}, func() error {
		f := former{name: strings.Clone(name), store: stores[name]}
		unit, store := unitOf(lodging)
		f.unit, f.application = strings.Clone(unit), f.name
		if store != "" {
			f.store.Name = strings.Clone(store)
			f.application = strings.TrimSuffix(f.name, "."+store)
		}
		known = append(known, f)
		return nil
	})
	return known, err
}

// departedText records the stores that are gone, should they come back.
func (m *mover) departedText() string {
	var lines []string
	for _, f := range m.formers {
		if _, present := m.house(func(h House) bool { return h.Application == f.name }); !present && f.store.Place != "" {
			lines = append(lines, storeLine(f.name, f.store))
		}
	}
	if lines == nil {
		return ""
	}
	return "\n\n" + strings.Join(lines, "\n")
}

func (m *mover) formerOf(name string) former {
	for _, f := range m.formers {
		if f.name == name {
			return f
		}
	}
	return former{}
}

// group returns the formers of the application with that unit, or of the one with that name if it has
// another unit now.
func (m *mover) group(unit, application string) (group []former) {
	for _, f := range m.formers {
		if f.unit == unit {
			group = append(group, f)
		}
	}
	if group != nil {
		return group
	}
	for _, f := range m.formers {
		_, still := m.house(func(h House) bool { return h.Unit == f.unit })
		if f.application == application && !still {
			group = append(group, f)
		}
	}
	return group
}

// firsts are the houses of first stores, one for each application.
func (m *mover) firsts() []House {
	return slices.DeleteFunc(slices.Clone(m.houses), func(h House) bool { return h.Further })
}

// renames maps the new name of each renamed application to its old one.
func (m *mover) renames() map[string]string {
	old := map[string]string{}
	for _, h := range m.firsts() {
		for _, f := range m.group(h.Unit, h.Application) {
			if f.first() && f.name != h.Application {
				old[h.Application] = f.name
			}
		}
	}
	return old
}

// plan says what becomes of the states.
type plan struct {
	moves  map[string]string   // new names to old ones
	gone   map[string]string   // the application now, by the new names of states whose store is gone and whose name another has
	anew   []House             // whose state is of another store
	groups map[string][]former // the former stores of each application, by the name of its first state
}

// plan finds the former state of each store: that of the same store, else that of the store with the
// same store_name, else, for the first store, that of the former first one.
func (m *mover) plan() plan {
	p := plan{moves: map[string]string{}, gone: map[string]string{}, groups: map[string][]former{}}
	taken := map[string]bool{}
	for _, first := range m.firsts() {
		group := m.group(first.Unit, first.Application)
		p.groups[first.Application] = group
		var own []House
		for _, h := range m.houses {
			if h.Unit == first.Unit {
				own = append(own, h)
			}
		}
		of := match(own, group)
		for _, h := range own {
			f, known := of[h.Application]
			if !known {
				continue
			}
			taken[f.name] = true
			if f.name != h.Application {
				p.moves[h.Application] = f.name
			}
			if f.store.Place != "" && !f.store.is(h.Store) {
				p.anew = append(p.anew, h)
			}
		}
	}
	for _, f := range m.formers {
		_, named := m.house(func(h House) bool { return h.Application == f.name })
		if !named || taken[f.name] {
			continue
		}
		to := f.application + "." + f.departed()
		p.moves[to] = f.name
		for first, group := range p.groups { // none: the application is gone, too
			if slices.Contains(group, f) {
				p.gone[to] = first
			}
		}
	}
	return p
}

// match pairs the houses of one application with what is on record of it.
func match(houses []House, group []former) map[string]former {
	of, taken := map[string]former{}, map[string]bool{}
	for _, same := range []func(House, former) bool{
		func(h House, f former) bool { return h.Store.is(f.store) },
		func(h House, f former) bool { return h.Store.Name != "" && h.Store.Name == f.store.Name },
		func(h House, f former) bool { return !h.Further && f.first() },
	} {
		for _, h := range houses {
			for _, f := range group {
				if _, found := of[h.Application]; !found && !taken[f.name] && same(h, f) {
					of[h.Application], taken[f.name] = f, true
				}
			}
		}
	}
	return of
}

// tellMoves audits the plan.
func (m *mover) tellMoves(p plan) {
	renamed := m.renames()
	for name, old := range renamed {
		m.tell("renamed", name, "", "the application %q was renamed to %q; baselines, open changes and history moved with it", old, name)
	}
	for _, name := range slices.Sorted(maps.Keys(p.moves)) {
		h, present := m.house(func(h House) bool { return h.Application == name })
		if f := m.formerOf(p.moves[name]); !present {
			if first, still := p.gone[name]; still {
				m.tell("left", first, "", "the store that was %q until now is no longer configured; what is on record of it is kept, should it come back", f.name)
			}
		} else if h.Further == f.first() || h.Store.Name != f.store.Name && !f.first() {
			m.tell("renamed", name, "", "this store was %q until now; baselines, open changes and history moved with it", f.name)
		}
	}
	for _, h := range p.anew {
		m.tell("renamed", h.Application, "", "the configuration names another store than before: its values are compared anew")
	}
}

// settleIn gives the formers their present names, and those that are gone a lodging of their own.
func (m *mover) settleIn(p plan) error {
	for i, f := range m.formers {
		for name, old := range p.moves {
			if f.name != old {
				continue
			}
			m.formers[i].name = name
			if _, present := m.house(func(h House) bool { return h.Application == name }); !present {
				if _, err := m.exec("UPDATE application SET unit = ? WHERE name = ?", f.unit+"/"+f.departed(), name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// anew makes all states of accounts those of another store.
func (m *mover) anew(h House) error {
	known, err := m.known()
	if err != nil {
		return err
	}
	sameKind := m.formerOf(h.Application).store.Kind == h.Store.Kind
	for p := range known {
		if p.application != h.Application {
			continue
		}
		if err := m.unpair(p, sameKind); err != nil {
			return err
		}
	}
	return m.setMark(h.Application, shadowsync.Revisions{})
}

// passOn gives the present first store of an application what is not about a store: sessions that must
// end, a hold by hand, and what the application may remember of a store that is gone.
func (m *mover) passOn(p plan) error {
	for first, group := range p.groups {
		for _, f := range group {
			name := f.name
			for to, old := range p.moves {
				if old == f.name {
					name = to
				}
			}
			if name == first {
				continue
			}
			if err := m.passOnFrom(name, first); err != nil {
				return err
			}
			if _, gone := p.gone[name]; !gone {
				continue
			}
			if err := m.copyPasts(name, first); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *mover) passOnFrom(name, first string) error {
	var held bool
	if _, err := m.get("SELECT held FROM application WHERE name = ?", []any{name}, &held); err != nil {
		return err
	}
	if _, err := m.exec("UPDATE logout SET application = ?2 WHERE application = ?1", name, first); err != nil || !held {
		return err
	}
	if _, err := m.exec("UPDATE application SET held = 0 WHERE name = ?", name); err != nil {
		return err
	}
	_, err := m.exec("INSERT INTO application (name, held) VALUES (?, 1) ON CONFLICT DO UPDATE SET held = 1", first)
	return err
}

// copyPasts copies what may be remembered of all accounts.
func (m *mover) copyPasts(from, to string) error {
	all := map[string]string{}
	var account, digests string
	if err := m.each("SELECT account, digests FROM past WHERE application = ?", []any{from}, []any{&account, &digests}, func() error {
		all[strings.Clone(account)] = strings.Clone(digests)
		return nil
	}); err != nil {
		return err
	}
	for account, digests := range all {
		if err := m.addPast(to, account, strings.Fields(digests)); err != nil {
			return err
		}
	}
	return nil
}
