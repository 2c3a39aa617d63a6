package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// scanFrom is the number of names from which reading the whole application may be faster than
// seeking each name.
const scanFrom = 1000

// Load returns what is recorded for the named accounts of an application. Nil names means all; an
// empty list asks for the sync mark alone. Its pointers are shared: do not write through them.
func (db *DB) Load(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	if memory, ok := db.recalled(ctx, application, names); ok {
		return memory, nil
	}
	return db.collect(ctx, application, names, (*loader).load)
}

// rows reads the rows of those accounts that the filter selects.
type rows func(l *loader, filter string, args ...any) error

// collect builds a Memory from one consistent snapshot.
func (db *DB) collect(ctx context.Context, application string, names []string, read rows) (shadowsync.Memory, error) {
	l := newLoader(application)
	err := db.read(ctx, "read", func(tx *tx) error {
		l.tx = tx
		return l.everything(names, read)
	})
	if err != nil {
		return shadowsync.Memory{}, err
	}
	return l.memory, nil
}

// Survey is Load without the accounts' records, which are most of the data; for few accounts the
// records are included. The rest shows whether anything changed: baselines, open changes and
// write-backs. Its pointers are shared: do not write through them.
func (db *DB) Survey(ctx context.Context, application string, names []string) (shadowsync.Memory, error) {
	if names != nil && len(names) <= rememberedWhole {
		return db.recollect(ctx, application, names)
	}
	return db.collect(ctx, application, names, (*loader).survey)
}

// Changes returns a Memory that has only the open changes of an application.
func (db *DB) Changes(ctx context.Context, application string) (shadowsync.Memory, error) {
	return db.collect(ctx, application, nil, func(l *loader, filter string, args ...any) error { return l.changes(filter, args) })
}

// loader collects a Memory.
type loader struct {
	tx          *tx
	application string
	now         time.Time
	memory      shadowsync.Memory
	asked       map[string]bool // nil: all
	origin      origins
}

func newLoader(application string) *loader {
	return &loader{
		application: application, now: time.Now(), origin: origins{},
		memory: shadowsync.Memory{Accounts: make(map[string]shadowsync.AccountMemory)},
	}
}

func (l *loader) everything(names []string, read rows) error {
	if err := l.mark(); err != nil {
		return err
	}
	return l.accounts(names, read)
}

func (l *loader) mark() error {
	at := &l.memory.Synced
	var settle string
	_, err := l.tx.get("SELECT synced_os, synced_store, synced_config, settle, past_unknown FROM application WHERE name = ?",
		[]any{l.application}, &at.OS, &at.Store, &at.Config, &settle, &l.memory.PastUnknown)
	if err == nil {
		l.memory.Settle, err = parseTime(settle)
	}
	return err
}

func (l *loader) accounts(names []string, read rows) error {
	switch few, err := l.few(len(names)); {
	case err != nil:
		return err
	case names == nil:
		return read(l, "", l.application)
	case len(names) == 0:
		return nil
	case few:
		list, err := json.Marshal(names)
		if err != nil {
			return err
		}
		return read(l, " AND account IN (SELECT value FROM json_each(?))", l.application, string(list))
	}
	l.asked = make(map[string]bool, len(names))
	for _, name := range names {
		l.asked[name] = true
	}
	return read(l, "", l.application)
}

// few reports whether to seek that many names: seeking a row takes about twice as long as reading
// past it.
func (l *loader) few(n int) (bool, error) {
	if n < scanFrom {
		return true, nil
	}
	var all int
	_, err := l.tx.get("SELECT count(*) FROM account WHERE application = ?", []any{l.application}, &all)
	return 2*n < all, err
}

func (l *loader) survey(filter string, args ...any) error {
	if err := l.baselines(filter, args); err != nil {
		return err
	}
	return l.changes(filter, args)
}

func (l *loader) load(filter string, args ...any) error {
	if err := l.survey(filter, args...); err != nil {
		return err
	}
	if err := l.record(filter, args); err != nil {
		return err
	}
	return l.past(filter, args)
}

func (l *loader) past(filter string, args []any) error {
	var name, digests string
	return l.tx.each("SELECT account, digests FROM past WHERE application = ?"+filter, args, []any{&name, &digests}, func() error {
		l.update(name, func(to *shadowsync.AccountMemory) { to.Past = strings.Fields(digests) })
		return nil
	})
}

// update applies change to the collected memory of an account, if that account was asked for.
func (l *loader) update(name string, change func(*shadowsync.AccountMemory)) {
	if l.asked != nil && !l.asked[name] {
		return
	}
	m := l.memory.Accounts[name]
	change(&m)
	l.memory.Accounts[name] = m
}

