package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// House says under which names the state of an application's accounts belongs. When a person edits
// names, the unit identifies the application and the uid identifies the account. Each store after an
// application's first has a house of its own, whose Unit is "UNIT/STORE": no unit's name has a slash.
type House struct {
	Application, Unit string
	Accounts          []string
}

// place is the key of an account's state.
type place struct{ application, account string }

// mover follows an edit of the configuration, in one transaction.
type mover struct {
	*tx
	houses []House
	at     time.Time
	events []shadowsync.Event
}

// Rehouse makes the state follow a configuration whose names changed since the revision that
// was last seen: a renamed application, an account that moved to another application, or an
// account with another name and the same uid. It audits what it did, and returns those events.
// It asks the OS only about new accounts.
//
// An account keeps its open change, its record and its past. It keeps its baseline only if its
// unit and its own name stay: a value of another store does not pair with the OS's value.
func (db *DB) Rehouse(ctx context.Context, revision string, houses []House, os func(names []string) (map[string]shadowsync.Account, error)) ([]shadowsync.Event, error) {
	var last string
	err := db.read(ctx, "read", func(tx *tx) error {
		_, err := tx.get("SELECT revision FROM housed", nil, &last)
		return err
	})
	if err != nil || last == revision {
		return nil, err
	}
	m := &mover{houses: houses, at: time.Now()}
	err = db.write(ctx, "write to", func(tx *tx) error {
		m.tx, m.events = tx, nil
		for _, step := range []func() error{m.applications, m.accounts, func() error { return m.renamed(os) }, m.orphans, m.units} {
			if err := step(); err != nil {
				return err
			}
		}
		if err := tx.audit(m.events...); err != nil {
			return err
		}
		_, err := tx.exec("REPLACE INTO housed (one, revision) VALUES (1, ?)", revision)
		return err
	})
	return m.events, err
}

// Renamed maps the new name of each renamed application to the name that it had at the revision
// that was last seen.
func (db *DB) Renamed(ctx context.Context, revision string, houses []House) (map[string]string, error) {
	former := map[string]string{}
	err := db.read(ctx, "read", func(tx *tx) error {
		var last string
		if _, err := tx.get("SELECT revision FROM housed", nil, &last); err != nil || last == revision {
			return err
		}
		var err error
		former, err = (&mover{tx: tx, houses: houses}).became()
		return err
	})
	return former, err
}

// became maps the new name of each renamed application to its old one.
func (m *mover) became() (former map[string]string, err error) {
	var name, unit string
	former = map[string]string{}
	err = m.each("SELECT name, unit FROM application WHERE unit <> ''", nil, []any{&name, &unit}, func() error {
		if h, ok := m.house(func(h House) bool { return h.Unit == unit }); ok && h.Application != name {
			former[h.Application] = strings.Clone(name)
		}
		return nil
	})
	return former, err
}

func (m *mover) tell(action, application, account, format string, args ...any) {
	m.events = append(m.events, shadowsync.Event{
		At: m.at, Application: application, Account: account, Action: action, Reason: fmt.Sprintf(format, args...),
		Origin: shadowsync.Origin{At: m.at, SeenBy: shadowsync.SeenByStart},
	})
}

func (m *mover) house(match func(House) bool) (House, bool) {
	i := slices.IndexFunc(m.houses, match)
	if i < 0 {
		return House{}, false
	}
	return m.houses[i], true
}

// applications moves the state of a unit to the present name of its application. First all leave
// their old names, because two may have swapped names.
func (m *mover) applications() error {
	former, err := m.became()
	if err != nil {
		return err
	}
	const away = "\x00" // not valid in an application's name
	for _, old := range former {
		if err := m.moveApplication(old, away+old); err != nil {
			return err
		}
	}
	for name, old := range former {
		if err := m.moveApplication(away+old, name); err != nil {
			return err
		}
		m.tell("renamed", name, "", "the application %q was renamed to %q; baselines, open changes and history moved with it", old, name)
	}
	return nil
}

// moveApplication renames every row. If the new name already has a row, the newer change and the
// present baseline stay.
func (m *mover) moveApplication(from, to string) error {
	for _, query := range []string{
		"DELETE FROM change AS c WHERE application = ?1 AND since < (SELECT since FROM change WHERE application = ?2 AND account = c.account)",
		"DELETE FROM change AS c WHERE application = ?2 AND since <= (SELECT since FROM change WHERE application = ?1 AND account = c.account)",
		"UPDATE change SET application = ?2 WHERE application = ?1",
		"UPDATE OR IGNORE account SET application = ?2 WHERE application = ?1",
		"UPDATE entry SET application = ?2, seq = seq + (SELECT coalesce(max(seq), 0) FROM entry WHERE application = ?2) WHERE application = ?1",
		"UPDATE OR IGNORE past SET application = ?2 WHERE application = ?1",
		"UPDATE logout SET application = ?2 WHERE application = ?1",
		"UPDATE OR IGNORE digest SET application = ?2 WHERE application = ?1",
		"UPDATE OR IGNORE application SET name = ?2, synced_os = '', synced_store = '', synced_config = '' WHERE name = ?1",
	} {
		if _, err := m.exec(query, from, to); err != nil {
			return err
		}
	}
	for _, query := range []string{
		"DELETE FROM account WHERE application = ?1", "DELETE FROM past WHERE application = ?1",
		"DELETE FROM digest WHERE application = ?1", "DELETE FROM application WHERE name = ?1",
	} {
		if _, err := m.exec(query, from); err != nil {
			return err
		}
	}
	return nil
}

// orphans reports the accounts that were removed from the configuration while their change waits.
func (m *mover) orphans() error {
	open, err := m.waiting()
	if err != nil {
		return err
	}
	for _, p := range open {
		if m.stays(p) {
			continue
		}
		if _, ok := m.house(func(h House) bool { return h.Application == p.application }); ok {
			m.tell("kept", p.application, p.account, "it is no longer in accounts, but its change waits for the store: it stays managed until that is settled")
		} else {
			m.tell("left", p.application, p.account, "the application is no longer configured; the account's change waited for its store and will not reach it")
		}
	}
	return nil
}

// waiting returns the places of open changes that a store may still take.
func (t *tx) waiting() (open []place, err error) {
	var p place
	err = t.each("SELECT application, account FROM change WHERE state IN ('queued', 'pending') ORDER BY 1, 2", nil, []any{&p.application, &p.account}, func() error {
		open = append(open, place{strings.Clone(p.application), strings.Clone(p.account)})
		return nil
	})
	return open, err
}

// Waiting names the accounts of each application whose change waits for the store.
func (db *DB) Waiting(ctx context.Context) (map[string][]string, error) {
	names := map[string][]string{}
	err := db.read(ctx, "read", func(tx *tx) error {
		open, err := tx.waiting()
		for _, p := range open {
			names[p.application] = append(names[p.application], p.account)
		}
		return err
	})
	return names, err
}

// units records the unit of each application.
func (m *mover) units() error {
	for _, h := range m.houses {
		var before string
		if _, err := m.get("SELECT unit FROM application WHERE name = ?", []any{h.Application}, &before); err != nil {
			return err
		}
		if before != "" && before != h.Unit && !strings.Contains(h.Unit, "/") {
			m.tell("renamed", h.Application, "", "its unit was %s and is %s now; baselines, open changes and history stay", before, h.Unit)
		}
		if _, err := m.exec("INSERT INTO application (name, unit) VALUES (?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit", h.Application, h.Unit); err != nil {
			return err
		}
	}
	return nil
}
