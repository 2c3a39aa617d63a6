package pamworker

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

// deadline bounds a transaction: a failed one is delayed by about two seconds by
// the stack itself. It is how long an operator can hold the lock of the password
// files by stopping the worker.
const deadline = 8 * time.Second

// Workers starts workers.
type Workers struct {
	Bus    *systemd.Bus
	Binary string // the root tool
	made   atomic.Int64
}

// Prove checks the current password of a user.
func (w *Workers) Prove(ctx context.Context, user string, uid int, current *os.File) (Answer, error) {
	return w.ask(ctx, w.Name(), question{User: user, UID: uid, Current: true}, current)
}

// Change sets a user's password as that user, whose current one is given. The
// name is the worker's, from Name: whoever the PAM module of that unit reports to can tell it by that.
func (w *Workers) Change(ctx context.Context, name, user string, uid int, current, fresh *os.File) (Answer, error) {
	return w.ask(ctx, name, question{User: user, UID: uid, Current: true, New: true}, current, fresh)
}

// Set sets a user's password as root, who needs no current one; what the stack
// finds wrong with it is a refusal here, too.
func (w *Workers) Set(ctx context.Context, name, user string, fresh *os.File) (Answer, error) {
	return w.ask(ctx, name, question{User: user, New: true}, fresh)
}

// Name makes a name for a worker that no other has.
func (w *Workers) Name() string { return fmt.Sprintf("pam-%d-%d", os.Getpid(), w.made.Add(1)) }

func (w *Workers) ask(ctx context.Context, name string, q question, tokens ...*os.File) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	conn, theirs, err := socket.Pair()
	if err != nil {
		return answer, fmt.Errorf("cannot start a PAM worker: %w", err)
	}
	defer conn.Close()
	err = w.Bus.StartHelper(ctx, systemd.HelperUnit{
		Name: name, What: "PAM transaction for an operator", Binary: w.Binary, Args: []string{Argument}, Stdin: theirs, Deadline: deadline,
	})
	_ = theirs.Close()
	if err != nil {
		return answer, err
	}
	if err = conn.Send(ctx, q, tokens...); err == nil {
		_, err = conn.Receive(ctx, &answer)
	}
	if err != nil {
		w.kill(ctx, name)
		return Answer{}, fmt.Errorf("the PAM worker did not answer: %w", err)
	}
	return answer, nil
}

// kill ends a worker that is late, whatever it holds.
func (w *Workers) kill(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = w.Bus.StopHelper(ctx, name) // systemd's own deadline is the same
}
