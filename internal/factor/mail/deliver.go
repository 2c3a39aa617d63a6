package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// implicitTLS is the port on which a connection is TLS from its start (RFC 8314).
const implicitTLS = 465

// deliverWithin leaves a moment of Within to report what went wrong.
const deliverWithin = Within - 2*time.Second

// answer delivers one mail, in the process.
func answer(ctx context.Context, e envelope, tokens []*os.File) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	if len(tokens) == 0 {
		return result{}, errors.New("the mail has no text")
	}
	text, err := socket.ReadSecret(tokens[0], maxText)
	if err != nil {
		return result{}, err
	}
	var password []byte
	if len(tokens) > 1 {
		if password, err = socket.ReadSecret(tokens[1], maxText); err != nil {
			return result{}, err
		}
	}
	message, err := e.message(string(text))
	if err != nil {
		return result{}, err
	}
	deadline, _ := ctx.Deadline()
	client, err := e.Server.client(string(password), time.Until(deadline))
	if err != nil {
		return result{}, err
	}
	// The library does not end with its context while a server is silent. This process ends soon anyway.
	sent := make(chan error, 1)
	go func() { sent <- client.DialAndSendWithContext(ctx, message) }()
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
func (s Server) client(password string, within time.Duration) (*mail.Client, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, errors.New("the server is not of the form host:port")
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, errors.New("the port of the server is no number")
	}
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, errors.New("mail.ca has no certificate in PEM")
		}
	}
	policy := mail.TLSMandatory
	if loopback(host) { // nobody is between this machine and itself
		policy, settings.InsecureSkipVerify = mail.TLSOpportunistic, s.CA == ""
	}
	options := []mail.Option{
		mail.WithPort(number), mail.WithTLSConfig(settings), mail.WithTLSPolicy(policy), mail.WithTimeout(within),
	}
	if number == implicitTLS {
		options = append(options, mail.WithSSL())
	}
	if s.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(password))
	}
	return mail.NewClient(host, options...)
}

// loopback reports whether a server is on this machine, without asking anybody what the name means.
func loopback(host string) bool {
	addr := net.ParseIP(host)
	return host == "localhost" || addr != nil && addr.IsLoopback()
}

// explain says why a mail was not sent. What the server said stays out: it may repeat the mail, and so
// a code.
func (s Server) explain(err error) error {
	var refused *mail.SendError
	var certificate *tls.CertificateVerificationError
	var network *net.OpError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of the mail server %s is not trusted: %s", s.Address, printable.Clip(certificate.Err.Error(), 200))
	case errors.As(err, &refused) && refused.ErrorCode() > 0 && refused.IsTemp():
		return fmt.Errorf("the mail server %s does not take it now (%d): try again in a few minutes", s.Address, refused.ErrorCode())
	case errors.As(err, &refused) && refused.ErrorCode() > 0:
		return fmt.Errorf("the mail server %s refuses it (%d)", s.Address, refused.ErrorCode())
	case errors.As(err, &network):
		return fmt.Errorf("cannot reach the mail server %s: %s", s.Address, printable.Clip(network.Err.Error(), 200))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the mail server %s did not answer in time", s.Address)
	}
	return fmt.Errorf("the mail server %s cannot be used: no agreement on TLS, or the login is refused", s.Address)
}
