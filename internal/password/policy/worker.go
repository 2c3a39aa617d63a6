package policy

import (
	"cmp"
	"errors"
	"strings"

	"github.com/msteinert/pam/v2"

	"github.com/shadowsync/shadowsync/internal/password/tokenworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// judgeJob's worker answers many questions, because it takes longer to start it and to load the
// stack than to judge most passwords. It gets the folder of the private stack at its start, and
// loads the stack before there is a question.
var judgeJob = func() tokenworker.Job[judgeQuestion, judgement] {
	var s *stack
	j := tokenworker.New("worker-policy", "Judge new passwords, for the tool", func(q judgeQuestion, secret []byte) (judgement, error) {
		return s.judge(q.Account, string(secret)), nil
	})
	harden := j.Prepare
	j.Many, j.Prepare = true, func() error {
		if err := harden(); err != nil {
			return err
		}
		s = loadStack(worker.FirstFile)
		return nil
	}
	return j
}()

// JudgeCommand is the hidden command of the root tool that a Judge asks.
var JudgeCommand = judgeJob.Command()

type judgeQuestion struct {
	Account string `json:"account"`
}

// judgement is empty if the stack accepts the password.
type judgement struct {
	Reason string `json:"reason,omitempty"` // why it refuses
	Fault  string `json:"fault,omitempty"`  // why it could not be asked
}

// maxReason is how many bytes of what a module says are passed on.
const maxReason = 1024

// stack is the private stack, loaded once for all questions: reading it and loading its modules
// takes longer than most judgements. libpam discards the tokens at the end of each change.
type stack struct {
	transaction *pam.Transaction
	fault       error // of loading it
	conversation
}

func loadStack(dir string) *stack {
	s := &stack{}
	s.transaction, s.fault = pam.StartConfDir(service, "", &s.conversation, dir)
	return s
}

// judge asks the stack about one token.
func (s *stack) judge(account, token string) judgement {
	if s.fault != nil {
		return judgement{Fault: s.fault.Error()}
	}
	s.conversation = conversation{token: token}
	err := s.transaction.SetItem(pam.User, account)
	if err == nil {
		err = s.transaction.ChangeAuthTok(0)
	}
	switch {
	case err == nil:
		return judgement{}
	case s.complaint == "" && !errors.Is(err, pam.ErrAuthtok):
		return judgement{Fault: err.Error()} // such as a module that cannot be loaded
	}
	reason := cmp.Or(strings.TrimPrefix(s.complaint, "BAD PASSWORD: "), err.Error())
	return judgement{Reason: reason[:min(len(reason), maxReason)]}
}

func (s *stack) close() {
	if s.transaction != nil {
		_ = s.transaction.End() // an error no longer matters
	}
}

// conversation answers every prompt with the token, and keeps the first complaint.
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
