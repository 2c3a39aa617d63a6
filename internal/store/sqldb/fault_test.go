package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
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

// TestMayNotWrite: a file of SQLite's that this process may only read is told in the kernel's words, and not as a
// read-only file system.
func TestMayNotWrite(t *testing.T) {
	folder, err := os.MkdirTemp("", "") // the user "nobody" cannot enter one of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "app.db")
	made, err := sql.Open("sqlite3", path)
	if err == nil {
		_, err = made.Exec("CREATE TABLE staff (login, hash)")
	}
	if err = errors.Join(err, made.Close(), os.Chmod(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // who may write everything
		const nobody = 65534
		if err := errors.Join(os.Chown(path, nobody, nobody), os.Chown(folder, nobody, nobody), syscall.Seteuid(nobody)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Seteuid(0) })
	}
	for _, tt := range []struct {
		name, path  string
		mode, usual os.FileMode
	}{{"the file", path, 0o444, 0o644}, {"its folder", folder, 0o555, 0o755}, {"its log", path + "-wal", 0o444, 0o644}} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "its log" { // which is there while a program has the database open
				holds, err := sql.Open("sqlite3", path+"?_journal_mode=WAL")
				if err == nil {
					_, err = holds.Exec("INSERT INTO staff VALUES ('c', 'd')")
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = holds.Close() })
			}
			if err := os.Chmod(tt.path, tt.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(tt.path, tt.usual) })
			d, err := Source{Dialect: SQLite, File: path}.Open(driver.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			err = d.Fault(d.Change(t.Context(), func(ctx context.Context, tx Tx) error {
				return tx.Run(ctx, "INSERT INTO staff VALUES ('a', 'b')")
			}))
			if !errors.Is(err, shadowsync.ErrUnavailable) || !errors.Is(err, unix.EACCES) || err.Error() != "permission denied" {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestNoLogin: PostgreSQL on a full disk ends each login by an internal error. Only its text tells more.
func TestNoLogin(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1024))
		refusal, _ := (&pgproto3.ErrorResponse{Severity: "FATAL", Code: "XX000", Message: "could not write init file"}).Encode(nil)
		_, _ = conn.Write(refusal)
	}()
	s, err := Parse("postgres://shadowsync@" + server.Addr().String() + "/site")
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Open(driver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	said := s.Fault(d.Try(t.Context(), func(context.Context, Tx) error { return nil }))
	if !errors.Is(said, shadowsync.ErrUnavailable) || said.Error() != "the database server takes no login: could not write init file (SQLSTATE XX000)" {
		t.Errorf("it says %v", said)
	}
}

// TestAServersDisk: a server that takes no writes has a file system of its own, perhaps on another machine. With a number of
// the kernel's, passwd would say "read-only file system", and one would look for that here.
func TestAServersDisk(t *testing.T) {
	engine := func(text string) error {
		return &mysql.MySQLError{Number: 1030, Message: "Got error " + text + " from storage engine"}
	}
	for want, all := range map[string][]error{
		"the database is read-only":               {&pgconn.PgError{Code: "25006"}, &mysql.MySQLError{Number: 1290}},
		"the database server has no space left ":  {&pgconn.PgError{Code: "53100"}, &mysql.MySQLError{Number: 1021}, engine(`28 "No space left on device"`)},
		"the database server has no memory left ": {&pgconn.PgError{Code: "53200"}, &mysql.MySQLError{Number: 1041}},
		"the database server reports ":            {&pgconn.PgError{Code: "53400"}, engine(`175 "File too short"`)},
	} {
		for i, err := range all {
			said := (Source{Dialect: []Dialect{PostgreSQL, MySQL}[min(i, 1)]}).Fault(err)
			if !errors.Is(said, shadowsync.ErrUnavailable) || errors.As(said, new(unix.Errno)) || !strings.HasPrefix(said.Error(), want) {
				t.Errorf("%v: it says %v", err, said)
			}
		}
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
