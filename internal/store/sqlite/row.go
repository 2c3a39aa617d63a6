package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

const columns = "password, last_change, must_change, min_days, max_days, warn_days, inactive_days, expire_day"

// Limits of what is read, whatever the database holds.
const (
	maxLength   = 32 << 20 // of any text, for SQLite itself
	maxPassword = 4096
	maxName     = 256
	maxDay      = 1<<31 - 1
)

// day is a column of days: NULL is an empty field.
type day struct{ *shadowsync.Day }

// Scan implements sql.Scanner.
func (d day) Scan(value any) error {
	*d.Day = shadowsync.NoDay
	if value == nil {
		return nil
	}
	n, ok := value.(int64)
	if !ok || n < 0 || n > maxDay {
		return errors.New("not a day")
	}
	*d.Day = shadowsync.Day(n)
	return nil
}

// field returns a day as its column value.
func field(d shadowsync.Day) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(d), Valid: d != shadowsync.NoDay}
}

// scanner is *sql.Row or *sql.Rows.
type scanner interface{ Scan(...any) error }

// scanCredential reads the columns, and those that the query has before and after them.
func scanCredential(row scanner, before, after []any) (shadowsync.Credential, error) {
	var c shadowsync.Credential
	var password sql.NullString // NULL: the account has none
	into := append(before, &password, day{&c.LastChange}, &c.MustChange, day{&c.Min}, day{&c.Max}, day{&c.Warn}, day{&c.Inactive}, day{&c.Expire})
	if err := row.Scan(append(into, after...)...); err != nil {
		return c, scanError(err)
	}
	if len(password.String) > maxPassword {
		return c, driver.Malformed("a password column holds more than %d bytes", maxPassword)
	}
	c.Hash, c.Locked = shadowsync.ParsePassword(password.String)
	return normal(c), nil
}

// scanError passes errors of SQLite and of the context on. It replaces errors of the conversion,
// because their texts hold the value.
func scanError(err error) error {
	var e sqlite3.Error
	if errors.Is(err, sql.ErrNoRows) || errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return driver.Malformed("a row of credential holds what its schema does not allow")
}

// normal expresses "must change" as shadow(5) does: a last-change day of 0 says it, and leaves no
// room for another day.
func normal(c shadowsync.Credential) shadowsync.Credential {
	c.MustChange = c.MustChange || c.LastChange == 0
	if c.MustChange {
		c.LastChange = shadowsync.NoDay
	}
	return c
}

// values returns the column values of a credential.
func values(c shadowsync.Credential) []any {
	c = normal(c)
	return []any{c.Password(), field(c.LastChange), c.MustChange, field(c.Min), field(c.Max), field(c.Warn), field(c.Inactive), field(c.Expire)}
}

func timeOf(milliseconds int64) time.Time {
	if milliseconds <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds)
}
