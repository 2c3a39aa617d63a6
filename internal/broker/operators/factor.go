package operators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/sessions"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/totp"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// triesForCode is how many codes an operator may try in a dialogue.
const triesForCode = 3

// code takes a code that the operator shows.
func (o *Server) code(ctx context.Context, c *call) error {
	if len(c.files) != 1 {
		return operator.Errorf(operator.Usage, "a code is needed")
	}
	taken, err := o.takeCode(ctx, c, c.files[0])
	if err != nil {
		return err
	}
	return operator.SendResult(ctx, c.conn, operator.CodeTaken{Recovery: taken.Recovery, CodesLeft: taken.RecoveryLeft})
}

// askCode asks for a code until take accepts one. It asks again only where another code may be right.
func (o *Server) askCode(ctx context.Context, c *call, t operator.Turn, take func(*os.File) error) error {
	for t.Left = triesForCode - 1; ; t.Left-- {
		file, err := o.secret(ctx, c, t)
		if err != nil {
			return err
		}
		err = take(file)
		_ = file.Close()
		var refusal *operator.Error
		if !errors.As(err, &refusal) || refusal.Kind != operator.CodeRefused || t.Left == 0 {
			return err
		}
		t.Weak = refusal.Text
	}
}

// second asks an enrolled account for a code, after its current password was proven.
func (o *Server) second(ctx context.Context, c *call) error {
	r, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
		return err
	case r.State == factor.Enrolled && c.page != nil: // a code opened the session
		return o.admit(ctx, c, inShell)
	case r.State == factor.Enrolled:
		return o.askCode(ctx, c, operator.Turn{Ask: operator.AskCode}, func(file *os.File) error {
			_, err := o.takeCode(ctx, c, file)
			return err
		})
	case r.Ticket != nil:
		return errEnrol
	}
	return nil
}

// password has the operator prove their current password, for nothing but their second factor.
func (o *Server) password(ctx context.Context, c *call) error {
	return o.proven(ctx, c, func(*dialogue, *os.File) error { return nil })
}

// enrol enrols the operator's second factor: the current password, after a reset the enrolment code, of who
// has a second factor a code of it, and then a first code of the app.
func (o *Server) enrol(ctx context.Context, c *call) error {
	own, err := o.ownFactor(ctx, c)
	if err != nil {
		return err
	}
	if err := o.password(ctx, c); err != nil {
		return err
	}
	return o.enrolProven(ctx, c, own)
}

// enrolProven enrols the operator's second factor, after their password was proven. Who has a second factor
// moves to another authenticator, and the present one works until the other one is confirmed.
func (o *Server) enrolProven(ctx context.Context, c *call, own factor.Record) error {
	another := own.State == factor.Enrolled
	if another {
		if err := o.second(ctx, c); err != nil {
			return err
		}
	}
	secret, err := o.beginEnrolment(ctx, c, factor.Beginning{Shown: another}, own.Ticket != nil && !another)
	if err != nil {
		return err
	}
	return o.enrolSecret(ctx, c, secret, operator.Setup{Another: another})
}

// enrolSecret shows the operator a new secret, which it clears, and enrols it by a code of it. An
// enrolment code is shown along, for an operator who is cut off here.
func (o *Server) enrolSecret(ctx context.Context, c *call, secret []byte, setup operator.Setup) error {
	setup.Key, setup.Address = totp.SetupKey(secret), totp.Address(o.engine.Config.Issuer(), c.name, secret)
	clear(secret)
	var recovery []string
	err := o.askCode(ctx, c, operator.Turn{Ask: operator.AskCode, Setup: &setup}, func(file *os.File) error {
		var err error
		recovery, err = o.confirm(ctx, c, file)
		return err
	})
	if err != nil {
		return err
	}
	return o.hand(ctx, c, recovery)
}

// confirm enrols the operator's second factor by a first code of the app.
func (o *Server) confirm(ctx context.Context, c *call, file *os.File) (recovery []string, err error) {
	attempt, err := attemptOf(c, file)
	if err != nil {
		return nil, err
	}
	defer socket.Wipe(attempt.Code)
	if err := o.unchanged(ctx, c); err != nil {
		return nil, err
	}
	if recovery, err = o.factors().Confirm(ctx, attempt); err != nil {
		return nil, o.codeError(c, err)
	}
	return recovery, nil
}

// beginEnrolment begins an enrolment, after a reset with the enrolment code, and returns the secret, which the
// caller clears.
func (o *Server) beginEnrolment(ctx context.Context, c *call, b factor.Beginning, reset bool) (secret []byte, err error) {
	b.Subject, b.Source, b.Origin = c.subject(), c.origin.Remote, c.origin
	begin := func(code []byte) error {
		if err := o.unchanged(ctx, c); err != nil {
			return err
		}
		b.Code = code
		secret, err = o.factors().Begin(ctx, b)
		if err != nil {
			return o.codeError(c, err)
		}
		return nil
	}
	if !reset {
		return secret, begin(nil)
	}
	err = o.askCode(ctx, c, operator.Turn{Ask: operator.AskEnrolment}, func(file *os.File) error {
		attempt, err := attemptOf(c, file)
		if err != nil {
			return err
		}
		defer socket.Wipe(attempt.Code)
		return begin(attempt.Code)
	})
	return secret, err
}

