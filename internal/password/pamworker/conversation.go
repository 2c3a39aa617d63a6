package pamworker

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/msteinert/pam/v2"
)

// The stack's modules ask in their own words. The process never calls setlocale(3), so these are
// always English. Each token only answers its own question: a current password must not become a
// new one because a module asked out of turn.
const (
	asksNothing = iota
	asksCurrent
	asksNew
)

// errAsksAgain ends a transaction whose stack asks for another new password: the operator enters
// that one in a new transaction.
var errAsksAgain = errors.New("the new password was refused")

// errBegun ends a change that is only begun.
var errBegun = errors.New("the current password is right")

// conversation answers for the operator. Its tokens are copies in the heap of a process that ends
// soon.
type conversation struct {
	current, new string
	strict       bool // a complaint about the new password is a refusal, although PAM only warns root
	changing     bool
	given        int    // how often the new password was given
	repeated     bool   // it was given twice to the module that asked last
	complaint    string // what the stack said last against it
	cause        error  // why the conversation ended; PAM reports it as its own error

	later func() (string, error) // waits for the new password; nil: it is there already

	weak chan string // what is wrong with the new password, known before libpam delays the failure
}

// newConversation answers for a user; root's is strict.
func newConversation(uid int) *conversation {
	return &conversation{strict: uid == 0, weak: make(chan string, 1)}
}

// RespondPAM implements pam.ConversationHandler.
func (c *conversation) RespondPAM(style pam.Style, message string) (string, error) {
	switch style {
	case pam.ErrorMsg, pam.TextInfo:
		c.hear(style, message)
		return "", nil
	case pam.PromptEchoOff:
		answer, err := c.answer(message)
		c.cause = errors.Join(c.cause, err)
		return answer, err
	}
	c.cause = errors.Join(c.cause, fmt.Errorf("the PAM stack asks for something else than a password: %q", message))
	return "", c.cause
}

// hear records what is wrong. It ignores the line of pam_shadowsync.so, which is meant for passwd,
// and everything after this process has ended the conversation itself.
func (c *conversation) hear(style pam.Style, message string) {
	message = strings.TrimSpace(message)
	if strings.HasPrefix(message, "shadowsync:") || message == "" || c.cause != nil {
		return
	}
	if style == pam.ErrorMsg || c.complaint == "" && (c.given > 0 || !c.changing) {
		c.complaint = message
	}
}

func (c *conversation) answer(prompt string) (string, error) {
	switch what := c.asks(prompt); {
	case what == asksCurrent && c.current != "":
		return c.current, nil
	case what == asksNew && c.changing:
		return c.giveNew(prompt)
	}
	return "", fmt.Errorf("the PAM stack asks a question that shadowsync cannot answer: %q", prompt)
}

// giveNew gives the new password and its repetition. If the stack asks for another one, or for the
// repetition of one that was found weak, giveNew ends the transaction. A second module that asks, as
// pam_ldap.so of nslcd(8) does after pam_pwquality.so, gets the same one, if nobody has complained.
func (c *conversation) giveNew(prompt string) (string, error) {
	again := isRepetition(prompt)
	next := c.given == 1 && c.repeated && c.complaint == ""
	if !again && c.given > 0 && !next || c.strict && c.complaint != "" {
		if len(c.weak) == 0 {
			c.weak <- cmp.Or(c.complaint, errAsksAgain.Error())
		}
		return "", errAsksAgain
	}
	if !again && c.given == 0 && c.later != nil {
		var err error
		if c.new, err = c.later(); err != nil {
			return "", err
		}
	}
	if c.repeated = again; !again {
		c.given++
	}
	return c.new, nil
}

func (c *conversation) asks(prompt string) int {
	p := strings.ToLower(prompt)
	switch {
	case strings.Contains(p, "new") || isRepetition(p):
		return asksNew
	case strings.Contains(p, "current") || strings.Contains(p, "old"):
		return asksCurrent
	case !c.changing && strings.Contains(p, "password"):
		return asksCurrent // pam_authenticate asks for only one password
	}
	return asksNothing
}

func isRepetition(prompt string) bool {
	p := strings.ToLower(prompt)
	return strings.Contains(p, "retype") || strings.Contains(p, "reenter") || strings.Contains(p, "again") || strings.Contains(p, "confirm")
}
