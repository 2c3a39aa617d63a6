package broker

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/broker/operators"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/factor/mail"
	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/factor/qr"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// mailWait is how long a login waits to hear that its code was mailed. The mail goes on without it.
const mailWait = 1500 * time.Millisecond

// prompt asks for what leads this login on.
func (l login) prompt(r factor.Record) string {
	ask := guide.AskEnrolment
	switch {
	case r.State == factor.Enrolled, r.Ticket == nil:
		ask = guide.AskCode
	case r.State == factor.Pending:
		ask = guide.AskEither
	}
	if l.recoverable(r) {
		return guide.Or(ask, guide.Lost)
	}
	return ask
}

// recoverable reports whether a code can be mailed to who lost the authenticator.
func (l login) recoverable(r factor.Record) bool { return l.engine.Mails() && r.Recoverable() }

// asks has the module show a text and ask for what leads this login on.
func (l login) asks(r factor.Record, text string) module.Answer { return asks(text, l.prompt(r)) }

func asks(text, prompt string) module.Answer {
	if text != "" {
		text += "\n"
	}
	return module.Answer{Kind: module.Asks, Text: text + prompt}
}

// hear decides what follows from what was typed at a prompt. No step is kept in memory: what is typed, and
// the record of the account, say where somebody is. So whoever is cut off goes on in another login. A
// mail must not keep others from their turn.
func (b *Broker) hear(ctx context.Context, l login, file *os.File, turn func()) module.Answer {
	typed, err := socket.ReadSecret(file, module.MaxCode)
	if err != nil {
		return b.untold(l.Login, err)
	}
	defer socket.Wipe(typed)
	r, err := l.Of(ctx, l.Subject)
	if err != nil {
		return b.untold(l.Login, err)
	}
	kind, code := onetime.Read(typed)
	clear(code)
	switch {
	case guide.IsLost(typed) && l.recoverable(r):
		turn()
		return b.mailCode(ctx, l, r)
	case kind == onetime.Mailed && l.recoverable(r):
		return b.regain(ctx, l, r, typed)
	case kind == onetime.TOTP && r.State == factor.Enrolled:
		return b.takeEither(ctx, l, r, typed)
	case kind == onetime.TOTP && r.State == factor.Pending && r.Ticket != nil:
		return b.confirm(ctx, l, r, typed)
	case r.Ticket != nil && (kind == onetime.Enrolment || r.State != factor.Enrolled):
		return b.begin(ctx, l, r, typed, "")
	case r.State != factor.Enrolled:
		return b.comply(ctx, l, r, typed, kind)
	}
	return b.takeCode(ctx, l, r, typed)
}

// demands has the module ask somebody to enrol who shall have a second factor.
func (l login) demands(d engine.Duty) module.Answer {
	now := l.Now()
	if d.Must {
		return asks(guide.Required(d.Until, now, true), guide.AskEnrol)
	}
	return module.Answer{Kind: module.Offers, Text: guide.Required(d.Until, now, false) + "\n" + guide.AskEnrolNow}
}

// comply enrols an account of which a second factor is required.
func (b *Broker) comply(ctx context.Context, l login, r factor.Record, typed []byte, kind onetime.Kind) module.Answer {
	duty, err := l.engine.Duty(ctx, l.Account, l.Now())
	switch {
	case err != nil:
		return b.untold(l.Login, err)
	case !duty.Enrol:
		return b.takeCode(ctx, l, r, typed)
	case guide.IsEnrol(typed):
		return b.begin(ctx, l, r, nil, "")
	case kind == onetime.TOTP && r.State == factor.Pending:
		return b.confirm(ctx, l, r, typed)
	}
	return asks(guide.Required(duty.Until, l.Now(), duty.Must), guide.AskEnrol)
}

// takeEither takes a code of the present app, or of the one that somebody on the way back has set up.
func (b *Broker) takeEither(ctx context.Context, l login, r factor.Record, typed []byte) module.Answer {
	awaited, err := l.Awaited(ctx, l.attempt(typed))
	switch {
	case err != nil:
		return b.untold(l.Login, err)
	case awaited:
		return b.confirm(ctx, l, r, typed)
	}
	return b.takeCode(ctx, l, r, typed)
}

// takeCode has a code checked and used up.
func (b *Broker) takeCode(ctx context.Context, l login, r factor.Record, typed []byte) module.Answer {
	taken, err := l.Check(ctx, l.attempt(typed))
	text, told := factor.Told(err)
	switch {
	case told && r.Mailed != nil && len(r.Mailed.Next) > 0: // a first code of the new app may have been meant
		return b.further(l, r, err)
	case told:
		return refusesLogin(text)
	case err != nil:
		return b.untold(l.Login, err)
	}
	return module.Answer{Kind: module.Passes, Text: guide.Few(taken.RecoveryLeft, "the command 'renew 2fa codes' in pcli")}
}

// mailCode mails a code to who lost the authenticator.
func (b *Broker) mailCode(ctx context.Context, l login, r factor.Record) module.Answer {
	sent := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mail.Within)
		defer cancel()
		_, err := l.Lose(ctx, l.attempt(nil), func(ctx context.Context, address, code string) error {
			return l.engine.SendCode(ctx, l.Account, address, code)
		})
		sent <- err
	}()
	address := factor.Masked(r.Mail)
	if !l.Lines { // Cockpit's page shows each byte of a prompt as a character
		address = strings.ReplaceAll(address, "…", "...")
	}
	text := guide.Sent(address, true)
	late := time.NewTimer(mailWait)
	defer late.Stop()
	select {
	case err := <-sent:
		if err != nil {
			return b.further(l, r, err)
		}
	case <-late.C: // the audit tells root how it ended
		text = guide.Sent(address, false)
	}
	return asks(text, guide.AskMailed)
}

