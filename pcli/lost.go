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

// A mailed code and an enrolment code have as many digits or letters, and no other code has.
const (
	mailedDigits     = 8
	enrolmentLetters = 20
)

// leadsBack reports whether a code has the form of a mailed one, or of the enrolment code that it gave.
func leadsBack(typed []byte) bool {
	digits, letters := 0, 0
	for _, c := range typed {
		switch {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letters++
		case c != ' ' && c != '-':
			return false
		}
	}
	return digits == mailedDigits && letters == 0 || letters == enrolmentLetters && digits == 0
}

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
	case leadsBack(typed):
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