// hand hands out new recovery codes. The shell that gets them has just shown a code.
func (o *Server) hand(ctx context.Context, c *call, recovery []string) error {
	if err := o.rememberShell(ctx, c); err != nil {
		o.Log.Warn("a shell is asked again", "account", c.name, "error", err) // the codes matter more
	}
	return c.conn.Send(ctx, operator.Turn{Done: true, Recovery: recovery})
}

// passwordOfEnrolled has the operator, who must have a second factor, prove the current password.
func (o *Server) passwordOfEnrolled(ctx context.Context, c *call) error {
	r, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
		return err
	case r.State != factor.Enrolled:
		return o.codeError(c, factor.ErrNotEnrolled)
	}
	return o.password(ctx, c)
}

// renewCodes replaces the operator's recovery codes, after the current password and a code.
func (o *Server) renewCodes(ctx context.Context, c *call) error {
	if err := o.passwordOfEnrolled(ctx, c); err != nil {
		return err
	}
	return o.renewProven(ctx, c)
}

// renewProven replaces the recovery codes, after the password was proven.
func (o *Server) renewProven(ctx context.Context, c *call) error {
	if err := o.second(ctx, c); err != nil {
		return err
	}
	if err := o.unchanged(ctx, c); err != nil {
		return err
	}
	recovery, err := o.factors().Renew(ctx, c.subject(), c.origin)
	if err != nil {
		return o.codeError(c, err)
	}
	return o.hand(ctx, c, recovery)
}

// reset2FA drops the second factor of an account that the operator administers. Administrators show a
// fresh code of their own: with one factor nobody removes another person's second one.
func (o *Server) reset2FA(ctx context.Context, c *call) error {
	subject, account, err := o.resettable(ctx, c)
	if err != nil {
		return err
	}
	kept, err := o.factors().Of(ctx, subject)
	switch {
	case err != nil:
		return o.codeError(c, err)
	case kept.State == factor.None && kept.Ticket == nil:
		return operator.SendResult(ctx, c.conn, operator.EnrolmentCode{})
	}
	if err := o.fresh(ctx, c); err != nil {
		return err
	}
	if subject.Realm == factor.LDAP {
		return o.resetInDirectory(ctx, c, account)
	}
	application, _ := o.engine.Config.Managing(subject.Account)
	logout := &factor.Logout{Application: application.Name, Logout: shadowsync.Logout{Account: subject.Account, Origin: c.origin}}
	if subject.Account == c.name { // their own: the shell that shows the enrolment code stays
		logout.Keep = cmp.Or(c.origin.Session, shadowsync.ProcessSession(c.process.PID))
	}
	code, err := o.factors().Reset(ctx, subject, logout, c.origin)
	if err != nil {
		return o.codeError(c, err)
	}
	o.Dialogues.Again(subject.Account)
	return operator.SendResult(ctx, c.conn, operator.EnrolmentCode{Code: code})
}

// resetInDirectory drops the second factor of an account of a directory, and ends its sessions.
func (o *Server) resetInDirectory(ctx context.Context, c *call, account shadowsync.Account) error {
	code, err := o.factors().Reset(ctx, factor.Subject{Realm: factor.LDAP, Account: account.Name}, nil, c.origin)
	if err != nil {
		return o.codeError(c, err)
	}
	keep := sessions.Keep{}
	if account.UID == c.uid {
		keep = c.own()
	}
	_, _ = o.endBut(ctx, c, account, keep) // it is on record
	return operator.SendResult(ctx, c.conn, operator.EnrolmentCode{Code: code})
}

// resettable returns whose second factor a request is to reset.
func (o *Server) resettable(ctx context.Context, c *call) (s factor.Subject, account shadowsync.Account, err error) {
	var realm operator.Realm
	if err := json.Unmarshal(c.request.Args, &realm); err != nil {
		return s, account, operator.Errorf(operator.Usage, "reset 2fa: not understood")
	}
	where, err := factor.ParseRealm(realm.Realm)
	if err != nil {
		return s, account, operator.Errorf(operator.Usage, "the realm must be local or ldap")
	}
	if where == factor.LDAP && o.engine.Config.SecondFactor.LDAP {
		var person directory.Person
		person, err = o.changeableInDirectory(ctx, c)
		account = person.Account()
	} else {
		account, err = o.changeable(ctx, c)
	}
	return factor.Subject{Realm: where, Account: account.Name}, account, err
}

// fresh takes the code that came with a request. Root needs none.
func (o *Server) fresh(ctx context.Context, c *call) error {
	if c.root() {
		return nil
	}
	own, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
		return err
	case own.State != factor.Enrolled:
		o.auditRefusal(ctx, c, "no second factor of their own")
		return operator.Errorf(operator.NotPermitted, "not permitted without a second factor of your own%s", c.atPrompt("; 'enrol 2fa' enrols one"))
	case len(c.files) != 1:
		return errCode
	}
	_, err = o.takeCode(ctx, c, c.files[0])
	return err
}
