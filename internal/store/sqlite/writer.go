package sqlite

import (
	"database/sql"
	"errors"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// write does one write; why says why it left the account alone.
func (c *connection) write(want shadowsync.Write) (why, err error) {
	if why := refuse(want); why != nil {
		return why, nil
	}
	row, err := c.row("SELECT "+columns+" FROM credential WHERE name = ?", want.Name)
	if err != nil {
		return nil, err
	}
	present, err := scanCredential(row, nil, nil)
	missing := errors.Is(err, sql.ErrNoRows)
	switch {
	case errors.Is(err, shadowsync.ErrMalformed):
		return err, nil
	case err != nil && !missing:
		return nil, err
	case missing && want.Create:
		return nil, c.exec("INSERT INTO credential ("+columns+", name) VALUES (?,?,?,?,?,?,?,?,?)", append(values(want.Want), want.Name)...)
	case missing:
		return shadowsync.ErrNoAccount, nil
	case want.Create || !shadowsync.Equal(present, normal(want.Expect), shadowsync.AllFields):
		return shadowsync.ErrChanged, nil
	case want.Delete:
		return nil, c.exec("DELETE FROM credential WHERE name = ?", want.Name)
	case !want.Probes() && shadowsync.Equal(present, normal(want.Want), shadowsync.AllFields):
		return nil, nil
	}
	return nil, c.exec("UPDATE credential SET ("+columns+") = (?,?,?,?,?,?,?,?) WHERE name = ?", append(values(want.Want), want.Name)...)
}

// refuse returns why the schema would refuse a write, which would fail the whole batch.
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
