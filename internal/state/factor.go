package state

import (
	"context"
	"database/sql"
	"time"

	"github.com/shadowsync/shadowsync/internal/factor"
)

const factorColumns = "realm, account, state, secret, generation, step, recovery, ticket, ticket_boot, ticket_until, mail, enrolled, used, mailed, uid, places"

// factorRow is a row of the table factor.
type factorRow struct {
	factor.Record
	recovery, enrolled, used, mailed, places string
	ticket                                   factor.Ticket
	boot                                     sql.NullString
	until                                    sql.NullInt64
}

func (r *factorRow) dest() []any {
	return []any{
		&r.Realm, &r.Account, &r.State, &r.Secret, &r.Generation, &r.Step, &r.recovery,
		&r.ticket.Hash, &r.boot, &r.until, &r.Mail, &r.enrolled, &r.used, &r.mailed, &r.UID, &r.places,
	}
}

func (r *factorRow) record() (factor.Record, error) {
	record := r.Record
	if _, err := factor.ParseRealm(string(r.Realm)); err != nil {
		return record, malformed("realm", string(r.Realm))
	}
	switch r.State {
	case factor.None, factor.Pending, factor.Enrolled:
	default:
		return record, malformed("state of a factor", string(r.State))
	}
	err := parseJSON(r.recovery, &record.Recovery)
	if err == nil {
		record.EnrolledAt, err = parseTime(r.enrolled)
	}
	if err == nil {
		record.UsedAt, err = parseTime(r.used)
	}
	if err == nil {
		err = parseJSON(r.mailed, &record.Mailed)
	}
	if err == nil {
		err = parseJSON(r.places, &record.Places)
	}
	if r.boot.Valid {
		record.Ticket = &factor.Ticket{Hash: r.ticket.Hash, Boot: r.boot.String, Until: time.Duration(r.until.Int64)}
	}
	return record, err
}

// Factor returns what is kept of an account's second factor. If nothing is, its state is None.
func (db *DB) Factor(ctx context.Context, s factor.Subject) (r factor.Record, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		r, err = tx.factor(s)
		return err
	})
	return r, err
}

func (t *tx) factor(s factor.Subject) (factor.Record, error) {
	var row factorRow
	found, err := t.get("SELECT "+factorColumns+" FROM factor WHERE realm = ? AND account = ?", []any{string(s.Realm), s.Account}, row.dest()...)
	if err != nil || !found {
		return factor.Record{Subject: s, State: factor.None}, err
	}
	return row.record()
}

// FactorsOfUID returns what is kept of the accounts that had this uid when they were last looked at.
func (db *DB) FactorsOfUID(ctx context.Context, uid int) (all []factor.Record, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		all, err = tx.factorsWhere("uid = ?", uid)
		return err
	})
	return all, err
}

// Factors returns all that is kept of second factors, sorted by realm and account.
func (db *DB) Factors(ctx context.Context) (all []factor.Record, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		all, err = tx.factors()
		return err
	})
	return all, err
}

func (t *tx) factors() ([]factor.Record, error) { return t.factorsWhere("TRUE") }

func (t *tx) factorsWhere(condition string, args ...any) (all []factor.Record, err error) {
	var row factorRow
	err = t.each("SELECT "+factorColumns+" FROM factor WHERE "+condition+" ORDER BY realm, account", args, row.dest(), func() error {
		r, err := row.record()
		all = append(all, r)
		row = factorRow{} // its slices belong to the record now
		return err
	})
	return all, err
}

// ChangeFactor changes an account's second factor, in one transaction with what is audited. If that
// changes who must show a code, list is called with all records before the change is durable: an error
// of it undoes the change.
func (db *DB) ChangeFactor(ctx context.Context, s factor.Subject, change func(factor.Record) (factor.Change, error), list List) error {
	return db.write(ctx, "change a second factor in", func(tx *tx) error {
		before, err := tx.factor(s)
		if err != nil {
			return err
		}
		c, err := change(before)
		if err == nil {
			err = tx.putFactor(c.Record)
		}
		if err == nil && (before.Asked() != c.Record.Asked() || before.State != c.Record.State) {
			err = tx.listFactors(list)
		}
		if err == nil {
			err = tx.audit(c.Events...)
		}
		if err != nil || c.Logout == nil {
			return err
		}
		return tx.addLogout(c.Logout.Application, c.Logout.Logout)
	})
}

