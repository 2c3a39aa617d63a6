package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// writer holds the statements of one batch.
type writer struct {
	find, insert, update *sql.Stmt
}

func newWriter(ctx context.Context, conn *sql.Conn) (*writer, error) {
	w := &writer{}
	for text, statement := range map[string]**sql.Stmt{
		"SELECT " + columns + " FROM credential WHERE name = ?":                      &w.find,
		"INSERT INTO credential (" + columns + ", name) VALUES (?,?,?,?,?,?,?,?,?)":  &w.insert,
		"UPDATE credential SET (" + columns + ") = (?,?,?,?,?,?,?,?) WHERE name = ?": &w.update,
	} {
		prepared, err := conn.PrepareContext(ctx, text)
		if err != nil {
			w.close()
			return nil, err
		}
		*statement = prepared
	}
	return w, nil
}

func (w *writer) close() {
	for _, s := range []*sql.Stmt{w.find, w.insert, w.update} {
		if s != nil {
			_ = s.Close() // with the connection at the latest
		}
	}
}

// write does one write; why says what left the account alone.
func (w *writer) write(ctx context.Context, want shadowsync.Write) (why, err error) {
	if why := refuse(want); why != nil {
		return why, nil
	}
	present, err := scanCredential(w.find.QueryRowContext(ctx, want.Name), nil, nil)
	missing := errors.Is(err, sql.ErrNoRows)
	switch {
	case errors.Is(err, shadowsync.ErrMalformed):
		return err, nil
	case err != nil && !missing:
		return nil, err
	case missing && want.Create:
		_, err = w.insert.ExecContext(ctx, append(values(want.Want), want.Name)...)
		return nil, err
	case missing:
		return shadowsync.ErrNoAccount, nil
	case want.Create || !shadowsync.Equal(present, normal(want.Expect), shadowsync.AllFields):
		return shadowsync.ErrChanged, nil
	case !want.Probes() && shadowsync.Equal(present, normal(want.Want), shadowsync.AllFields):
		return nil, nil
	}
	_, err = w.update.ExecContext(ctx, append(values(want.Want), want.Name)...)
	return nil, err
}

// refuse tells what the schema would refuse, and with it the whole batch.
func refuse(w shadowsync.Write) error {
	password := w.Want.Password()
	switch {
	case w.Name == "" || len(w.Name) > maxName || !utf8.ValidString(w.Name):
		return &shadowsync.RefusedError{Reason: "the account's name is empty, too long or not UTF-8"}
	case len(password) > maxPassword || !utf8.ValidString(password):
		return &shadowsync.RefusedError{Reason: "the password field is too long or not UTF-8"}
	}
	c := w.Want
	for _, d := range []shadowsync.Day{c.LastChange, c.Min, c.Max, c.Warn, c.Inactive, c.Expire} {
		if d < shadowsync.NoDay || d > maxDay {
			return &shadowsync.RefusedError{Reason: "an ageing field is out of range"}
		}
	}
	return nil
}
