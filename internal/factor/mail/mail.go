// Package mail sends mail about second factors. A process of its own talks to the server: it has the
// network and nothing else. The certificate of a server is checked, unless it is on a loopback address.
//
//	mail.go     what is sent, and how a caller has it sent
//	deliver.go  the process that talks to the server
package mail

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// Within bounds the sending of one mail.
const Within = 20 * time.Second

// maxText bounds a text and a password, in bytes.
const maxText = 4096

// Server is the server that takes the mail.
type Server struct {
	Address    string `json:"address"` // host:port
	From       string `json:"from"`
	User       string `json:"user,omitempty"`
	Password   []byte `json:"-"`
	Credential string `json:"credential,omitempty"` // systemd hands the password to the process under this name
	CA         []byte `json:"-"`                    // PEM; empty: what the system trusts
}

// Message is a mail in plain text.
type Message struct{ To, Subject, Text string }

// envelope is what the process gets in clear. The text, which may hold a code, the certificates and the
// password come as sealed descriptors.
type envelope struct {
	Server  Server `json:"server"`
	To      string `json:"to"` // empty: no mail, only a visit
	Subject string `json:"subject"`
}

// result says that the server has taken the mail.
type result struct{}

var job = worker.Job[envelope, result]{
	Name: "mail-worker", Short: "Send a mail", Tokens: 3, Answer: answer,
}

// Command is the process that talks to the server.
var Command = job.Command()

// Send has a message sent by a process that start starts. With nil the server has taken it. Errors say
// in their own words what is wrong; what the server said is not in them, except for its numbers.
func Send(ctx context.Context, start func(context.Context) (*worker.Process, error), s Server, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	var tokens []*os.File
	for _, secret := range [][]byte{[]byte(m.Text), s.CA, s.Password} {
		f, err := socket.SealedMemfd(secret)
		if err != nil {
			return err
		}
		defer f.Close()
		tokens = append(tokens, f)
	}
	p, err := start(ctx)
	if err != nil {
		return err
	}
	_, err = job.Ask(ctx, p, envelope{s, m.To, m.Subject}, tokens...)
	if ctx.Err() != nil {
		err = errors.New("the mail server did not answer in time")
	}
	return errors.Join(worker.Started(s.Credential, err), p.Kill())
}

// Try has a process connect, agree on TLS and log in, as for a mail, and sends none.
func Try(ctx context.Context, start func(context.Context) (*worker.Process, error), s Server) error {
	return Send(ctx, start, s, Message{})
}
