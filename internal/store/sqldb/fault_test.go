package sqldb

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// TestCannotOpen: a file of SQLite's that is not there is told in the kernel's words.
func TestCannotOpen(t *testing.T) {
	s := Source{Dialect: SQLite, File: filepath.Join(t.TempDir(), "moved.db")}
	d, err := s.Open(driver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = s.Fault(d.Try(t.Context(), func(context.Context, Tx) error { return nil }))
	if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, unix.ENOENT) || err.Error() != "no such file or directory" {
		t.Errorf("it says %v", err)
	}
}

// TestNoValueInAFault: a syntax error quotes the statement, and ALTER USER has the verifier in it.
func TestNoValueInAFault(t *testing.T) {
	const verifier = "*0123456789ABCDEF0123456789ABCDEF01234567"
	for _, err := range []error{
		&mysql.MySQLError{Number: 1064, Message: "You have an error in your SQL syntax near 'AS '" + verifier + "''"},
		&pgconn.PgError{Code: "42601", Message: "syntax error at or near \"" + verifier + "\""},
	} {
		if said := (Source{}).Fault(Quoting(err)).Error(); strings.Contains(said, verifier) || !strings.Contains(said, "not as configured") {
			t.Errorf("it says %q", said)
		}
		if said := (Source{}).Fault(err).Error(); !strings.Contains(said, "syntax") {
			t.Errorf("of a statement without a value it says %q", said)
		}
	}
}
