package pamworker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/socket"
)

// Argument is the root tool's hidden command that runs Main.
const Argument = "worker-pam"

// service is the stack of passwd(1). Where it has no auth lines of its own, libpam takes those of
// "other", which are the machine's common ones on Debian; on Fedora it has.
const service = "passwd"

// question says for whom, and what to do. The descriptors with it are the current
// password, the new one, or both, in this order.
type question struct {
	User    string `json:"user"`
	UID     int    `json:"uid"` // real uid of the transaction
	Current bool   `json:"current"`
	New     bool   `json:"new"`
}

// Verdict is what came of a transaction.
type Verdict string

// The verdicts.
const (
	Done    Verdict = "done"
	Wrong   Verdict = "wrong"   // the current password is not that, or the account may not log in
	Weak    Verdict = "weak"    // the new password was refused: another may do
	Refused Verdict = "refused" // no new password is taken now: the last change is too recent
	Failed  Verdict = "failed"  // the stack itself is at fault
)

// Answer is what the stack said.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // the stack's own words
}

// Main is the worker: one question on stdin, one answer, and the end.
func Main(ctx context.Context, stdin *os.File) error {
	os.Clearenv() // what modules read there is nobody's to set
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetLimits(socket.MaxPacket, 2); err != nil {
		return err
	}
	var q question
	files, err := conn.Receive(ctx, &q)
	if errors.Is(err, io.EOF) {
		return nil // the operator thought better of it
	}
	if err != nil {
		return err
	}
	if err := killAfter(deadline); err != nil {
		return err
	}
	c, err := q.take(files)
	if err != nil {
		return err
	}
	// The real uid alone: the saved one stays 0, so that nothing but signals is given away.
	if err := syscall.Setresuid(q.UID, 0, 0); err != nil {
		return fmt.Errorf("cannot act for uid %d: %w", q.UID, err)
	}
	// The unit allows neither cores nor swap; locking all memory would cost more than the transaction.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep the memory private: %w", err)
	}
	return conn.Send(ctx, run(q, c))
}

// take reads the tokens and closes their descriptors.
func (q question) take(files []*os.File) (*conversation, error) {
	c := &conversation{strict: q.UID == 0, weak: make(chan string, 1)}
	for _, f := range files {
		defer f.Close()
	}
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

func run(q question, c *conversation) Answer {
	if strings.ContainsAny(c.current+c.new, "\x00\n") {
		return Answer{Weak, "a password has no NUL and no line break"}
	}
	t, err := pam.Start(service, q.User, c)
	if err != nil {
		return Answer{Failed, err.Error()}
	}
	done := make(chan Answer, 1)
	go func() {
		answer := transact(t, q, c)
		if err := t.End(); err != nil && answer.Verdict != Done {
			answer.Reason = cmp.Or(answer.Reason, err.Error())
		}
		done <- answer
	}()
	select {
	case answer := <-done:
		return answer
	case reason := <-c.weak:
		// libpam would delay this for two seconds, as pam_unix asked for against the
		// guessing of the current password. passwd asks for another new one at once.
		return Answer{Weak, reason}
	}
}

func transact(t *pam.Transaction, q question, c *conversation) Answer {
	if !q.New {
		return prove(t, c)
	}
	if c.new == "" {
		return Answer{Weak, "no password was given"}
	}
	c.changing = true
	err := t.ChangeAuthTok(0)
	switch {
	case err == nil:
		return Answer{Verdict: Done}
	case errors.Is(c.cause, errAsksAgain), c.given > 0 && c.cause == nil:
		return Answer{Weak, cmp.Or(c.complaint, err.Error())}
	case c.cause != nil:
		return Answer{Failed, c.cause.Error()}
	case c.complaint != "":
		return Answer{Refused, c.complaint}
	case errors.Is(err, pam.ErrAuth), errors.Is(err, pam.ErrAuthtokRecovery):
		return Answer{Wrong, err.Error()}
	}
	return Answer{Failed, err.Error()}
}

// prove checks the current password as a login would, with whatever counts
// failures there. An expired one is good enough to be changed.
func prove(t *pam.Transaction, c *conversation) Answer {
	if c.current == "" {
		return Answer{Wrong, "no password was given"} // pam_unix with nullok would let it pass
	}
	err := t.Authenticate(pam.DisallowNullAuthtok)
	if err == nil {
		err = t.AcctMgmt(pam.DisallowNullAuthtok)
	}
	switch {
	case err == nil, errors.Is(err, pam.ErrNewAuthtokReqd):
		return Answer{Verdict: Done}
	case c.cause != nil:
		return Answer{Failed, c.cause.Error()}
	}
	return Answer{Wrong, cmp.Or(c.complaint, err.Error())}
}
