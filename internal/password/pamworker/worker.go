package pamworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

var job = worker.Job[question, Answer]{
	Name: "worker-pam", Short: "Run a PAM transaction, for the daemon", Tokens: 2, Many: true, Answer: new(process).answer,
}

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

// service is the stack of passwd(1). On Debian it has no auth lines of its own, and libpam takes
// those of "other", which are the machine's common ones; on Fedora it has its own.
const service = "passwd"

const noPassword = "no password was given"

// question says what to do, and for which user. With it come the descriptors of the current
// password, the new one, or both, in this order.
type question struct {
	User    string `json:"user"`
	UID     int    `json:"uid"` // real uid of the transaction
	Current bool   `json:"current"`
	New     bool   `json:"new"`
	// Stays: after the proof of the current password the process begins the change, up to where the
	// stack asks for the new password. The next question brings that.
	Stays bool `json:"stays"`
	// Begins: the change is only begun: it is done, and nothing is changed, once the stack asks for the new
	// password. That proves the current one at whoever keeps it, and never by what a module remembers.
	Begins bool `json:"begins"`

	Service string `json:"service,omitempty"` // of PAM; empty: passwd's
	Host    string `json:"host,omitempty"`    // that the person comes from
	// Nobody: the user is no account. The proof fails, in the time that one of an account takes.
	Nobody bool `json:"nobody,omitempty"`

	Within time.Duration `json:"within"` // time limit of each transaction, without the wait for the new password
}

// Verdict is the result of a transaction.
type Verdict string

// The verdicts.
const (
	Done    Verdict = "done"
	Wrong   Verdict = "wrong"   // the current password is wrong, or the account may not log in
	Weak    Verdict = "weak"    // the new password was refused: another may be accepted
	Refused Verdict = "refused" // no new password is accepted now: the last change is too recent
	Failed  Verdict = "failed"  // the stack itself failed
)

// Answer is what the stack said.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // the stack's own words
	// Given: the stack's modules got the new password, and did not ask for another one.
	Given bool `json:"given,omitempty"`
}

// process is what the process keeps from a question to the next.
type process struct {
	end    killTimer
	change *change // begun after the proof; nil: none
}

// answer runs the transaction. From here on the process is the user's, and the kernel ends it in time.
func (p *process) answer(_ context.Context, q question, tokens []*os.File) (a Answer, err error) {
	if p.change != nil {
		return p.finish(q, tokens)
	}
	if err := p.end.killAfter(q.Within); err != nil {
		return a, err
	}
	c, err := q.take(tokens)
	if err != nil {
		return a, err
	}
	if err := become(q.UID); err != nil {
		return a, err
	}
	a = begin(q, c).result()
	if q.Stays && !q.New && a.Verdict == Done {
		err = p.stay(q, c.current)
	}
	return a, err
}

// become makes this process a user's.
func become(uid int) error {
	// Only the real uid: the saved uid stays 0, so that the user may signal this process, but no
	// more.
	if err := syscall.Setresuid(uid, 0, 0); err != nil {
		return fmt.Errorf("cannot act for uid %d: %w", uid, err)
	}
	// The unit forbids core dumps and swap; locking all memory would cost more than the
	// transaction.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep the memory private: %w", err)
	}
	return nil
}

// take reads the tokens.
func (q question) take(files []*os.File) (*conversation, error) {
	c := newConversation(q.UID)
	for _, want := range []struct {
		sent bool
		into *string
	}{{q.Current, &c.current}, {q.New, &c.new}} {
		if !want.sent {
			continue
		}
		if len(files) == 0 {
			return nil, errors.New("a question without its token")
		}
		token, err := socket.ReadSecret(files[0], crypt.MaxToken)
		if err != nil {
			return nil, err
		}
		*want.into, files = string(token), files[1:]
		socket.Wipe(token)
	}
	return c, nil
}

// transaction is one that runs.
type transaction struct {
	done chan Answer
	weak <-chan string
}