func (l *loader) baselines(filter string, args []any) error {
	var name, person string
	var os, store, origin sql.NullString
	var writeBacks int
	return l.tx.each("SELECT account, os, store, origin, write_backs, person FROM account WHERE application = ?"+filter,
		args, []any{&name, &os, &store, &origin, &writeBacks, &person}, func() error {
			m := shadowsync.AccountMemory{WriteBacks: writeBacks, Person: person}
			if os.Valid {
				b, err := pair(os.String, store.String)
				if err != nil {
					return err
				}
				m.Baseline = &b
			}
			if origin.Valid {
				o, err := l.origin.parse(origin.String)
				if err != nil {
					return err
				}
				m.LastChange = &o
			}
			l.update(name, func(to *shadowsync.AccountMemory) { *to = m })
			return nil
		})
}

const changeColumns = "account, state, reason, verdict, os, store_hash, origin, since, fields"

func (l *loader) changes(filter string, args []any) error {
	var row changeRow
	return l.tx.each("SELECT "+changeColumns+" FROM change WHERE application = ?"+filter, args, row.dest(), func() error {
		c, err := row.change(l.origin)
		if err != nil {
			return err
		}
		l.update(c.Account, func(to *shadowsync.AccountMemory) { to.Open = &c })
		return nil
	})
}

// record reads the entries, newest first. Those beyond their age are deleted at the account's next
// Commit, and are left out until then.
func (l *loader) record(filter string, args []any) error {
	if err := l.entries(filter, args); err != nil {
		return err
	}
	for name, m := range l.memory.Accounts {
		if len(m.Record) > 0 {
			m.Record = m.Record.Trim(l.now, l.tx.db.passwords)
			l.memory.Accounts[name] = m
		}
	}
	return nil
}

func (l *loader) entries(filter string, args []any) error {
	var name, os, store, origin, replaced, next string
	var lost bool
	var returns int
	return l.tx.each("SELECT account, os, store, origin, replaced, lost, coalesce(origin ->> 'returns', 0), coalesce(origin ->> 'next', '') FROM entry WHERE application = +?"+filter+" ORDER BY account, seq DESC",
		args, []any{&name, &os, &store, &origin, &replaced, &lost, &returns, &next}, func() (err error) {
			e := shadowsync.Entry{Lost: lost, Returns: returns, Next: next}
			if e.Baseline, err = pair(os, store); err != nil {
				return err
			}
			if e.Replaced, err = parseTime(replaced); err != nil {
				return err
			}
			if e.Origin, err = l.origin.parse(origin); err != nil {
				return err
			}
			l.update(name, func(to *shadowsync.AccountMemory) { to.Record = append(to.Record, e) })
			return nil
		})
}

// changeRow is a row of the table change.
type changeRow struct {
	account, state, reason, verdict, os, storeHash, origin, since string

	fields shadowsync.Fields
}

func (r *changeRow) dest() []any {
	return []any{&r.account, &r.state, &r.reason, &r.verdict, &r.os, &r.storeHash, &r.origin, &r.since, &r.fields}
}

// rowOf is the row of an open change.
func rowOf(c shadowsync.Change) (changeRow, error) {
	origin, err := originText(c.Origin)
	return changeRow{
		account: c.Account, state: string(c.State), reason: c.Reason, verdict: string(c.Verdict), os: credentialText(c.OS),
		storeHash: c.StoreHash, origin: origin, since: timeText(c.Since), fields: c.Fields,
	}, err
}

// values are what putChange and replaceChange write.
func (r *changeRow) values(application string) []any {
	return []any{application, r.account, r.state, r.reason, r.verdict, r.os, r.storeHash, r.origin, r.since, r.fields}
}

func (r *changeRow) change(known origins) (c shadowsync.Change, err error) {
	c = shadowsync.Change{
		Account: r.account, State: shadowsync.ChangeState(r.state), Reason: r.reason,
		Verdict: shadowsync.Verdict(r.verdict), StoreHash: r.storeHash, Fields: r.fields,
	}
	if c.OS, err = parseCredential(r.os); err != nil {
		return c, err
	}
	if c.Since, err = parseTime(r.since); err != nil {
		return c, err
	}
	c.Origin, err = known.parse(r.origin)
	return c, err
}

// origins parses origins and remembers some: one bulk change gives the same origin to thousands of
// accounts, and an account's entries have several.
type origins map[string]shadowsync.Origin

// rememberedOrigins is how many origins are remembered.
const rememberedOrigins = 64

func (o origins) parse(text string) (shadowsync.Origin, error) {
	origin, ok := o[text]
	if ok {
		return origin, nil
	}
	if err := parseJSON(text, &origin); err != nil {
		return origin, err
	}
	if len(o) == rememberedOrigins {
		clear(o)
	}
	o[text] = origin
	return origin, nil
}
