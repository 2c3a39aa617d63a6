package sqldb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// cause is what kind of failure a server reports.
type cause int

const (
	unknown   cause = iota
	login           // it refuses the user or the password
	notLetIn        // whatever the password: pg_hba.conf, or the role
	noRight         // the user may not do that
	layout          // no such database, table or column, or SQL that it does not understand
	readOnly        // it takes no writes
	full            // no space
	memory          // no memory
	crowded         // too many connections
	starting        // or stopping
	late            // it gave up
	locked          // another transaction holds the row or the table
	collision       // another transaction changed the same
	value           // it does not accept the value
)

// Parts of what a fault says, for whoever knows the next command.
const (
	SaysUnreachable = "cannot reach the database server"
	SaysNotTrusted  = "is not trusted"
	SaysLogin       = "the database server refuses the login"
	SaysNotLetIn    = "the database server does not let in"
	SaysNoPassword  = "the database server asks for a password, and none is configured"
	SaysNoSCRAM     = "the database server asks for no login by SCRAM"
	SaysLayout      = "is not as configured: "
	SaysNoRight     = "has no right to do that in the database"
	SaysTooLong     = "it is longer than the column"
	SaysMayNotAlter = "has no right to alter others"
)

// classes are the classes of SQLSTATE (PostgreSQL, appendix A), for codes that are not in states.
var classes = map[string]cause{
	"22": value, "23": value, "28": login, "3D": layout, "3F": layout, "42": layout, "08": starting,
	"P0": value, "09": value, "27": value, "38": value, "39": value, "54": value, // a trigger, a function or an index of the application's
	"0A": layout,
}

var states = map[string]cause{
	"28000": notLetIn, "42501": noRight, "25006": readOnly, "53100": full, "53200": memory, "53300": crowded, "57P01": starting, "57P02": starting, "57P03": starting,
	"57014": late, "55P03": locked, "40001": collision, "40P01": collision, "25P03": late, "44000": value,
	"55000": layout, "08P01": layout, // a view that takes no changes; a pooler that does not take a setting
}

// numbers are the errors of MySQL and MariaDB.
var numbers = map[uint16]cause{
	1045: login, 1130: login, 1698: login, 1862: login, 1820: login, 3118: login, 4151: login, 1251: login, 1275: login,
	1044: noRight, 1142: noRight, 1143: noRight, 1227: noRight, 1370: noRight, 1410: noRight,
	1049: layout, 1146: layout, 1054: layout, 1064: layout, 1356: layout, 1288: layout, 1348: layout, 1471: layout, 1906: layout, 3105: layout, 1290: readOnly, 1792: readOnly, 1836: readOnly, 1015: readOnly, 1036: readOnly,
	1021: full, 1114: full, 1041: memory, 1037: memory, 1038: memory, 1040: crowded, 1203: crowded, 1226: crowded,
	1053: starting, 1079: starting, 1205: locked, 1213: collision, 1020: collision, 3024: late, 1969: late, 1317: late,
	1406: value, 1366: value, 1264: value, 1265: value, 1292: value, 1048: value, 1062: value, 1451: value, 1452: value,
	3819: value, 4025: value, 1369: value, 1644: value, 3988: value, 1819: value, 1372: value, 1396: value,
}

// report is an error of a server.
type report struct {
	cause cause
	code  string
	// text is the server's own; it may hold a value, and is shown only where it names what is missing.
	text string
}

func read(err error) (report, bool) {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var lite sqlite3.Error
	switch {
	case errors.As(err, &pg):
		c, known := states[pg.Code]
		if !known && len(pg.Code) > 2 {
			c = classes[pg.Code[:2]]
		}
		return report{c, "SQLSTATE " + pg.Code, pg.Message}, true
	case errors.As(err, &my):
		c := numbers[my.Number]
		if c == unknown && strings.Contains(my.Message, "No space left on device") { // errno(3) of a file of any engine's
			c = full
		}
		return report{c, fmt.Sprint("error ", my.Number), my.Message}, true
	case errors.As(err, &lite):
		return report{ofLite(lite), fmt.Sprint("SQLite error ", int(lite.Code)), lite.Error()}, true
	}
	return report{}, false
}

func ofLite(e sqlite3.Error) cause {
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return locked
	case sqlite3.ErrConstraint, sqlite3.ErrTooBig, sqlite3.ErrMismatch:
		return value
	case sqlite3.ErrFull:
		return full
	case sqlite3.ErrReadonly:
		return readOnly
	case sqlite3.ErrError, sqlite3.ErrNotADB, sqlite3.ErrCorrupt:
		return layout
	case sqlite3.ErrPerm, sqlite3.ErrAuth:
		return noRight
	}
	return unknown
}

// QuotesValue is the error of a statement that has a value in its text, which a server may quote.
type QuotesValue struct{ error }

// Unwrap returns the server's error.
func (q QuotesValue) Unwrap() error { return q.error }

// Quoting marks an error of such a statement.
func Quoting(err error) error { return QuotesValue{err} }