// List writes the list of who must show a code, of these records. Without known, the state has not written
// it before, so that it may name accounts of which a lost state knew.
type List func(all []factor.Record, known bool) error

func (t *tx) listFactors(list List) error {
	all, err := t.factors()
	if err != nil {
		return err
	}
	var one int
	known, err := t.get("SELECT one FROM listed", nil, &one)
	if err == nil {
		err = list(all, known)
	}
	if err == nil && !known {
		_, err = t.exec("INSERT INTO listed VALUES (1)")
	}
	return err
}

func (t *tx) putFactor(r factor.Record) error {
	recovery, err := jsonText(r.Recovery)
	if err != nil {
		return err
	}
	mailed, err := jsonText(r.Mailed)
	if err != nil {
		return err
	}
	places, err := jsonText(r.Places)
	if err != nil {
		return err
	}
	var ticket, boot, until any // NULL: none
	if r.Ticket != nil {
		ticket, boot, until = r.Ticket.Hash, r.Ticket.Boot, int64(r.Ticket.Until)
	}
	secret := r.Secret
	if secret == nil {
		secret = []byte{}
	}
	_, err = t.exec("REPLACE INTO factor ("+factorColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(r.Realm), r.Account, string(r.State), secret, r.Generation, r.Step, recovery, ticket, boot, until, r.Mail, timeText(r.EnrolledAt), timeText(r.UsedAt), mailed, r.UID, places)
	return err
}

// dropFactor drops the second factor of a former owner of an account's name, like a reset: the
// generation rises, so that no backup brings it back. Nobody gets an enrolment code.
func (t *tx) dropFactor(account string) error {
	_, err := t.exec(`UPDATE factor SET state = ?, secret = x'', generation = generation + 1, step = 0, recovery = 'null',
		ticket = NULL, ticket_boot = NULL, ticket_until = NULL, mail = '', enrolled = '', used = '', mailed = 'null', uid = NULL, places = 'null' WHERE realm = ? AND account = ?`,
		string(factor.None), string(factor.Local), account)
	return err
}

// moveFactor gives the second factor of a renamed account to its new name. The secret is sealed for the
// old name and does not open any more, so that the account is refused, or gets in with a recovery code,
// until root resets the factor: never without one. The old name keeps a record that says that it has none.
func (t *tx) moveFactor(from, to string) error {
	former := factor.Subject{Realm: factor.Local, Account: from}
	r, err := t.factor(former)
	if err != nil || r.Generation == 0 {
		return err
	}
	_, err = t.exec("UPDATE OR REPLACE factor SET account = ? WHERE realm = ? AND account = ?", to, string(factor.Local), from)
	if err != nil {
		return err
	}
	return t.putFactor(factor.Record{Subject: former, State: factor.None, Generation: r.Generation + 1})
}

// TakeFactors takes over those of the given records that hold against the present ones (factor.Merge).
func (db *DB) TakeFactors(ctx context.Context, others []factor.Record) error {
	return db.write(ctx, "take second factors into", func(tx *tx) error { return tx.mergeFactors(others) })
}

// mergeFactors takes over those of the given records that hold against the present ones.
func (t *tx) mergeFactors(others []factor.Record) error {
	for _, other := range others {
		present, err := t.factor(other.Subject)
		if err == nil {
			err = t.putFactor(factor.Merge(other, present))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleFactors makes of the second factors of a backup, which are in the state by now, those that hold.
func (t *tx) settleFactors(live []factor.Record, merge MergeFactors) error {
	backup, err := t.factors()
	if err != nil {
		return err
	}
	all, err := merge(live, backup)
	for _, m := range all {
		if err == nil {
			err = t.putFactor(m.Record)
		}
	}
	return err
}

// SetUIDs notes which uids the accounts of second factors have.
func (db *DB) SetUIDs(ctx context.Context, uids map[factor.Subject]int) error {
	return db.write(ctx, "note uids in", func(tx *tx) error {
		for s, uid := range uids {
			if _, err := tx.exec("UPDATE factor SET uid = ? WHERE realm = ? AND account = ?", uid, string(s.Realm), s.Account); err != nil {
				return err
			}
		}
		return nil
	})
}

// ListFactors calls list with all records, while none can change.
func (db *DB) ListFactors(ctx context.Context, list List) error {
	return db.write(ctx, "list the second factors of", func(tx *tx) error { return tx.listFactors(list) })
}
