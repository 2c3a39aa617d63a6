package sqldb

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// Source is a database as its URL names it.
type Source struct {
	Dialect  Dialect
	User     string
	Host     string // empty: a Unix socket, or a file
	Port     string
	Database string
	Socket   string // the path of the Unix socket, as the server's own clients are told: a folder for PostgreSQL
	File     string // of SQLite
	Verify   bool   // TLS with a verified certificate; false: none
}

// Keys are the keys of every store in a database server.
var Keys = []key.Key{
	{Name: "dsn", Kind: key.Text, Required: true, Doc: "The database as a URL without a password: `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE`, `sqlite:///PATH`. A Unix socket: `postgres://USER@/DATABASE?host=/run/postgresql`, `mysql://USER@/DATABASE?socket=/run/mysqld/mysqld.sock`."},
	driver.PasswordFile, driver.Credential, driver.CA,
}

// The modes of TLS, as libpq and MySQL's own clients call them.
const (
	modeOff    = "disable"
	modeVerify = "verify-full"
)

// Parse reads the URL. An error never repeats it: it may hold a password by mistake.
func Parse(dsn string) (Source, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return Source{}, key.Bad("dsn", "dsn is not a URL such as %q", "postgres://shadowsync@127.0.0.1/app")
	}
	if _, given := u.User.Password(); given {
		return Source{}, key.Bad("dsn", `dsn holds a password: it belongs into "password_file" or a "credential"`)
	}
	dialect, known := dialects[u.Scheme]
	switch {
	case !known:
		return Source{}, key.Bad("dsn", "dsn must begin with postgres://, mysql:// or sqlite:///")
	case dialect == SQLite:
		return file(u)
	}
	return server(u, dialect)
}

func file(u *url.URL) (Source, error) {
	if u.Host != "" || u.User != nil || u.RawQuery != "" || u.Opaque != "" || !filepath.IsAbs(u.Path) || filepath.Clean(u.Path) != u.Path {
		return Source{}, key.Bad("dsn", "dsn must be sqlite:// and an absolute, plain path, such as %q", "sqlite:///var/lib/app/db.sqlite3")
	}
	return Source{Dialect: SQLite, File: u.Path}, nil
}

func server(u *url.URL, dialect Dialect) (Source, error) {
	s := Source{Dialect: dialect, User: u.User.Username(), Host: u.Hostname(), Port: u.Port(), Database: strings.TrimPrefix(u.Path, "/")}
	if s.Port == "" {
		s.Port = dialect.port()
	}
	if n, err := strconv.ParseUint(s.Port, 10, 16); err != nil || n == 0 {
		return s, key.Bad("dsn", "dsn names a port that is none")
	}
	settings, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s, key.Bad("dsn", "dsn has settings that cannot be read")
	}
	mode := ""
	for name, values := range settings {
		switch {
		case len(values) > 1:
			return s, key.Bad("dsn", "dsn has the setting %q twice", name)
		case name == dialect.socketSetting():
			s.Socket = values[0]
		case name == "sslmode":
			mode = values[0]
		case name == "password" || name == "passfile":
			return s, key.Bad("dsn", `dsn holds a password: it belongs into "password_file" or a "credential"`)
		case name == "sslrootcert":
			return s, key.Bad("dsn", `dsn: the certificate authority belongs into the key "ca"`)
		default:
			return s, key.Bad("dsn", "dsn has the setting %q; known are %q and %q", name, dialect.socketSetting(), "sslmode")
		}
	}
	return s.complete(mode)
}

func (s Source) complete(mode string) (Source, error) {
	switch {
	case s.User == "":
		return s, key.Bad("dsn", "dsn names no user of the database")
	case s.Database == "" && s.Dialect == PostgreSQL || strings.ContainsRune(s.Database, 0):
		return s, key.Bad("dsn", "dsn names no database")
	case strings.Contains(s.Host, ","):
		return s, key.Bad("dsn", "dsn names several hosts: there must be one")
	case (s.Host == "") == (s.Socket == ""):
		return s, key.Bad("dsn", "dsn must name either a host or a Unix socket (%s=PATH)", s.Dialect.socketSetting())
	case s.Socket != "" && (!filepath.IsAbs(s.Socket) || filepath.Clean(s.Socket) != s.Socket):
		return s, key.Bad("dsn", "dsn: the path of the Unix socket must be absolute and plain")
	case mode != "" && mode != modeOff && mode != modeVerify:
		return s, key.Bad("dsn", "dsn: sslmode=%s does not verify who the server is: use %s, or %s for a server on this machine", mode, modeVerify, modeOff)
	case mode == modeOff && !s.Local():
		return s, key.Bad("dsn", "dsn: sslmode=%s is for a server on this machine: without TLS the password of the database and all hashes can be read on the way to %s", modeOff, s.Host)
	case mode == modeVerify && s.Socket != "":
		return s, key.Bad("dsn", "dsn: a Unix socket has no TLS")
	}
	s.Verify = mode == modeVerify || !s.Local()
	return s, nil
}

// Local reports whether the server is on this machine, without asking anybody what a name means.
func (s Source) Local() bool {
	if s.Socket != "" || s.Host == localhost {
		return true
	}
	address, err := netip.ParseAddr(s.Host)
	return err == nil && address.IsLoopback()
}

const localhost = "localhost"

// Endpoint is what a process that uses the database must reach.
func (s Source) Endpoint() driver.Endpoint {
	switch {
	case s.Socket != "":
		return driver.Endpoint{Socket: s.socketPath()}
	case s.Host == localhost: // DNS may say that it is elsewhere
		return driver.Endpoint{Addresses: []string{"127.0.0.1", "::1"}, Port: s.Port}
	}
	return driver.Endpoint{Host: s.Host, Port: s.Port}
}

// socketPath is the socket itself.
func (s Source) socketPath() string {
	if s.Dialect == PostgreSQL {
		return filepath.Join(s.Socket, ".s.PGSQL."+s.Port)
	}
	return s.Socket
}

// Plain names the database in one spelling: not who logs in there, or how.
func (s Source) Plain() string {
	u := url.URL{Scheme: strings.TrimRight(s.Dialect.Begins(), ":/"), Path: "/" + s.Database}
	switch {
	case s.File != "":
		u.Path = s.File
	case s.Socket != "":
		u.RawQuery = url.Values{s.Dialect.socketSetting(): {s.socketPath()}}.Encode()
	default:
		u.Host = net.JoinHostPort(strings.ToLower(s.Host), s.Port)
	}
	return u.String()
}

// Server is Plain for the whole server.
func (s Source) Server() string {
	s.Database = ""
	return s.Plain()
}

// Shown names the database to people.
func (s Source) Shown() string {
	switch {
	case s.File != "":
		return s.File
	case s.Socket != "":
		return s.Database + " at " + s.Socket
	}
	return s.Database + " at " + s.Host
}
