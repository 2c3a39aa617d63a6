package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// implicitTLS is the port on which a connection is TLS from its start (RFC 8314).
const implicitTLS = 465

// deliverWithin leaves a moment of Within to report what went wrong.
const deliverWithin = Within - 2*time.Second

// answer delivers one mail, or visits the server, in the process.
func answer(ctx context.Context, e envelope, tokens []*os.File) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	text, err := e.open(tokens)
	if err != nil {
		return result{}, err
	}
	deadline, _ := ctx.Deadline()
	client, err := e.Server.client(time.Until(deadline))
	if err != nil {
		return result{}, err
	}
	do := func() error {
		err := client.DialWithContext(ctx)
		if err == nil {
			err = client.Close()
		}
		return err
	}
	if e.To != "" {
		message, err := e.message(text)
		if err != nil {
			return result{}, err
		}
		do = func() error { return client.DialAndSendWithContext(ctx, message) }
	}
	// The library does not end with its context while a server is silent. This process ends soon anyway.
	sent := make(chan error, 1)
	go func() { sent <- do() }()
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return result{}, e.Server.explain(err)
	}
	return result{}, nil
}

// open reads what came as descriptors, and the password from systemd if it comes from there.
func (e *envelope) open(tokens []*os.File) (text string, err error) {
	if len(tokens) != 3 {
		return "", errors.New("the mail has no text")
	}
	var read [3][]byte
	for i, most := range []int{maxText, worker.MaxCA, maxText} {
		if read[i], err = socket.ReadSecret(tokens[i], most); err != nil {
			return "", err
		}
	}
	e.Server.CA, e.Server.Password = read[1], read[2]
	if e.Server.Credential != "" {
		e.Server.Password, err = worker.Credential(e.Server.Credential, maxText)
	}
	e.Server.Password = worker.FirstLine(e.Server.Password)
	return string(read[0]), err
}

func (e envelope) message(text string) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := errors.Join(m.From(e.Server.From), m.To(e.To)); err != nil {
		return nil, errors.New("an address cannot be used")
	}
	m.Subject(e.Subject)
	m.SetDate()
	m.SetMessageID()
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	m.SetBodyString(mail.TypeTextPlain, text)
	return m, nil
}

// client is a connection to come, with the TLS that the server's address asks for.
func (s Server) client(within time.Duration) (*mail.Client, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, errors.New("the server is not of the form host:port")
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, errors.New("the port of the server is no number")
	}
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if len(s.CA) > 0 {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(s.CA) {
			return nil, errors.New("mail.ca has no certificate in PEM")
		}
	}
	policy := mail.TLSMandatory
	if loopback(host) { // nobody is between this machine and itself
		policy, settings.InsecureSkipVerify = mail.TLSOpportunistic, len(s.CA) == 0
		if host == localhost {
			host = "127.0.0.1" // DNS may say that it is elsewhere
		}
	}
	options := []mail.Option{
		mail.WithPort(number), mail.WithTLSConfig(settings), mail.WithTLSPolicy(policy), mail.WithTimeout(within),
	}
	if number == implicitTLS {
		options = append(options, mail.WithSSL())
	}
	if s.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(string(s.Password)))
	}
	return mail.NewClient(host, options...)
}

const localhost = "localhost"

// loopback reports whether a server is on this machine, without asking anybody what the name means.
func loopback(host string) bool {
	addr := net.ParseIP(host)
	return host == localhost || addr != nil && addr.IsLoopback()
}

// explain says why a mail was not sent. What the server said stays out: it may repeat the mail, and so
// a code.
func (s Server) explain(err error) error {
	var refused *mail.SendError
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	var said *textproto.Error
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of the mail server %s is not trusted: %s", s.Address, printable.Clip(certificate.Err.Error(), 200))
	case errors.As(err, &refused) && refused.ErrorCode() > 0 && refused.IsTemp():
		return fmt.Errorf("the mail server %s does not take it now (%d): try again in a few minutes", s.Address, refused.ErrorCode())
	case errors.As(err, &refused) && refused.ErrorCode() > 0:
		return fmt.Errorf("the mail server %s refuses it (%d)", s.Address, refused.ErrorCode())
	case errors.As(err, &said) && refusesLogin[said.Code]:
		return fmt.Errorf("the mail server %s refuses the login of %s (%d)", s.Address, s.User, said.Code)
	case errors.As(err, &said) && said.Code >= 500:
		return fmt.Errorf("the mail server %s refuses the connection (%d)", s.Address, said.Code)
	case errors.As(err, &said):
		return fmt.Errorf("the mail server %s takes no mail now (%d): try again in a few minutes", s.Address, said.Code)
	case errors.As(err, new(tls.RecordHeaderError)):
		return fmt.Errorf("the mail server %s does not begin with TLS, which belongs to port %d", s.Address, implicitTLS)
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach the mail server %s: %s", s.Address, printable.Clip(network.Err.Error(), 200))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the mail server %s did not answer in time", s.Address)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the mail server %s closed the connection", s.Address)
	case s.User != "":
		return fmt.Errorf("the mail server %s cannot be used: it offers no STARTTLS, or no way to log in", s.Address)
	}
	return fmt.Errorf("the mail server %s cannot be used: it offers no STARTTLS", s.Address)
}

// refusesLogin are the answers to a login (RFC 4954, 6): a stronger mechanism, other credentials or
// encryption is required.
var refusesLogin = map[int]bool{530: true, 534: true, 535: true, 538: true}