// regain takes a mailed code, and begins a new enrolment. The other sessions of the account end.
func (b *Broker) regain(ctx context.Context, l login, r factor.Record, typed []byte) module.Answer {
	logout := l.engine.FactorLogout(l.Subject, l.origin)
	enrolment, err := l.Regain(ctx, l.attempt(typed), logout)
	switch {
	case err != nil:
		return b.further(l, r, err)
	case logout != nil:
		b.endAgain(l.Account)
	default:
		go b.logOut(context.WithoutCancel(ctx), l)
	}
	return b.begin(ctx, l, r, []byte(enrolment), enrolment)
}

// logOut ends the sessions of an account that no application manages.
func (b *Broker) logOut(ctx context.Context, l login) {
	ctx, cancel := context.WithTimeout(ctx, keeper.SettleWithin)
	defer cancel()
	uid, err := strconv.Atoi(l.UID)
	var ended, left []shadowsync.Session
	if err == nil {
		ended, left, err = b.dialogues.EndBut(ctx, shadowsync.Account{Name: l.User, UID: uid}, sessions.Keep{})
	}
	event := shadowsync.Event{At: l.Now(), Account: l.User, Action: "logged-out", Reason: operators.EndReason(len(ended), len(left), err), Origin: l.origin}
	if err = errors.Join(err, l.engine.Audit(ctx, event)); err != nil {
		b.log.Error("the sessions of an account on the way back from a lost second factor may not have ended", "account", l.User, "error", err)
	}
}

// begin begins an enrolment by an enrolment code, which is shown if nobody has it yet.
func (b *Broker) begin(ctx context.Context, l login, r factor.Record, code []byte, shown string) module.Answer {
	secret, err := l.Begin(ctx, factor.Beginning{Subject: l.Subject, Code: code, Source: l.Host, Origin: l.origin})
	if err != nil {
		return b.further(l, r, err)
	}
	defer clear(secret)
	address := totp.Address(l.engine.Config.Issuer(), l.Account, secret)
	text := guide.Setup(shown, totp.SetupKey(secret), "", address)
	if l.Lines {
		drawn, err := qr.Terminal(address, false) // ssh shows no escape sequences
		pictured := guide.Setup(shown, totp.SetupKey(secret), drawn, address)
		if err == nil && len(pictured)+len(guide.AskCode) < module.MaxText {
			text = pictured
		}
	}
	return module.Answer{Kind: module.Asks, Text: text + guide.AskCode}
}

// confirm enrols the account by a first code of the app.
func (b *Broker) confirm(ctx context.Context, l login, r factor.Record, typed []byte) module.Answer {
	recovery, err := l.Confirm(ctx, l.attempt(typed))
	if err != nil {
		return b.further(l, r, err)
	}
	return module.Answer{Kind: module.Shows, Text: "Second factor enrolled.\n" + guide.Recovery(recovery) + guide.GoOn}
}

// further asks again after a refusal, unless nothing that could be typed now would help.
func (b *Broker) further(l login, r factor.Record, err error) module.Answer {
	var slow *factor.SlowError
	var out *factor.OutError
	text, told := factor.Told(err)
	switch {
	case errors.As(err, &out): // it may have come by now
		return asks(text, guide.AskMailed)
	case errors.As(err, &slow):
		return refusesLogin(text)
	case errors.Is(err, factor.ErrExpired):
		return refusesLogin(factor.ErrExpired.Error())
	case errors.Is(err, factor.ErrNotMailed):
		return l.asks(r, err.Error()+"; an administrator can reset your second factor")
	case errors.Is(err, factor.ErrNoMailed), errors.Is(err, factor.ErrMailedOld):
		return l.asks(r, err.Error())
	case told:
		return l.asks(r, text)
	}
	return b.untold(l.Login, err)
}

// stranger asks, where everybody is asked, without looking at who it is, and refuses whatever is typed by
// a login that proved nothing. PAM computes a hash for each account that has one: for the others it is
// computed here, so that the time until the question does not tell them apart.
func (b *Broker) stranger(ctx context.Context, e *engine.Engine, q module.Login, files []*os.File) module.Answer {
	if len(files) == 1 {
		typed, err := socket.ReadSecret(files[0], module.MaxCode)
		defer socket.Wipe(typed)
		kind, code := onetime.Read(typed)
		clear(code)
		if err != nil || kind != onetime.TOTP && kind != onetime.Recovery {
			return refusesLogin(factor.ErrForm.Error())
		}
		return refusesLogin(factor.ErrWrong.Error())
	}
	snapshot, err := e.Accounts.Read(ctx, []string{q.User})
	if a := snapshot.Accounts[q.User]; err != nil || a.Locked || format.Identify(a.Hash) == format.Unknown {
		b.hashForNobody(ctx)
	}
	if e.Mails() {
		return asks("", guide.Or(guide.AskCode, guide.Lost))
	}
	return asks("", guide.AskCode)
}

// hashForNobody takes the time that PAM takes to check a password.
func (b *Broker) hashForNobody(ctx context.Context) {
	b.codes.hashing.Lock()
	defer b.codes.hashing.Unlock()
	if ctx.Err() != nil { // it has waited for too many others
		return
	}
	method, err := crypt.MethodOfSystem(b.engine.Load().Root())
	if err == nil {
		err = method.LikeLogin()
	}
	if err != nil {
		b.log.Warn("how long a login takes tells strangers whether an account is there", "error", err)
	}
}