// requirement begins what pgx says of a server that asks for another login than logins has.
const requirement = "authentication method requirement "

// Fault explains an error as a fault of the whole store.
func (s Source) Fault(err error) error {
	if err == nil || isOwn(err) {
		return err
	}
	if lite := (sqlite3.Error{}); errors.As(err, &lite) && lite.SystemErrno != 0 { // SQLite keeps it where a file cannot be opened or read
		return driver.Unavailable(errors.Join(lite.SystemErrno, err))
	}
	if r, said := read(err); said && r.cause == value { // what a read asked for, or what a trigger made of it
		return s.answer(err, "the database server reports %s", r.code)
	} else if said {
		return s.explain(r, err)
	}
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return driver.Unavailable(err)
	case errors.As(err, &certificate):
		return s.fault(err, "the certificate of the database server %s "+SaysNotTrusted+": %s", s.Host, printable.Clip(certificate.Err.Error(), 200))
	case errors.Is(err, mysql.ErrNoTLS), strings.Contains(err.Error(), "server refused TLS connection"): // pgx has no error for it
		return s.fault(err, "the database server %s offers no TLS", s.Host)
	case errors.As(err, new(unix.Errno)) && s.Dialect == SQLite:
		return driver.Unavailable(err)
	case errors.As(err, &network) && network.Op == "dial":
		return s.fault(err, SaysUnreachable+" at %s: %s", s.place(), driver.Unavailable(network.Err))
	case strings.Contains(err.Error(), requirement+`"none"`):
		return s.answer(err, SaysNoPassword)
	case strings.Contains(err.Error(), requirement):
		return s.answer(err, SaysNoSCRAM+", which alone proves here who it is")
	case lost(err):
		return s.fault(err, "the database server has closed the connection")
	}
	return s.fault(err, "cannot use the database %s: %s", s.Shown(), printable.Clip(err.Error(), 200))
}

// OfAccount returns why a server refused the change of one account, if that is about this account alone:
// its value, or a right that is given for each account. Nil: it is not.
func (s Source) OfAccount(err error) error {
	switch r, _ := read(err); r.cause {
	case value:
		return s.explain(r, err)
	case noRight:
		return driver.Malformed("%s", s.explain(r, err))
	}
	return nil
}

// isOwn reports whether an error is one that stores return.
func isOwn(err error) bool {
	return errors.As(err, new(*driver.Fault)) || errors.As(err, new(*shadowsync.RefusedError))
}

func (s Source) place() string {
	if s.Socket != "" {
		return s.socketPath()
	}
	return net.JoinHostPort(s.Host, s.Port)
}

func (s Source) explain(r report, err error) error {
	shown := printable.Clip(r.text, 200)
	if r.cause == layout && errors.As(err, new(QuotesValue)) { // such as a syntax error
		shown = r.code
	}
	switch r.cause {
	case login:
		return s.answer(err, SaysLogin+" of %s (%s)", s.User, r.code)
	case notLetIn:
		return s.answer(err, SaysNotLetIn+" %s: %s", s.User, shown)
	case noRight:
		return s.answer(err, "%s "+SaysNoRight+": %s", s.who(), shown)
	case layout:
		return driver.Malformed("the database %s "+SaysLayout+"%s", s.Shown(), shown)
	case readOnly:
		return s.answer(err, "the database is read-only")
	case full:
		if s.Dialect == SQLite {
			return s.answer(errors.Join(unix.ENOSPC, err), "the file system has no space left")
		}
		return s.answer(err, "the database server has no space left (%s)", r.code)
	case memory:
		return s.answer(err, "the database server has no memory left (%s)", r.code)
	case crowded:
		return s.answer(err, "the database server has too many connections")
	case starting:
		return s.fault(err, "the database server is starting or stopping")
	case late:
		return s.answer(err, "the database server gave up: no answer in time")
	case locked:
		return s.answer(err, "another transaction holds its lock")
	case collision:
		return s.answer(err, "another transaction changed the same rows")
	case value:
		return &shadowsync.RefusedError{Reason: "the database does not accept the value (" + r.code + ")" + tooLong(r)}
	}
	if errors.As(err, new(*pgconn.ConnectError)) { // a login has no value in it
		return s.answer(err, "the database server takes no login: %s (%s)", shown, r.code)
	}
	return s.answer(err, "the database server reports %s", r.code)
}

func tooLong(r report) string {
	if r.code == "SQLSTATE 22001" || r.code == "error 1406" {
		return ": " + SaysTooLong
	}
	return ""
}

func (s Source) who() string {
	if s.Dialect == SQLite {
		return "the file's owner"
	}
	return s.User
}

func (s Source) fault(err error, format string, args ...any) error {
	return &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: fmt.Sprintf(format, args...), Cause: err}
}

// answer is a fault that the server reported.
func (s Source) answer(err error, format string, args ...any) error {
	return &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: fmt.Sprintf(format, args...), Cause: err, Answered: true}
}
