package sqldb

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

const password = "hunter2 and more"

// listen is a server of somebody else's, on the port that the real one has left.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// connect logs in to such a server.
func connect(t *testing.T, dsn string) error {
	t.Helper()
	s, err := Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Open(driver.Options{Secret: []byte(password)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return s.Fault(d.Change(t.Context(), func(context.Context, Tx) error { return nil }))
}

// mysqlServer speaks what of MySQL's protocol comes before a login.
type mysqlServer struct {
	conn net.Conn
	next byte
}

func (m *mysqlServer) send(payload []byte) {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	head[3] = m.next
	_, _ = m.conn.Write(append(head, payload...))
	m.next++
}

func (m *mysqlServer) receive() []byte {
	head := make([]byte, 4)
	if _, err := io.ReadFull(m.conn, head); err != nil {
		return nil
	}
	m.next = head[3] + 1
	head[3] = 0
	payload := make([]byte, binary.LittleEndian.Uint32(head))
	_, _ = io.ReadFull(m.conn, payload)
	return payload
}

// greet begins with the plugin that the server asks to log in by.
func (m *mysqlServer) greet(plugin string) {
	const capabilities = 0x000fa2ff // with protocol 4.1, secure connections and plugins, without TLS
	salt := bytes.Repeat([]byte("s"), 20)
	p := append([]byte{10}, "8.0.36\x00"...)
	p = append(p, 1, 0, 0, 0)
	p = append(append(p, salt[:8]...), 0)
	p = binary.LittleEndian.AppendUint16(p, capabilities&0xffff)
	p = append(p, 45, 2, 0)
	p = binary.LittleEndian.AppendUint16(p, capabilities>>16)
	p = append(p, 21)
	p = append(p, make([]byte, 10)...)
	p = append(append(p, salt[8:]...), 0)
	m.send(append(append(p, plugin...), 0))
}

// TestNoPasswordForTheWrongServer: while the real server is stopped, every user of the machine can listen on
// its port. MySQL's newer logins would then send the password to a key of that user's.
func TestNoPasswordForTheWrongServer(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := append([]byte{1}, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	for name, ask := range map[string]func(m *mysqlServer){
		"caching_sha2_password": func(m *mysqlServer) {
			m.greet("caching_sha2_password")
			m.receive()
			m.send([]byte{1, 4}) // the whole login
			m.receive()
			m.send(public)
		},
		"sha256_password": func(m *mysqlServer) {
			m.greet("sha256_password")
			m.receive()
			m.send(public)
		},
		"sha256_password later": func(m *mysqlServer) {
			m.greet("mysql_native_password")
			m.receive()
			m.send(append([]byte("\xfesha256_password\x00"), bytes.Repeat([]byte("s"), 20)...))
			m.receive()
			m.send(public)
		},
		"mysql_clear_password": func(m *mysqlServer) {
			m.greet("mysql_native_password")
			m.receive()
			m.send([]byte("\xfemysql_clear_password\x00"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 16)
			at := listen(t, func(c net.Conn) {
				m := &mysqlServer{conn: c}
				ask(m)
				got <- m.receive()
			})
			err := connect(t, "mysql://shadowsync@"+at+"/app")
			if err == nil || !strings.Contains(err.Error(), SaysUnverified) || strings.Contains(err.Error(), password) {
				t.Errorf("%v", err)
			}
			sent := <-got
			plain, failed := rsa.DecryptOAEP(sha1.New(), nil, key, sent, nil)
			if failed == nil {
				for i := range plain {
					plain[i] ^= bytes.Repeat([]byte("s"), 20)[i%20]
				}
				t.Errorf("somebody else's server has the password %q", plain)
			}
			if bytes.Contains(sent, []byte(password)) {
				t.Error("somebody else's server has the password in clear")
			}
		})
	}
}

// TestNoHashForTheWrongServer: a listener on PostgreSQL's port lets everybody in. With MD5 the client would
// not notice, and hand it the hashes.
func TestNoHashForTheWrongServer(t *testing.T) {
	for name, ask := range map[string][]byte{
		"none":     {'R', 0, 0, 0, 8, 0, 0, 0, 0, 'Z', 0, 0, 0, 5, 'I'},
		"md5":      {'R', 0, 0, 0, 12, 0, 0, 0, 5, 's', 'a', 'l', 't'},
		"password": {'R', 0, 0, 0, 8, 0, 0, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 16)
			at := listen(t, func(c net.Conn) {
				buffer := make([]byte, 1024)
				_, _ = c.Read(buffer)
				_, _ = c.Write(ask)
				n, _ := c.Read(buffer)
				got <- buffer[:n]
			})
			if err := connect(t, "postgres://shadowsync@"+at+"/app"); err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("%v", err)
			} else {
				t.Log(err)
			}
			if sent := <-got; len(sent) > 0 && sent[0] != 'X' { // Terminate
				t.Errorf("it answers %q", sent)
			}
		})
	}
}

// TestNoTLS: a server that has no TLS, or takes it off on the way, gets nothing, and is named so.
func TestNoTLS(t *testing.T) {
	for scheme, serve := range map[string]func(c net.Conn){
		"postgres": func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 8)); _, _ = c.Write([]byte("N")) },
		"mysql":    func(c net.Conn) { (&mysqlServer{conn: c}).greet("mysql_native_password") },
	} {
		t.Run(scheme, func(t *testing.T) {
			got := make(chan []byte, 16)
			at := listen(t, func(c net.Conn) {
				serve(c)
				rest, _ := io.ReadAll(c)
				got <- rest
			})
			err := connect(t, scheme+"://shadowsync@"+at+"/app?sslmode=verify-full")
			if err == nil || !strings.Contains(err.Error(), "the database server 127.0.0.1 offers no TLS") {
				t.Errorf("%v", err)
			}
			if rest := <-got; len(rest) > 0 && rest[0] != 'X' && !bytes.Equal(rest[min(4, len(rest)):], []byte{1}) { // Terminate, Quit
				t.Errorf("it gets %q", rest)
			}
		})
	}
}
