package sqldb

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"net"

	"github.com/go-sql-driver/mysql"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// While a server is stopped, every user of the machine can listen on its port. Where no certificate tells
// it apart, such a listener must not get the password: with the plugins sha256_password and
// caching_sha2_password it would name a key of its own, and the client would encrypt the password with
// it. MySQL's own client has --get-server-public-key for that, which is off.

// unverifiedConnector connects to such a server.
type unverifiedConnector struct {
	config    *mysql.Config
	addresses []string
	port      string
}

// Driver implements sqldriver.Connector.
func (unverifiedConnector) Driver() sqldriver.Driver { return mysql.MySQLDriver{} }

// Connect implements sqldriver.Connector.
func (u unverifiedConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	guarded := &loginGuard{}
	c := u.config.Clone()
	c.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := dialAny(ctx, network, u.addresses, u.port)
		if err != nil {
			return nil, err
		}
		guarded.TCPConn, _ = conn.(*net.TCPConn)
		return guarded, nil
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if guarded.refused || errors.Is(err, mysql.ErrCleartextPassword) {
		return nil, &driver.Fault{Kind: shadowsync.ErrUnavailable, Reason: SaysUnverified, Cause: err}
	}
	return conn, err
}

// SaysUnverified says that a login would give the password away.
const SaysUnverified = "the database server asks for the password itself, and nothing shows that it is the right server: dsn must name its Unix socket, or have sslmode=verify-full"

// loginGuard is a connection that ends when a login asks for the server's key, or sends what may be
// encrypted with it. It keeps the methods of TCPConn, with which the driver notices a lost connection.
type loginGuard struct {
	*net.TCPConn
	over, refused bool // the login
}

var errUnverified = errors.New("the server is not verified")

// The packets of a login. The client's numbers are odd: 1 is its answer to the greeting, which has no room
// for what is encrypted. The first command has the number 0 again.
const (
	packetHead   = 4  // with the number in the last byte
	longestProof = 64 // in bytes; that of MariaDB's ed25519
	keyRequest   = 2  // the only byte of a packet: this, or 1 of sha256_password
)

// Write implements net.Conn. The driver writes each packet by one call.
func (g *loginGuard) Write(packet []byte) (int, error) {
	if !g.over && len(packet) > packetHead {
		number, content := packet[packetHead-1], packet[packetHead:]
		g.over = number == 0
		if number > 1 && (len(content) > longestProof || len(content) == 1 && content[0] <= keyRequest) {
			g.refused = true
			return 0, errUnverified
		}
	}
	return g.TCPConn.Write(packet)
}
