package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Limits of what is written, and of what is read.
const (
	MaxName     = 256
	MaxPassword = 4096
)

// Separator stands between the parts of a value.
var Separator = scheme.Join("", "")

// perQuestion is how many names one statement asks for: MySQL takes 65,535 parameters.
const perQuestion = 20_000

// Question is a statement that returns the name of each account that its parameter :names lists, the parts
// of its value and, with Reasons, why it cannot be used (empty: it can).
type Question struct {
	Statement Statement
	Values    map[string]any // of its other parameters
	Parts     int
	Opaque    bool // the values are of a scheme of the application's own
	Reasons   bool
}

// Accounts asks for accounts, in one round trip unless there are very many.
func (d *Database) Accounts(ctx context.Context, q Question, names []string) (shadowsync.StoreSnapshot, error) {
	return q.ask(names, func(values map[string]any, a *answer) error {
		return d.Query(ctx, q.Statement, values, a.scan)
	})
}

// Accounts asks in a transaction.
func (t Tx) Accounts(ctx context.Context, q Question, names []string) (shadowsync.StoreSnapshot, error) {
	return q.ask(names, func(values map[string]any, a *answer) error {
		rows, err := t.Query(ctx, q.Statement, values)
		if err != nil {
			return err
		}
		return errors.Join(a.scan(rows), rows.Err(), rows.Close())
	})
}

func (q Question) ask(names []string, run func(map[string]any, *answer) error) (shadowsync.StoreSnapshot, error) {
	n := len(names)
	a := &answer{question: q, asked: make(map[string]bool, n), seen: make(map[string]bool, n)}
	a.snapshot.Accounts, a.snapshot.Malformed = make(map[string]shadowsync.StoredAccount, n), map[string]string{}
	for first := true; first || len(names) > 0; first = false {
		part := names[:min(len(names), perQuestion)]
		names = names[len(part):]
		values := map[string]any{"names": a.ask(part)}
		for name, value := range q.Values {
			values[name] = value
		}
		if err := run(values, a); err != nil {
			return shadowsync.StoreSnapshot{}, err
		}
	}
	return a.snapshot, nil
}

// answer is what a question has found so far.
type answer struct {
	question Question
	asked    map[string]bool
	latest   int // how many names the last statement asked for
	snapshot shadowsync.StoreSnapshot
	seen     map[string]bool
}

// ask returns the list of names for the next statement. No row has a name that cannot be one.
func (a *answer) ask(names []string) (list List) {
	for _, name := range names {
		if name != "" && len(name) <= MaxName && utf8.ValidString(name) && !strings.ContainsRune(name, 0) {
			a.asked[name] = true
			list = append(list, name)
		}
	}
	if len(list) == 0 {
		list = List{""} // a list in SQL is never empty
	}
	a.latest = len(list)
	return list
}

// scan takes the rows. The collation of a table may find 'Admin' for 'admin': only exact names count.
func (a *answer) scan(rows *sql.Rows) error {
	var name, reason sql.NullString
	values := make([]sql.NullString, a.question.Parts)
	into := []any{&name}
	for i := range values {
		into = append(into, &values[i])
	}
	if a.question.Reasons {
		into = append(into, &reason)
	}
	columns, err := rows.Columns()
	if err == nil && len(columns) != len(into) {
		return driver.Malformed("read returns %d columns: there must be %d, the name and then the value", len(columns), len(into))
	}
	for count := 0; err == nil && rows.Next(); count++ {
		if count > 10*a.latest+100 {
			return driver.Malformed("the table has far more rows than there are accounts: is its column of names right?")
		}
		if err = rows.Scan(into...); err == nil && a.asked[name.String] {
			a.take(name.String, values, reason.String)
		}
	}
	return err
}

func (a *answer) take(name string, values []sql.NullString, why string) {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = v.String // NULL is a value that is empty
		if strings.Contains(v.String, Separator) || !utf8.ValidString(v.String) {
			why = "its value holds characters that no hash has"
		}
	}
	value := scheme.Join(parts...)
	switch {
	case a.seen[name]:
		why = "there are several rows of that name"
	case len(value) > MaxPassword:
		why = "its value is too long"
	}
	a.seen[name] = true
	if why != "" {
		delete(a.snapshot.Accounts, name)
		a.snapshot.Malformed[name] = why
		return
	}
	c := shadowsync.Credential{Hash: value}
	if !a.question.Opaque {
		c.Hash, c.Locked = shadowsync.ParsePassword(value)
	}
	a.snapshot.Accounts[name] = shadowsync.StoredAccount{Credential: c}
}

// Refuse returns why a write leaves its account alone, before it is tried; nil: it does not.
func Refuse(w shadowsync.Write, present shadowsync.StoreSnapshot, fields shadowsync.Fields) error {
	account, there := present.Accounts[w.Name]
	switch {
	case w.Create && there:
		return shadowsync.ErrChanged
	case w.Create || w.Delete:
		return &shadowsync.RefusedError{Reason: "only the application adds and removes its accounts"}
	case present.Malformed[w.Name] != "":
		return driver.Malformed("%s", present.Malformed[w.Name])
	case !there:
		return shadowsync.ErrNoAccount
	case !shadowsync.Equal(account.Credential, w.Expect, fields):
		return shadowsync.ErrChanged
	}
	return nil
}

// Names are the accounts of a batch.
func Names(writes []shadowsync.Write) []string {
	names := make([]string, len(writes))
	for i, w := range writes {
		names[i] = w.Name
	}
	return names
}
