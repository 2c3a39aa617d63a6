package policy

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/msteinert/pam/v2"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/tokenworker"
)

// Argument is the root tool's hidden command that runs Main.
const Argument = "worker-policy"

// The kinds of an answer.
const (
	answerJudged = iota // the text is why the token is refused; empty: it is not
	answerFault         // the stack could not be asked
)

// Main is the child: questions on stdin, answers on stdout, until stdin ends.
func Main(dir string, in io.Reader, out io.Writer) error {
	os.Clearenv() // what modules read there is nobody's to set
	if err := tokenworker.Harden(); err != nil {
		return err
	}
	s := loadStack(dir)
	defer s.close()
	for r := bufio.NewReader(in); ; {
		account, token, err := readQuestion(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kind, text := s.judge(account, token)
		text = text[:min(len(text), 1024)]
		answer := binary.NativeEndian.AppendUint16([]byte{byte(kind)}, uint16(len(text)))
		if _, err := out.Write(append(answer, text...)); err != nil {
			return err
		}
	}
}

func readQuestion(r io.Reader) (account, token string, err error) {
	var sizes [4]byte
	if _, err := io.ReadFull(r, sizes[:]); err != nil {
		return "", "", err
	}
	name, size := binary.NativeEndian.Uint16(sizes[:2]), binary.NativeEndian.Uint16(sizes[2:])
	if size > crypt.MaxToken {
		return "", "", errQuestion
	}
	text := make([]byte, int(name)+int(size))
	if _, err := io.ReadFull(r, text); err != nil {
		return "", "", errQuestion
	}
	return string(text[:name]), string(text[name:]), nil
}

// stack is the private stack, loaded once for all questions: to read it and to load
// its modules takes longer than most judgements. libpam forgets the tokens at the end of each change.
type stack struct {
	transaction *pam.Transaction
	fault       error // of the loading
	conversation
}

func loadStack(dir string) *stack {
	s := &stack{}
	s.transaction, s.fault = pam.StartConfDir(service, "", &s.conversation, dir)
	return s
}

// judge asks the stack about one token.
func (s *stack) judge(account, token string) (kind int, text string) {
	if s.fault != nil {
		return answerFault, s.fault.Error()
	}
	s.conversation = conversation{token: token}
	err := s.transaction.SetItem(pam.User, account)
	if err == nil {
		err = s.transaction.ChangeAuthTok(0)
	}
	switch {
	case err == nil:
		return answerJudged, ""
	case s.complaint == "" && !errors.Is(err, pam.ErrAuthtok):
		return answerFault, err.Error() // such as a module that cannot be loaded
	}
	return answerJudged, cmp.Or(strings.TrimPrefix(s.complaint, "BAD PASSWORD: "), err.Error())
}

func (s *stack) close() {
	if s.transaction != nil {
		_ = s.transaction.End() // what it says is no news any longer
	}
}

// conversation gives the token wherever one is asked for, and keeps the complaint.
type conversation struct{ token, complaint string }

// RespondPAM implements pam.ConversationHandler.
func (c *conversation) RespondPAM(style pam.Style, message string) (string, error) {
	switch style {
	case pam.PromptEchoOff, pam.PromptEchoOn:
		return c.token, nil
	case pam.ErrorMsg:
		c.complaint = cmp.Or(c.complaint, strings.TrimSpace(message))
	}
	return "", nil
}
