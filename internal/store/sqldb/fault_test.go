package sqldb

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

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