// begin runs a transaction in the background.
func begin(q question, c *conversation) *transaction {
	t := &transaction{done: make(chan Answer, 1), weak: c.weak}
	go func() { t.done <- run(q, c) }()
	return t
}

// result waits for the transaction's answer.
func (t *transaction) result() Answer {
	select {
	case answer := <-t.done:
		return answer
	case reason := <-t.weak:
		// libpam would delay this result by two seconds, which pam_unix requests against guessing
		// of the current password. passwd asks for another new one at once.
		return Answer{Verdict: Weak, Reason: reason}
	}
}

func run(q question, c *conversation) Answer {
	if unfit(c.current) != "" {
		return Answer{Verdict: Wrong, Reason: "no account has such a password"}
	}
	if why := unfit(c.new); why != "" {
		return Answer{Verdict: Weak, Reason: why}
	}
	t, err := pam.Start(cmp.Or(q.Service, service), q.User, c)
	if err == nil && q.Host != "" {
		err = t.SetItem(pam.Rhost, q.Host)
	}
	if err != nil {
		return Answer{Verdict: Failed, Reason: err.Error()}
	}
	answer := transact(t, q, c)
	if err := t.End(); err != nil && answer.Verdict != Done {
		answer.Reason = cmp.Or(answer.Reason, err.Error())
	}
	return answer
}

// unfit returns why no stack can take a password; empty: it can.
func unfit(password string) string {
	if strings.ContainsAny(password, "\x00\n") {
		return "a password has no NUL and no line break"
	}
	return ""
}

func transact(t *pam.Transaction, q question, c *conversation) Answer {
	if q.Begins {
		c.later = func() (string, error) { return "", errBegun }
	} else if !q.New {
		return prove(t, q.Nobody, c)
	}
	if c.new == "" && c.later == nil {
		return Answer{Verdict: Weak, Reason: noPassword}
	}
	c.changing = true
	err := t.ChangeAuthTok(0)
	switch {
	case err == nil:
		return Answer{Verdict: Done}
	case errors.Is(c.cause, errBegun):
		return Answer{Verdict: Done}
	case errors.Is(c.cause, errAsksAgain), c.given > 0 && c.cause == nil:
		return Answer{Verdict: Weak, Reason: cmp.Or(c.complaint, err.Error()), Given: c.cause == nil}
	case c.cause != nil:
		return Answer{Verdict: Failed, Reason: c.cause.Error(), Given: c.given > 0}
	case c.complaint != "":
		return Answer{Verdict: Refused, Reason: c.complaint}
	case errors.Is(err, pam.ErrAuth), errors.Is(err, pam.ErrAuthtokRecovery):
		return Answer{Verdict: Wrong, Reason: err.Error()}
	}
	return Answer{Verdict: Failed, Reason: err.Error()}
}

// pretend takes the time that PAM takes for the hashes of an account.
func pretend() {
	if method, err := crypt.MethodOfSystem("/"); err == nil {
		_ = method.LikeLogin() // what fails here fails for accounts as well
	}
}

// prove checks the current password as a login would, and failures count as there. An expired
// password is accepted, since it is about to be changed.
func prove(t *pam.Transaction, nobody bool, c *conversation) Answer {
	if c.current == "" {
		return Answer{Verdict: Wrong, Reason: noPassword} // pam_unix with nullok would accept it
	}
	if nobody {
		pretend()
	}
	err := t.Authenticate(pam.DisallowNullAuthtok)
	if err == nil {
		err = t.AcctMgmt(pam.DisallowNullAuthtok)
	}
	switch {
	case err == nil, errors.Is(err, pam.ErrNewAuthtokReqd):
		return Answer{Verdict: Done}
	case c.cause != nil:
		return Answer{Verdict: Failed, Reason: c.cause.Error()}
	}
	return Answer{Verdict: Wrong, Reason: cmp.Or(c.complaint, err.Error())}
}
