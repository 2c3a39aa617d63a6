package sqltest

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// PostgreSQL returns the package's PostgreSQL server.
func PostgreSQL(t testing.TB) *Server { t.Helper(); return once(t, postgreSQL) }

// MariaDB returns the package's MariaDB server.
func MariaDB(t testing.TB) *Server { t.Helper(); return once(t, mariaDB) }

var postgreSQL = sync.OnceValues(func() (*Server, error) { return keep(newPostgreSQL()) })

func newPostgreSQL() (*Server, error) {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	folder, as, err := owned("postgres")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	if out, err := command(folder, as, initdb, "-D", data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("host=" + folder + " port=" + port + " user=postgres dbname=postgres sslmode=disable")
	if err != nil {
		return nil, err
	}
	s := &Server{Admin: stdlib.OpenDB(*config), folder: folder, stopped: syscall.SIGINT}
	s.start = func() (*exec.Cmd, error) {
		cmd := command(folder, as, filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", port, "-k", folder, "-h", "127.0.0.1", "-c", "log_statement=all")
		log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		return cmd, cmd.Start()
	}
	if err := s.Start(); err != nil {
		return s, err
	}
	for _, statement := range []string{"CREATE ROLE shadowsync LOGIN PASSWORD '" + quoted(Secret) + "'", "CREATE DATABASE app ENCODING 'UTF8' TEMPLATE template0"} {
		if _, err := s.Admin.Exec(statement); err != nil {
			return s, err
		}
	}
	config.Database = "app"
	_ = s.Admin.Close()
	s.Admin = stdlib.OpenDB(*config)
	s.DSN = "postgres://shadowsync@127.0.0.1:" + port + "/app"
	s.Local = "postgres://shadowsync@:" + port + "/app?host=" + folder
	return s, s.Admin.Ping()
}

// Log is the server's log, which has every statement of PostgreSQL's.
func (s *Server) Log() string { return filepath.Join(s.folder, "log") }

var mariaDB = sync.OnceValues(func() (*Server, error) { return keep(newMariaDB()) })

func newMariaDB() (*Server, error) {
	install, err := find("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	program, err := find("mariadbd", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	folder, as, err := owned("mysql")
	if err != nil {
		return nil, err
	}
	data, socket := filepath.Join(folder, "data"), filepath.Join(folder, "socket")
	if out, err := command(folder, as, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--force").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := mysql.NewConfig()
	config.Logger = &mysql.NopLogger{}
	config.User, config.Net, config.Addr = "root", "unix", socket
	s := &Server{folder: folder, stopped: syscall.SIGTERM}
	if s.Admin, err = open(config); err != nil {
		return nil, err
	}
	s.start = func() (*exec.Cmd, error) {
		cmd := command(folder, as, program, "--no-defaults", "--datadir="+data, "--socket="+socket, "--port="+port, "--bind-address=127.0.0.1", "--log-error="+s.Log(), "--skip-name-resolve")
		return cmd, cmd.Start()
	}
	if err := s.Start(); err != nil {
		return s, err
	}
	for _, statement := range []string{
		"CREATE USER shadowsync@'127.0.0.1' IDENTIFIED BY '" + quoted(Secret) + "'", "CREATE USER shadowsync@localhost", "CREATE DATABASE app CHARACTER SET utf8mb4",
	} {
		if _, err := s.Admin.Exec(statement); err != nil {
			return s, err
		}
	}
	_ = s.Admin.Close()
	config.DBName = "app"
	s.DSN = "mysql://shadowsync@127.0.0.1:" + port + "/app"
	s.Local = "mysql://shadowsync@/app?socket=" + socket
	s.Admin, err = open(config)
	return s, err
}

func open(config *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// quoted is a text in SQL, for a password with a quote in it.
func quoted(text string) string { return strings.ReplaceAll(text, "'", "''") }
