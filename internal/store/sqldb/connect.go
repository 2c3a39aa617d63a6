package sqldb

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	sqldriver "database/sql/driver"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/inroot/litefile"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// Limits of a server's work. Who asks gives up earlier; these end what a server would go on with.
const (
	dialTime      = 2 * time.Second
	lockTime      = 500 * time.Millisecond
	statementTime = 5 * time.Second
)

// connector makes connections.
func (s Source) connector(o driver.Options) (sqldriver.Connector, error) {
	if s.Dialect == SQLite {
		return liteConnector{o.Root, s.File}, nil
	}
	settings, err := s.tls(o.CA)
	if err != nil {
		return nil, err
	}
	if s.Dialect == PostgreSQL {
		return s.postgres(o, settings)
	}
	return s.mysql(o, settings)
}

// tls returns nil for a server on this machine, unless its certificate is to be verified, too.
func (s Source) tls(authorities []byte) (*tls.Config, error) {
	if !s.Verify {
		return nil, nil //nolint:nilnil // no TLS is no fault
	}
	settings := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if len(authorities) > 0 {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, driver.Malformed("the file of the key ca has no certificate in PEM")
		}
	}
	return settings, nil
}

// addresses are where the server is: whoever started this process has resolved its name, because this
// process may reach nothing else.
func (s Source) addresses(o driver.Options) []string {
	if len(o.Addresses) > 0 {
		return o.Addresses
	}
	return s.Endpoint().Addresses
}

func (s Source) postgres(o driver.Options, settings *tls.Config) (sqldriver.Connector, error) {
	// Everything that pgx would take from the environment or from files of a home is set.
	c, err := pgx.ParseConfig("host=localhost port=1 user=nobody dbname=nobody sslmode=disable passfile=/dev/null target_session_attrs=any require_auth=" + s.logins(len(o.Secret) > 0))
	if err != nil {
		return nil, err
	}
	c.Host, c.User, c.Database, c.Password = cmp.Or(s.Socket, s.Host), s.User, s.Database, string(o.Secret)
	port, err := strconv.ParseUint(s.Port, 10, 16)
	if err != nil {
		return nil, err
	}
	c.Port = uint16(port)
	c.TLSConfig, c.Fallbacks, c.ConnectTimeout = settings, nil, dialTime
	c.DialFunc = dialer.DialContext
	if addresses := s.addresses(o); len(addresses) > 0 {
		c.LookupFunc = func(context.Context, string) ([]string, error) { return addresses[:1], nil }
		c.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialAny(ctx, network, addresses, s.Port)
		}
	}
	c.RuntimeParams = map[string]string{
		"application_name": "shadowsync", "client_encoding": "UTF8",
		"lock_timeout": milliseconds(lockTime), "statement_timeout": milliseconds(statementTime),
		"idle_in_transaction_session_timeout": milliseconds(statementTime),
	}
	// One round trip, and no prepared statement that a changed table or a connection pooler spoils.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	// Instead of asking before each use whether the connection is still good, its failure is noticed: see again.
	unasked := func(context.Context, stdlib.ShouldPingParams) bool { return false }
	return stdlib.GetConnector(*c, stdlib.OptionShouldPing(unasked)), nil
}

// logins are the ways to log in that are accepted. Only a verified server gets the password itself. A
// server that asks for none although there is one may be another's, unless it knows who asks; and so may
// one that asks for MD5, which only SCRAM makes show that it knows the password too.
func (s Source) logins(secret bool) string {
	switch {
	case !secret:
		return "none"
	case s.Verify:
		return "scram-sha-256,md5,password"
	case s.Socket != "":
		return "scram-sha-256,md5,none"
	}
	return "scram-sha-256"
}

func (s Source) mysql(o driver.Options, settings *tls.Config) (sqldriver.Connector, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = s.User, string(o.Secret), s.Database
	c.Net, c.Addr = "tcp", net.JoinHostPort(s.Host, s.Port)
	if s.Socket != "" {
		c.Net, c.Addr = "unix", s.Socket
	}
	c.TLS, c.Timeout, c.Logger = settings, dialTime, &mysql.NopLogger{}
	c.ReadTimeout, c.WriteTimeout = 2*statementTime, 2*statementTime
	c.ClientFoundRows = true // a row that holds the value already is found, too
	c.Params = map[string]string{
		"sql_mode":                 "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')", // otherwise a long value is cut off
		"innodb_lock_wait_timeout": "1", "lock_wait_timeout": "1",
	}
	addresses := s.addresses(o)
	if len(addresses) == 0 {
		addresses = []string{s.Host} // whoever started this process is no worker
	}
	switch {
	case s.Socket == "" && settings == nil:
		return unverifiedConnector{c, addresses, s.Port}, nil
	case s.Socket == "":
		c.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialAny(ctx, network, addresses, s.Port)
		}
	}
	return mysql.NewConnector(c)
}

// liteConnector opens a file of SQLite's.
type liteConnector struct{ root, path string }

// Driver implements sqldriver.Connector.
func (liteConnector) Driver() sqldriver.Driver { return &sqlite3.SQLiteDriver{} }

// Connect implements sqldriver.Connector. The file must be there; its journal is the application's choice.
func (c liteConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	folder, err := inroot.OpenPlainFolder(c.root, filepath.Dir(c.path))
	if err != nil {
		return nil, err
	}
	wait := patience
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)-lockTime/5)) // its wait for a lock watches no context
	}
	address, err := litefile.Address(folder.Path(filepath.Base(c.path)), url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_busy_timeout": {milliseconds(wait)}, "_synchronous": {"EXTRA"},
	})
	var conn sqldriver.Conn
	if err == nil {
		conn, err = c.Driver().Open(address)
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &liteConn{conn.(*sqlite3.SQLiteConn), folder}, nil
}

// liteConn keeps the folder open, through which SQLite finds the file and its journal.
type liteConn struct {
	*sqlite3.SQLiteConn
	folder *inroot.Folder
}

// Close implements sqldriver.Conn.
func (c *liteConn) Close() error { return errors.Join(c.SQLiteConn.Close(), c.folder.Close()) }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
