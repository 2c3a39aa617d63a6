package mail

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// server is a mail server on a loopback address.
type server struct {
	net.Listener
	tls     *tls.Config // nil: it has no STARTTLS
	rcpt    string      // its answer to RCPT
	auth    string      // its answer to a right login; empty: yes
	silent  bool        // it never answers
	mu      sync.Mutex
	got     string // the mail
	secured bool   // by TLS
	login   bool   // somebody logged in
}

func listen(t *testing.T, s *server) *server {
	t.Helper()
	var err error
	if s.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	go func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *server) note(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// serve speaks as much of SMTP (RFC 5321) as a client needs.
func (s *server) serve(c net.Conn) {
	defer func() { c.Close() }()
	if s.silent {
		_, _ = bufio.NewReader(c).ReadString('\n')
		return
	}
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	say("220 test")
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.TrimSpace(strings.ToUpper(line)), " "); verb {
		case "EHLO":
			say("250-test")
			if s.tls != nil {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go")
			secure := tls.Server(c, s.tls)
			if secure.Handshake() != nil {
				return
			}
			c, lines = secure, bufio.NewReader(secure)
			s.note(func() { s.secured = true })
		case "AUTH":
			s.note(func() { s.login = strings.HasSuffix(strings.TrimSpace(line), "AHVzZXIAcGFzc3dvcmQ=") }) // user, password
			say("%s", cmp.Or(s.auth, "235 yes"))
		case "RCPT":
			say("%s", s.rcpt)
		case "DATA":
			say("354 go")
			var text strings.Builder
			for {
				line, err := lines.ReadString('\n')
				if err != nil || line == ".\r\n" {
					break
				}
				text.WriteString(line)
			}
			s.note(func() { s.got = text.String() })
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 yes")
		}
	}
}

// certificate is one for that host, in both forms.
func certificate(t *testing.T, host string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func sealed(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := socket.SealedMemfd([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func deliver(t *testing.T, s Server) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	s.From = "appliance@example.net"
	return ask(t, ctx, envelope{s, "anna@example.net", "Code"})
}

func ask(t *testing.T, ctx context.Context, e envelope) error {
	t.Helper()
	_, err := answer(ctx, e, []*os.File{sealed(t, "Code: 12345678\n"), sealed(t, string(e.Server.CA)), sealed(t, "password\n")})
	return err
}

func TestDeliver(t *testing.T) {
	right, ca := certificate(t, "127.0.0.1")
	other, _ := certificate(t, "127.0.0.1")
	for name, tt := range map[string]struct {
		server  *server
		ca      string
		user    string
		says    string // empty: delivered
		secured bool
	}{
		"on loopback, in clear":       {server: &server{rcpt: "250 ok"}},
		"on loopback, with its TLS":   {server: &server{rcpt: "250 ok", tls: other}, secured: true},
		"a certificate that is right": {server: &server{rcpt: "250 ok", tls: right}, ca: ca, user: "user", secured: true},
		"a certificate of another":    {server: &server{rcpt: "250 ok", tls: other}, ca: ca, says: "certificate of the mail server"},
		"greylisted":                  {server: &server{rcpt: "451 4.7.1 <anna@example.net> 12345678"}, says: "does not take it now (451)"},
		"refused":                     {server: &server{rcpt: "550 5.1.1 <anna@example.net> 12345678"}, says: "refuses it (550)"},
		"a bundle of certificates":    {server: &server{rcpt: "250 ok", tls: right}, ca: ca + strings.Repeat("# as long as those of a system\n", 10_000), secured: true},
		"a login that is refused":     {server: &server{rcpt: "250 ok", tls: right, auth: "535 5.7.8 12345678"}, ca: ca, user: "user", secured: true, says: "refuses the login of user (535)"},
		"no mail now":                 {server: &server{rcpt: "250 ok", tls: right, auth: "421 4.3.2 12345678"}, ca: ca, user: "user", secured: true, says: "takes no mail now (421)"},
		"silent":                      {server: &server{silent: true}, says: "in time"},
		"no CA in the file":           {server: &server{}, ca: "nothing", says: "mail.ca has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, tt.server)
			err := deliver(t, Server{Address: s.Addr().String(), CA: []byte(tt.ca), User: tt.user})
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("it says %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "12345678") || strings.Contains(err.Error(), "anna")) {
				t.Errorf("it repeats what the server said: %v", err)
			}
			s.note(func() {
				if delivered := strings.Contains(s.got, "Code: 12345678"); delivered != (tt.says == "") || s.secured != tt.secured || s.login != (tt.user != "") {
					t.Errorf("TLS %v, login %v, it got %q", s.secured, s.login, s.got)
				}
			})
		})
	}
	gone := listen(t, &server{})
	_ = gone.Close()
	if err := deliver(t, Server{Address: gone.Addr().String()}); err == nil || !strings.Contains(err.Error(), "cannot reach the mail server") {
		t.Errorf("a server that is down: %v", err)
	}
}

// TestNoTLSNoMail: elsewhere than on this machine, a server without TLS gets nothing, not even a login.
func TestNoTLSNoMail(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "::1": true, "localhost": true, "127.8.8.8": true, "192.0.2.1": false, "mail.example.net": false, "localhost.example.net": false} {
		if loopback(host) != want {
			t.Errorf("%s: loopback %v", host, loopback(host))
		}
	}
	c, err := Server{Address: "mail.example.net:587"}.client(time.Second)
	if err != nil || c.TLSPolicy() != "TLSMandatory" {
		t.Errorf("%v, %v", c.TLSPolicy(), err)
	}
}

// TestLocalhost: the name is this machine, whatever DNS says, and the certificate may be for the name.
func TestLocalhost(t *testing.T) {
	right, ca := certificate(t, "localhost")
	s := listen(t, &server{rcpt: "250 ok", tls: right})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a resolver is asked")
		return nil, net.ErrClosed
	}}
	defer func() { net.DefaultResolver = &net.Resolver{} }()
	_, port, _ := net.SplitHostPort(s.Addr().String())
	if err := deliver(t, Server{Address: "localhost:" + port, CA: []byte(ca)}); err != nil {
		t.Error(err)
	}
	c, err := Server{Address: "localhost:25"}.client(time.Second)
	if err != nil || c.ServerAddr() != "127.0.0.1:25" {
		t.Errorf("it would dial %s, %v", c.ServerAddr(), err)
	}
}

// TestTry: a visit logs in and leaves no mail.
func TestTry(t *testing.T) {
	right, ca := certificate(t, "127.0.0.1")
	for name, tt := range map[string]struct {
		server *server
		says   string
	}{
		"all is well":       {server: &server{rcpt: "250 ok", tls: right}},
		"login refused":     {server: &server{tls: right, auth: "535 no"}, says: "refuses the login"},
		"no way to log in":  {server: &server{}, says: "no way to log in"},
		"never an answer":   {server: &server{silent: true}, says: "in time"},
		"another's machine": {server: &server{tls: &tls.Config{}}, says: "mail server"},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, tt.server)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := ask(t, ctx, envelope{Server: Server{Address: s.Addr().String(), CA: []byte(ca), User: "user"}})
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it says %v", err)
			}
			s.note(func() {
				if s.got != "" || s.login != (tt.server.tls == right) {
					t.Errorf("login %v, mail %q", s.login, s.got)
				}
			})
		})
	}
}
