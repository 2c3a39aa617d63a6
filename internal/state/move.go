package state

import (
	"context"
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

// stays reports whether the configuration still has an account there. There may be a hundred thousand.
func (m *mover) stays(p place) bool {
	if m.managed == nil {
		m.managed = map[place]bool{}
		for _, h := range m.houses {
			for _, name := range h.Accounts {
				m.managed[place{h.Application, name}] = true
			}
		}
	}
	return m.managed[p]
}

// accounts moves accounts that another application manages now.
func (m *mover) accounts() error {
	known, err := m.known()
	if err != nil {
		return err
	}
	left := map[string][]place{}
	for p := range known {
		if !m.stays(p) {
			left[p.account] = append(left[p.account], p)
		}
	}
	if len(left) == 0 {
		return nil
	}
	for _, h := range m.houses {
		for _, name := range h.Accounts {
			to := place{h.Application, name}
			from, moved := m.elsewhere(left[name], h.Unit)
			if _, here := known[to]; here || !moved {
				continue
			}
			if err := m.moveAccount(from, to); err != nil {
				return err
			}
			m.tell("moved", h.Application, name, "it was an account of %q; its open change and its history moved with it", shown(from.application))
		}
	}
	return nil
}

// shown is the name of a state for people: of one whose store is gone, that of the application.
func shown(name string) string {
	application, _, _ := strings.Cut(name, ".~")
	return application
}

// elsewhere picks the place in another application than that with this unit. Of several stores that an account
// leaves it takes the first one's state along, whose name stands before theirs.
func (m *mover) elsewhere(places []place, unit string) (from place, found bool) {
	for _, p := range places {
		if m.formerOf(p.application).unit != unit && (!found || p.application < from.application) {
			from, found = p, true
		}
	}
	return from, found
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

// moveAccount moves an account's state, to another account or store.
func (m *mover) moveAccount(from, to place) error {
	same := false
	if h, ok := m.house(func(h House) bool { return h.Application == to.application }); ok {
		former := m.formerOf(from.application).store
		same = h.Store.Kind == former.Kind && former.Kind != ""
	}
	if err := m.unpair(from, same); err != nil {
		return err
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

// unpair makes the state of an account that of another store, whose value does not pair with the OS's. The
// former baseline goes into the record, and into the digests of what the application may remember. Values
// of the former store stay only if the other one's are of the same kind. A pending change stays pending: only
// then the next look takes back what the application wrote over it.
func (m *mover) unpair(at place, sameKind bool) error {
	if err := m.displace(at); err != nil {
		return err
	}
	queries := []string{
		"UPDATE account SET os = NULL, store = NULL, write_backs = 0 WHERE application = ?1 AND account = ?2",
		"UPDATE change SET state = iif(state = 'pending', state, 'queued'), verdict = 'adopted' WHERE application = ?1 AND account = ?2 AND state IN ('pending', 'needs-login', 'missing')",
	}
	if !sameKind {
		queries = append(queries, "UPDATE change SET store_hash = '' WHERE application = ?1 AND account = ?2")
	}
	for _, query := range queries {
		if _, err := m.exec(query, at.application, at.account); err != nil {
			return err
		}
	}
	if sameKind {
		return nil
	}
	return m.blankRecord(at)
}

// displace puts an account's baseline into its record.
func (m *mover) displace(at place) error {
	var os, store, origin string
	found, err := m.get("SELECT os, store, coalesce(origin, '{}') FROM account WHERE application = ? AND account = ? AND os IS NOT NULL",
		[]any{at.application, at.account}, &os, &store, &origin)
	if err != nil || !found {
		return err
	}
	e := shadowsync.Entry{Replaced: m.at}
	if e.Baseline, err = pair(os, store); err != nil {
		return err
	}
	if e.Origin, err = (origins{}).parse(origin); err != nil {
		return err
	}
	if err := m.addEntry(at.application, at.account, e); err != nil {
		return err
	}
	return m.addPast(at.application, at.account, shadowsync.PastOf(e.Baseline))
}

// blankRecord takes the store's hashes out of an account's record.
func (m *mover) blankRecord(at place) error {
	blank := map[int64]string{}
	var seq int64
	var store string
	err := m.each("SELECT seq, store FROM entry WHERE application = ? AND account = ?", []any{at.application, at.account}, []any{&seq, &store}, func() error {
		c, err := parseCredential(store)
		c.Hash = ""
		blank[seq] = credentialText(c)
		return err
	})
	for seq, store := range blank {
		if err == nil {
			_, err = m.exec("UPDATE entry SET store = ? WHERE application = ? AND account = ? AND seq = ?", store, at.application, at.account, seq)
		}
	}
	return err
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
