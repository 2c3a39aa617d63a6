package pamworker

import (
	"errors"
	"os"
)

// change is a change that has begun before the new password is known. The stack has checked the
// current one, as it does for passwd(1), and waits for the new one as passwd waits for a person. It
// holds no lock meanwhile: pam_unix takes that of the password files once it has the new password.
// Like passwd it keeps the current password for that time, in memory that is neither dumped nor swapped.
type change struct {
	*transaction
	fresh chan string
}

// stay begins the change for a user whose current password is proven.
func (p *process) stay(q question, current string) error {
	if err := p.end.killAfter(q.Within); err != nil {
		return err
	}
	q.New = true
	fresh := make(chan string, 1)
	c := newConversation(q.UID)
	c.current, c.later = current, func() (string, error) { return p.await(q, fresh) }
	t := &transaction{done: make(chan Answer, 1), weak: c.weak}
	p.change = &change{t, fresh}
	go func() {
		answer := run(q, c)
		if c.given == 0 { // the stack wants no new password: its answer waits for the question
			_ = p.end.killAfter(waiting)
		}
		t.done <- answer
	}()
	return nil
}

// await waits for the new password. When that has come, the time of the transaction begins anew.
func (p *process) await(q question, fresh <-chan string) (string, error) {
	if err := p.end.killAfter(waiting); err != nil {
		return "", err
	}
	password := <-fresh
	return password, p.end.killAfter(q.Within)
}

// finish gives the new password to the change that waits for it.
func (p *process) finish(q question, tokens []*os.File) (Answer, error) {
	c, err := q.take(tokens)
	switch {
	case err != nil:
		return Answer{}, err
	case !q.New || q.Current:
		return Answer{}, errors.New("a new password was expected")
	case c.new == "":
		return Answer{Verdict: Weak, Reason: noPassword}, nil
	case unfit(c.new) != "":
		return Answer{Verdict: Weak, Reason: unfit(c.new)}, nil
	}
	p.change.fresh <- c.new
	return p.change.result(), nil
}
