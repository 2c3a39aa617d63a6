package pcli

import (
	"github.com/shadowsync/shadowsync/internal/factor/guide"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/pcli/grammar"
)

// lostError: instead of a code of the authenticator, the operator typed 'lost', or a code that goes on with it.
type lostError struct{ mailed []byte }

func (*lostError) Error() string { return "the authenticator is lost" }

// plainCode asks for a code of the second factor.
func (s *Shell) plainCode() ([]byte, error) {
	return s.console.ReadSecret(guide.AskCode, operator.MaxCode)
}

// readCode asks for a code of the second factor. Where a code can be mailed, it also takes 'lost', or
// a code that goes on from there: a *lostError.
func (s *Shell) readCode() ([]byte, error) {
	if !s.hello.Lost {
		return s.plainCode()
	}
	typed, err := s.console.ReadSecret(guide.Or(guide.AskCode, guide.Lost), operator.MaxCode)
	switch {
	case err != nil:
		return nil, err
	case guide.IsLost(typed):
		return nil, &lostError{}
	case guide.LeadsBack(typed):
		return nil, &lostError{typed}
	}
	return typed, nil
}

// lostFactor enrols the second factor anew, by a code that is mailed, or that was mailed before.
func (s *Shell) lostFactor(mailed []byte) error {
	d := newDialogue(s)
	defer d.end()
	defer socket.Wipe(mailed)
	d.mailed = mailed
	codes, err := s.client.Lost2FA(d.ctx, operator.Lost{Mailed: mailed != nil}, d)
	if err != nil {
		return err
	}
	s.enrolled(codes)
	return nil
}

// setMail sets the operator's own mail address.
func (s *Shell) setMail(c grammar.Call) error {
	address := c.Get("ADDRESS")
	if c.Has("none") {
		address = ""
	}
	d := newDialogue(s)
	defer d.end()
	if err := s.client.SetMail(d.ctx, operator.Mail{Address: address}, d); err != nil {
		return err
	}
	if address == "" {
		s.say("Mail address removed")
	} else {
		s.say("Mail address set to `%s`", address)
	}
	return nil
}
