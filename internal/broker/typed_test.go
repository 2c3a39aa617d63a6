package broker

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// post takes the mails of a broker.
type post struct {
	mu    sync.Mutex
	mails []mail.Message
	fails error
	holds chan struct{} // until it is closed, no mail is taken
}

func (p *post) take(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	holds, fails := p.holds, p.fails
	p.mu.Unlock()
	if holds != nil {
		<-holds
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	return fails
}

// behave sets how mails are taken from now on.
func (p *post) behave(fails error, holds chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fails, p.holds = fails, holds
}

// code returns the last code that was mailed.
func (p *post) code(t *testing.T) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.mails) - 1; i >= 0; i-- {
		if found := regexp.MustCompile(`Code: (\d{8})`).FindStringSubmatch(p.mails[i].Text); found != nil {
			return found[1]
		}
	}
	t.Fatalf("no code in %+v", p.mails)
	return ""
}

var admin = factor.Subject{Realm: factor.Local, Account: "admin"}

// openMailing is a gate that can mail, with an address on record for the account admin.
func openMailing(t *testing.T, managed string) (*gate, *post) {
	t.Helper()
	p := &post{}
	g := &gate{Broker: brokerOf(t, t.TempDir(), "admin", managed, "[mail]\nserver = \"mail.example.net:587\"\nfrom = \"appliance@example.net\"\n", func(o *engine.Options) { o.SendMail = p.take })}
	g.codes.turns = make(chan struct{}, mostCodes)
	g.enrols(t, "admin")
	if err := g.factors().SetMail(t.Context(), admin, "anna@example.net", shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	return g, p
}

// types answers a prompt, and asserts the kind of what follows and the prompt or the text at its end.
func (g *gate) types(t *testing.T, code string, kind module.Kind, end string) string {
	t.Helper()
	got := g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", UID: "1000", Host: "192.0.2.1", Lines: true}, code)
	if got[0] != byte(kind) || !strings.HasSuffix(got, end) {
		t.Errorf("%q: %q, want %q with the end %q", code, got, kind, end)
	}
	return got
}

// needs asserts what a new login is asked.
func (g *gate) needs(t *testing.T, want string) {
	t.Helper()
	if got := g.asks(t, 0, module.Login{Op: module.FactorNeed, User: "admin"}, ""); got != want {
		t.Errorf("a new login: %q, want %q", got, want)
	}
}

var setupKey = regexp.MustCompile(`Setup key: ([A-Z2-7 ]+)\n`)

// app returns the code of an app that was set up with what was shown.
func app(t *testing.T, shown string) string {
	t.Helper()
	key := setupKey.FindStringSubmatch(shown)
	if key == nil {
		t.Fatalf("no setup key in %q", shown)
	}
	secret, err := totp.ParseSetupKey([]byte(key[1]))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(shown, "\n█████") || !strings.Contains(shown, "Address:   otpauth://totp/") {
		t.Errorf("the QR code or the address is missing: %q", shown)
	}
	return string(totp.Code(secret, totp.StepAt(time.Now())))
}

// TestLostAtLogin: 'lost', the mailed code and the app's first code enrol anew, each in whatever login.
func TestLostAtLogin(t *testing.T) {
	g, p := openMailing(t, "admin")
	const or = "Verification code (or 'lost'):"
	g.needs(t, "c"+or)
	if got := g.types(t, " Lost ", module.Asks, "\nCode from the mail:"); !strings.Contains(got, "was sent to a…a@example.net") {
		t.Errorf("it says %q", got)
	}
	g.types(t, "lost", module.Asks, "\nCode from the mail:")
	g.needs(t, "c"+or)
	g.types(t, "00000000", module.Asks, "the code is not right\n"+or)
	shown := g.types(t, p.code(t), module.Asks, "\nVerification code:")
	g.types(t, p.code(t), module.Asks, "begin with 'lost'\n"+or)
	g.needs(t, "c"+or)
	g.types(t, "000000", module.Asks, "the code is not right\n"+or)
	g.types(t, g.recovery[1], module.Passes, "") // the old one works until the new one is confirmed
	enrolment := regexp.MustCompile(`type this enrolment code at the prompt for a code: (\S+)\n`).FindStringSubmatch(shown)
	if enrolment == nil {
		t.Fatalf("no enrolment code in %q", shown)
	}
	old := app(t, shown)
	shown = g.types(t, enrolment[1], module.Asks, "\nVerification code:") // cut off before the key was read
	g.types(t, old, module.Asks, "the code is not right\n"+or)
	if got := g.types(t, app(t, shown), module.Shows, "\nPress Enter to go on:"); strings.Count(got, "\n    ") != 10 {
		t.Errorf("the recovery codes are missing: %q", got)
	}
	g.needs(t, "c"+or)
	g.types(t, app(t, shown), module.Refuses, "the code was used already; wait for the next one")
}

// ender ends the sessions that a test asks for.
type ender struct {
	operators.Ender
	ended chan shadowsync.Account
}

func (e ender) EndBut(_ context.Context, a shadowsync.Account, _ sessions.Keep) (ended, left []shadowsync.Session, err error) {
	e.ended <- a
	return nil, nil, nil
}

// TestLostOfUnmanaged: the sessions of an account that no application manages end, too.
func TestLostOfUnmanaged(t *testing.T) {
	g, p := openMailing(t, "user222")
	all := make(chan shadowsync.Account, 1)
	g.dialogues.Ender = ender{ended: all}
	g.types(t, "lost", module.Asks, "")
	g.types(t, p.code(t), module.Asks, "")
	if a := <-all; a.Name != "admin" || a.UID != 1000 {
		t.Errorf("the sessions of %+v end", a)
	}
}

// TestEnrolmentAtLogin: after a reset by an administrator, only their enrolment code leads on.
func TestEnrolmentAtLogin(t *testing.T) {
	g, p := openMailing(t, "admin")
	g.types(t, "lost", module.Asks, "")
	mailed := p.code(t)
	code, err := g.factors().Reset(t.Context(), admin, nil, shadowsync.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	const need = "an enrolment code is needed\nEnrolment code:"
	g.needs(t, "cYour second factor was reset. Enrol a new one with the enrolment code that you were given.\nEnrolment code:")
	for _, typed := range []string{"lost", mailed, "123456", "abc"} {
		g.types(t, typed, module.Asks, need)
	}
	g.types(t, "abcd-efgh-jkmn-pqrs-tuvw", module.Asks, "the code is not right\nEnrolment code:")
	plain := g.asks(t, 0, module.Login{Op: module.FactorCheck, User: "admin", UID: "1000", Service: "cockpit"}, code)
	if !setupKey.MatchString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r > unicode.MaxASCII }) {
		t.Errorf("a program that shows no lines is told %q", plain)
	}
	shown := g.types(t, strings.ToUpper(code), module.Asks, "\nVerification code:")
	g.types(t, app(t, shown), module.Shows, "\nPress Enter to go on:")
	g.types(t, code, module.Refuses, "that is no code: six digits, or a recovery code")
}

