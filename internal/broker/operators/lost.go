package operators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/factor/onetime"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// recoverable reports whether the owner of a lost authenticator can enrol anew by a mailed code.
func (o *Server) recoverable(r factor.Record) bool { return o.engine.Mails() && r.Recoverable() }

// lost leads back who lost the authenticator: the current password, then the mailed code, then a new
// enrolment. Each step is durable before the next, so that an operator whose shell ends while the mail is
// on its way goes on in another one: Args say that the code was mailed already.
func (o *Server) lost(ctx context.Context, c *call) error {
	var args operator.Lost
	if len(c.request.Args) > 0 && json.Unmarshal(c.request.Args, &args) != nil {
		return operator.Errorf(operator.Usage, "lost: not understood")
	}
	r, err := o.ownFactor(ctx, c)
	switch {
	case err != nil:
		return err
	case !o.recoverable(r):
		return operator.Errorf(operator.Conflict, "no code can be mailed; an administrator can reset your second factor")
	}
	if err := o.password(ctx, c); err != nil {
		return err
	}
	return o.lostProven(ctx, c, args.Mailed)
}

// lostProven is the same, after the password was proven.
func (o *Server) lostProven(ctx context.Context, c *call, mailed bool) (err error) {
	turn := operator.Turn{Ask: operator.AskMailed}
	if !mailed {
		var out *factor.OutError
		switch turn.Address, err = o.mailCode(ctx, c); {
		case errors.As(err, &out):
			turn.Weak = out.Error() // it may have come by now
		case err != nil:
			return o.codeError(c, err)
		}
	}
	enrolment := ""
	err = o.askCode(ctx, c, turn, func(file *os.File) error {
		enrolment, err = o.regain(ctx, c, file)
		return err
	})
	if err != nil {
		return err
	}
	if c.realm == factor.LDAP {
		_, _ = o.endBut(ctx, c, c.account(), c.own()) // it is on record
	} else {
		o.Dialogues.Again(c.name)
	}
	secret, err := o.factors().Begin(ctx, factor.Beginning{Subject: c.subject(), Code: []byte(enrolment), Source: c.origin.Remote, Origin: c.origin})
	if err != nil {
		return o.codeError(c, err)
	}
	return o.enrolSecret(ctx, c, secret, operator.Setup{Another: true, Enrolment: enrolment})
}

// mailCode mails a code, and returns the address as the operator may see it.
func (o *Server) mailCode(ctx context.Context, c *call) (masked string, err error) {
	attempt := factor.Attempt{Subject: c.subject(), Source: c.origin.Remote, Origin: c.origin}
	return o.factors().Lose(ctx, attempt, func(ctx context.Context, address, code string) error {
		return o.engine.SendCode(ctx, c.name, address, code)
	})
}

// regain takes the mailed code, or the enrolment code that it gave before the operator was cut off. The
// other sessions of the account end; the shell that goes on stays.
func (o *Server) regain(ctx context.Context, c *call, file *os.File) (enrolment string, err error) {
	attempt, err := attemptOf(c, file)
	if err != nil {
		return "", err
	}
	defer socket.Wipe(attempt.Code)
	if err := o.unchanged(ctx, c); err != nil {
		return "", err
	}
	if kind, _ := onetime.Read(attempt.Code); kind == onetime.Enrolment {
		return string(attempt.Code), nil // it is checked when the enrolment begins
	}
	var logout *factor.Logout
	if application, managed := o.engine.Config.Managing(c.name); managed && c.realm == factor.Local {
		logout = &factor.Logout{Application: application.Name, Logout: shadowsync.Logout{
			Account: c.name, Origin: c.origin, Keep: cmp.Or(c.origin.Session, shadowsync.ProcessSession(c.process.PID)),
		}}
	}
	if enrolment, err = o.factors().Regain(ctx, attempt, logout); err != nil {
		return "", o.codeError(c, err)
	}
	return enrolment, nil
}

// setMail sets the operator's address on record, after the current password and a code of the present
// factor: whoever can change the address can get in without the authenticator, and a thief of the
// password must not set one before the owner enrols.
func (o *Server) setMail(ctx context.Context, c *call) error {
	var args operator.Mail
	if json.Unmarshal(c.request.Args, &args) != nil {
		return operator.Errorf(operator.Usage, "set mail: not understood")
	}
	if err := factor.CheckAddress(args.Address); err != nil {
		return operator.Errorf(operator.Usage, "%v", err)
	}
	if err := o.passwordOfEnrolled(ctx, c); err != nil {
		return err
	}
	return o.setMailProven(ctx, c, args.Address)
}

// setMailProven is the same, after the password was proven.
func (o *Server) setMailProven(ctx context.Context, c *call, address string) error {
	if err := o.second(ctx, c); err != nil {
		return err
	}
	if err := o.unchanged(ctx, c); err != nil {
		return err
	}
	if err := o.factors().SetMail(ctx, c.subject(), address, c.origin); err != nil {
		return o.codeError(c, err)
	}
	return c.conn.Send(ctx, operator.Turn{Done: true})
}

// mailError is what an operator is told about a code that could not be mailed; nil: it was something
// else.
func mailError(err error) error {
	switch {
	case errors.Is(err, factor.ErrNotMailed):
		return operator.Errorf(operator.Unavailable, "%v; an administrator can reset your second factor", err)
	case errors.Is(err, factor.ErrMailedOld), errors.Is(err, factor.ErrNoMailed):
		return tell(operator.NotAuthenticated, err)
	}
	return nil
}
