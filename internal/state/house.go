package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// House says under which names the state of an application's accounts belongs, for one of its stores.
// When a person edits names, the unit identifies the application and the uid identifies the account.
// What identifies the store, see stores.go.
type House struct {
	Application, Unit string
	Accounts          []string
	Store             Store
	Further           bool // the store is not the application's first one
}

// place is the key of an account's state.
type place struct{ application, account string }

// mover follows an edit of the configuration, in one transaction.
type mover struct {
	*tx
	houses  []House
	managed map[place]bool // by the houses: see stays
	formers []former       // whose state there is
	at      time.Time
	events  []shadowsync.Event
}

// Rehouse makes the state follow a configuration whose names changed since the revision that
// was last seen: a renamed application, an account that moved to another application, or an
// account with another name and the same uid. It audits what it did, and returns those events.
// It asks the OS only about new accounts.
//
// An account keeps its open change, its record and its past. It keeps its baseline only if its store
// and its own name stay: a value of another store does not pair with the OS's value.
func (db *DB) Rehouse(ctx context.Context, revision string, houses []House, os func(names []string) (map[string]shadowsync.Account, error)) ([]shadowsync.Event, error) {
	present := housedText(revision, houses)
	last, err := db.housed(ctx)
	if err != nil || presentOf(last) == present {
		return nil, err
	}
	m := &mover{houses: houses, at: time.Now()}
	err = db.write(ctx, "write to", func(tx *tx) error {
		m.tx, m.events = tx, nil
		last, err := tx.housed()
		if err != nil || presentOf(last) == present { // another process was faster
			return err
		}
		if m.formers, err = m.lodged(last); err != nil {
			return err
		}
		for _, step := range []func() error{m.applications, m.accounts, func() error { return m.renamed(os) }, m.orphans, m.units} {
			if err := step(); err != nil {
				return err
			}
		}
		if err := tx.audit(m.events...); err != nil {
			return err
		}
		_, err = tx.exec("REPLACE INTO housed (one, revision) VALUES (1, ?)", present+m.departedText())
		return err
	})
	return m.events, err
}

func (db *DB) housed(ctx context.Context) (last string, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		last, err = tx.housed()
		return err
	})
	return last, err
}

// housed returns what the state was made to follow last: see housedText.
func (t *tx) housed() (last string, err error) {
	_, err = t.get("SELECT revision FROM housed", nil, &last)
	return last, err
}

// Renamed maps the new name of each renamed application to the name that it had at the revision
// that was last seen.
func (db *DB) Renamed(ctx context.Context, revision string, houses []House) (map[string]string, error) {
	last, err := db.housed(ctx)
	if err != nil || presentOf(last) == housedText(revision, houses) {
		return nil, err
	}
	m := &mover{houses: houses}
	err = db.read(ctx, "read", func(tx *tx) error {
		m.tx = tx
		m.formers, err = m.lodged(last)
		return err
	})
	return m.renames(), err
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

// applications moves the state of each store to its present name. First all leave their old names,
// because two may have swapped them.
func (m *mover) applications() error {
	plan := m.plan()
	const away = "\x00" // not valid in an application's name
	for _, old := range plan.moves {
		if err := m.moveApplication(old, away+old); err != nil {
			return err
		}
	}
	for name, old := range plan.moves {
		if err := m.moveApplication(away+old, name); err != nil {
			return err
		}
	}
	m.tellMoves(plan)
	if err := m.settleIn(plan); err != nil {
		return err
	}
	for _, h := range plan.anew {
		if err := m.anew(h); err != nil {
			return err
		}
	}
	return m.passOn(plan)
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
			m.tell("left", shown(p.application), p.account, "it is no longer configured; the account's change waited for its store and will not reach it")
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
		if before, _ := unitOf(before); before != "" && before != h.Unit && !h.Further {
			m.tell("renamed", h.Application, "", "its unit was %s and is %s now; baselines, open changes and history stay", before, h.Unit)
		}
		if _, err := m.exec("INSERT INTO application (name, unit) VALUES (?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit", h.Application, h.lodging()); err != nil {
			return err
		}
	}
	return nil
}
