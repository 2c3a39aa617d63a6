package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// ErrNoMail: the configuration has no mail server, or the system is only mounted.
var ErrNoMail = errors.New("no mail server is configured")

// postman sends mail about second factors.
type postman struct {
	root    string
	instead func(context.Context, mail.Message) error // of the mail worker
	config  config.Mail
	node    string
	notices *outbox
}

// with returns the same for another configuration.
func (p *postman) with(c *config.Config) *postman {
	return &postman{p.root, p.instead, c.Mail, c.Node.Name, p.notices}
}

// sent counts the helpers of this process, for the names of their units.
var sent worker.Helpers

// Mails reports whether mail can be sent.
func (e *Engine) Mails() bool { return e.mail.able() }

func (p *postman) able() bool {
	return p.config.Server != "" && (p.instead != nil || inroot.Live(p.root))
}

// SendCode mails a code to who lost the authenticator.
func (e *Engine) SendCode(ctx context.Context, account, address, code string) error {
	text := fmt.Sprintf("The second factor of the account %s on %s is about to be enrolled anew.\n\n"+
		"Code: %s\n\n"+
		"It is valid for ten minutes and works once. If you did not ask for it, somebody else knows the\n"+
		"password of the account: change it, and tell an administrator.\n", account, e.mail.node, code)
	return e.mail.send(ctx, mail.Message{To: address, Subject: "Code for " + account + " on " + e.mail.node, Text: text})
}

// notices are what the owner of an account is told of its second factor.
var notices = map[string]string{
	factor.ActionReset:    "was reset",
	factor.ActionEnrolled: "was enrolled",
	factor.ActionRenewed:  "has new recovery codes",
	factor.ActionMail:     "has another mail address on record",
	factor.ActionGuessed:  "is guessed from many addresses, by somebody who knows the password",
}

// notify tells the owner of an account, at these addresses, what was done to its second factor. It does
// not wait. A mail that cannot be sent is audited.
func (e *Engine) notify(addresses []string, events []shadowsync.Event) {
	if !e.Mails() {
		return
	}
	for _, event := range events {
		what, told := notices[event.Action]
		if !told {
			continue
		}
		text := fmt.Sprintf("The second factor of the account %s on %s %s, at %s.\n\n"+
			"If you did not expect that, tell an administrator.\n", event.Account, e.mail.node, what, event.At.Format(time.RFC1123Z))
		for _, address := range addresses {
			e.mail.notices.add(letter{event, mail.Message{To: address, Subject: "Second factor of " + event.Account + " on " + e.mail.node, Text: text}, e.mail, e})
		}
	}
}

// addressesOf lists whom to tell of a change: the address on record, and one that it replaces.
func addressesOf(before, after factor.Record) (list []string) {
	if after.Mail != "" {
		list = append(list, after.Mail)
	}
	if before.Mail != "" && before.Mail != after.Mail {
		list = append(list, before.Mail)
	}
	return list
}

func (p *postman) send(ctx context.Context, m mail.Message) error {
	switch {
	case !p.able():
		return ErrNoMail
	case p.instead != nil:
		return p.instead(ctx, m)
	}
	return p.ask(func(s mail.Server) error { return mail.Send(ctx, p.start, s, m) })
}

// TryMail connects to the configured mail server and logs in, as for a mail, and sends none.
func TryMail(ctx context.Context, c *config.Config) error {
	p := &postman{root: "/", config: c.Mail}
	return p.ask(func(s mail.Server) error { return mail.Try(ctx, p.start, s) })
}

// ask reads what the mail worker needs of the server, and clears the password afterwards.
func (p *postman) ask(do func(mail.Server) error) (err error) {
	server := mail.Server{Address: p.config.Server, From: p.config.From, User: p.config.User, Credential: p.config.Credential}
	if p.config.CA != "" {
		if server.CA, err = rootonly.ReadMost(p.root, p.config.CA, worker.MaxCA); err != nil {
			return fmt.Errorf("cannot use mail.ca: %w", err)
		}
	}
	if server.Password, err = p.password(); err != nil {
		return err
	}
	defer clear(server.Password)
	return do(server)
}

// start starts the process that sends one mail, outside of whatever this process may not do.
func (p *postman) start(ctx context.Context) (*worker.Process, error) {
	return startHelper(ctx, mail.Command.Name, systemd.HelperUnit{
		Name: sent.Name("mail-"), What: "Mail about a second factor", Deadline: mail.Within, Network: true, Credential: p.config.Credential,
	})
}

func startHelper(ctx context.Context, name string, u systemd.HelperUnit) (*worker.Process, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	helpers := worker.Helpers{Bus: &systemd.Bus{}, Binary: binary}
	return helpers.Start(ctx, name, u)
}

// password reads the first line of the password's file, which only root may read.
func (p *postman) password() ([]byte, error) {
	if p.config.PasswordFile == "" {
		return nil, nil
	}
	text, err := rootonly.Secret(p.root, p.config.PasswordFile, mostPassword)
	if err != nil {
		return nil, fmt.Errorf("cannot use mail.password_file: %w", err)
	}
	return worker.FirstLine(text), nil
}

// mostPassword bounds the file of a password, in bytes.
const mostPassword = 4096