// TestMailAtLogin: whether or not a mail can be sent, a login waits for it only so long, and keeps
// nobody from their turn.
func TestMailAtLogin(t *testing.T) {
	g, p := openMailing(t, "admin")
	p.behave(errors.New("the mail server does not take it now (451)"), nil)
	g.types(t, "lost", module.Asks, "does not take it now (451); an administrator can reset your second factor\nVerification code (or 'lost'):")
	held := make(chan struct{})
	p.behave(nil, held)
	var all sync.WaitGroup
	for range mostCodes {
		all.Go(func() { g.types(t, "lost", module.Asks, "Code from the mail:") })
	}
	g.types(t, g.recovery[0], module.Passes, "")
	all.Wait()
	close(held)
	if got := g.types(t, "lost", module.Asks, "\nCode from the mail:"); !strings.Contains(got, "a code was mailed already") {
		t.Errorf("a mailbox is flooded: %q", got)
	}
}

// TestNoMailAtLogin: without a server, an address or a factor, 'lost' is no code.
func TestNoMailAtLogin(t *testing.T) {
	g := openGate(t)
	g.enrols(t, "admin")
	if err := g.factors().SetMail(t.Context(), admin, "anna@example.net", shadowsync.Origin{}); err != nil {
		t.Fatal(err)
	}
	g.needs(t, "cVerification code:")
	g.types(t, "lost", module.Refuses, "that is no code: six digits, or a recovery code")
	if err := g.factors().Store.ChangeFactor(t.Context(), admin, func(factor.Record) (factor.Change, error) {
		return factor.Change{Record: factor.Record{Subject: admin, State: factor.None, Generation: 9, Ticket: &factor.Ticket{Hash: []byte{}, Boot: "lost"}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	g.needs(t, "rthe second factor was lost with the state: an administrator resets it, with: shadowsync user reset 2fa local admin")
}
