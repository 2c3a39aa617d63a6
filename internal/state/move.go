package state

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// known returns the places that have any state, and the uid of the account there. A note that the
// OS lacks an account does not count as state.
func (m *mover) known() (map[place]string, error) {
	at := map[place]string{}
	var p place
	var person string
	err := m.each(`SELECT application, account, replace(person, 'gone ', '') FROM account WHERE os IS NOT NULL
		UNION ALL SELECT application, account, '' FROM change WHERE state <> 'missing'
		UNION ALL SELECT DISTINCT application, account, '' FROM entry ORDER BY 3`,
		nil, []any{&p.application, &p.account, &person}, func() error {
			at[p] = person
			return nil
		})
	return at, err
}

// stays reports whether the configuration still has an account there.
func (m *mover) stays(p place) bool {
	h, ok := m.house(func(h House) bool { return h.Application == p.application })
	return ok && slices.Contains(h.Accounts, p.account)
}

// accounts moves accounts that another application manages now.
func (m *mover) accounts() error {
	known, err := m.known()
	if err != nil {
		return err
	}
	left := map[string]place{}
	for p := range known {
		// Of several stores that the account leaves it takes the first one's state along, whose name
		// stands before theirs.
		if former, also := left[p.account]; !m.stays(p) && (!also || p.application < former.application) {
			left[p.account] = p
		}
	}
	if len(left) == 0 {
		return nil
	}
	for _, h := range m.houses {
		for _, name := range h.Accounts {
			to := place{h.Application, name}
			from, moved := left[name]
			if _, here := known[to]; here || !moved {
				continue
			}
			if err := m.moveAccount(from, to); err != nil {
				return err
			}
			m.tell("moved", h.Application, name, "it was an account of %q; its open change and its history moved with it", from.application)
		}
	}
	return nil
}

// renamed moves accounts that have another name, the same uid and the same password (usermod -l).
// The uid alone may belong to an account that was deleted.
func (m *mover) renamed(os func([]string) (map[string]shadowsync.Account, error)) error {
	known, err := m.known()
	if err != nil {
		return err
	}
	left := map[string][]place{}
	var names []string
	for p, uid := range known {
		if !m.stays(p) && uid != "" {
			left[uid] = append(left[uid], p)
			names = append(names, p.account)
		}
	}
	fresh := m.fresh(known)
	if len(left) == 0 || len(fresh) == 0 {
		return nil
	}
	for _, p := range fresh {
		names = append(names, p.account)
	}
	now, err := os(names)
	if err != nil {
		return err
	}
	for _, to := range fresh {
		account, exists := now[to.account]
		from, same := formerly(left[strconv.Itoa(account.UID)], to)
		if _, still := now[from.account]; !exists || !same || still {
			continue
		}
		if err := m.rename(from, to, account); err != nil {
			return err
		}
	}
	return nil
}

// formerly picks where an account was before: in the same application and store if it was there.
func formerly(places []place, to place) (from place, found bool) {
	for _, p := range places {
		if !found || p.application == to.application || from.application != to.application && p.application < from.application {
			from, found = p, true
		}
	}
	return from, found
}

// fresh lists the configuration's accounts that have no state.
func (m *mover) fresh(known map[place]string) (fresh []place) {
	for _, h := range m.houses {
		for _, name := range h.Accounts {
			p := place{h.Application, name}
			if _, here := known[p]; !here {
				fresh = append(fresh, p)
			}
		}
	}
	return fresh
}

func (m *mover) rename(from, to place, account shadowsync.Account) error {
	l := newLoader(from.application)
	l.tx = m.tx
	if err := l.accounts([]string{from.account}, (*loader).survey); err != nil {
		return err
	}
	if !l.memory.Accounts[from.account].Known(account.Credential) {
		return nil
	}
	if err := m.moveAccount(from, to); err != nil {
		return err
	}
	m.tell("renamed", to.application, to.account, "uid %d had the name %q; its open change and its history moved with it", account.UID, from.account)
	if err := m.moveFactor(from.account, to.account); err != nil {
		return err
	}
	_, err := m.exec("UPDATE account SET person = ? WHERE application = ? AND account = ?", strconv.Itoa(account.UID), to.application, to.account)
	return err
}

// moveAccount moves an account's state. The former baseline goes into the record, and into the
// digests of what the application may remember.
func (m *mover) moveAccount(from, to place) error {
	var os, store, origin string
	found, err := m.get("SELECT os, store, coalesce(origin, '{}') FROM account WHERE application = ? AND account = ? AND os IS NOT NULL",
		[]any{from.application, from.account}, &os, &store, &origin)
	if err != nil {
		return err
	}
	if found {
		e := shadowsync.Entry{Replaced: m.at}
		if e.Baseline, err = pair(os, store); err != nil {
			return err
		}
		if e.Origin, err = (origins{}).parse(origin); err != nil {
			return err
		}
		if err := m.addEntry(from.application, from.account, e); err != nil {
			return err
		}
		if err := m.addPast(from.application, from.account, shadowsync.PastOf(e.Baseline)); err != nil {
			return err
		}
	}
	for _, query := range []string{
		"UPDATE account SET os = NULL, store = NULL, write_backs = 0 WHERE application = ?1 AND account = ?2",
		"UPDATE change SET state = 'queued', verdict = 'adopted', store_hash = '' WHERE application = ?1 AND account = ?2 AND state IN ('pending', 'needs-login', 'missing')",
	} {
		if _, err := m.exec(query, from.application, from.account); err != nil {
			return err
		}
	}
	if err := m.copyPast(from, to); err != nil {
		return err
	}
	for _, table := range []string{"account", "change", "logout", "entry"} {
		if _, err := m.exec("UPDATE OR REPLACE "+table+" SET application = ?3, account = ?4 WHERE application = ?1 AND account = ?2",
			from.application, from.account, to.application, to.account); err != nil {
			return err
		}
	}
	return m.setMark(to.application, shadowsync.Revisions{})
}

// copyPast copies the digests of what may be remembered of an account. The former application still
// remembers it: see Departed.
func (m *mover) copyPast(from, to place) error {
	var digests string
	if _, err := m.get("SELECT digests FROM past WHERE application = ? AND account = ?", []any{from.application, from.account}, &digests); err != nil {
		return err
	}
	if err := m.addPast(to.application, to.account, strings.Fields(digests)); err != nil {
		return err
	}
	if from.account == to.account {
		return nil
	}
	_, err := m.exec("DELETE FROM past WHERE application = ? AND account = ?", from.application, from.account)
	return err
}

// Departed names the accounts that an application may still write from its memory although they
// moved to another application.
func (db *DB) Departed(ctx context.Context, application string) (names []string, err error) {
	var name string
	err = db.read(ctx, "read", func(tx *tx) error {
		names = nil
		return tx.each("SELECT account FROM past AS p WHERE application = ?1 AND NOT EXISTS (SELECT 1 FROM account WHERE application = ?1 AND account = p.account)",
			[]any{application}, []any{&name}, func() error {
				names = append(names, strings.Clone(name))
				return nil
			})
	})
	return names, err
}
