package pamworker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// deadline bounds a transaction: a failed one is delayed by about two seconds by
	// the stack itself. It is how long an operator can hold the lock of the password
	// files by stopping the worker.
	deadline = 8 * time.Second
	// waiting is how long a worker may wait for its question.
	waiting = 3 * time.Minute

	unitPrefix = "pam-"
)

// Workers starts workers.
type Workers struct {
	Bus    *systemd.Bus
	Binary string // the root tool
	made   atomic.Int64
}

// Worker is one process, for one question. It may be started before the question is
// known: the start of a unit takes longer than most of what is asked of it.
type Worker struct {
	workers *Workers
	name    string
	conn    *socket.Conn
	started chan struct{}
	fault   error // of the start; once started is closed
}

// Start has a worker started, and waits for nothing. It must be closed.
func (w *Workers) Start(ctx context.Context) *Worker {
	k := &Worker{workers: w, name: fmt.Sprintf(unitPrefix+"%d-%d", os.Getpid(), w.made.Add(1)), started: make(chan struct{})}
	conn, theirs, err := socket.Pair()
	if err != nil {
		k.fault = fmt.Errorf("cannot start a PAM worker: %w", err)
		close(k.started)
		return k
	}
	k.conn = conn
	go func() {
		defer close(k.started)
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		k.fault = w.Bus.StartHelper(ctx, systemd.HelperUnit{
			Name: k.name, What: "PAM transaction for an operator", Binary: w.Binary, Args: []string{Argument}, Stdin: theirs, Deadline: waiting + deadline,
		})
	}()
	return k
}

// Unit is the worker's unit, by which whoever the PAM module in it reports to can tell it.
func (k *Worker) Unit() string { return systemd.HelperName(k.name) }

// IsUnit tells whether a unit is a worker's, of this broker or of one before it.
func IsUnit(unit string) bool {
	return strings.HasPrefix(unit, strings.TrimSuffix(systemd.HelperName(unitPrefix), ".service"))
}

// Prove checks the current password of a user.
func (k *Worker) Prove(ctx context.Context, user string, uid int, current *os.File) (Answer, error) {
	return k.ask(ctx, question{User: user, UID: uid, Current: true}, current)
}

// Change sets a user's password as that user, whose current one is given.
func (k *Worker) Change(ctx context.Context, user string, uid int, current, fresh *os.File) (Answer, error) {
	return k.ask(ctx, question{User: user, UID: uid, Current: true, New: true}, current, fresh)
}

// Set sets a user's password as root, who needs no current one; what the stack
// finds wrong with it is a refusal here, too.
func (k *Worker) Set(ctx context.Context, user string, fresh *os.File) (Answer, error) {
	return k.ask(ctx, question{User: user, New: true}, fresh)
}

func (k *Worker) ask(ctx context.Context, q question, tokens ...*os.File) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	<-k.started // bounded by the same deadline
	if k.fault != nil {
		return answer, k.fault
	}
	if err = k.conn.Send(ctx, q, tokens...); err == nil {
		_, err = k.conn.Receive(ctx, &answer)
	}
	if err != nil {
		k.Close() // what it did by now stands, and it does no more
		return Answer{}, fmt.Errorf("the PAM worker did not answer: %w", err)
	}
	_ = k.conn.Close()
	k.conn = nil // it ends by itself
	return answer, nil
}

// Close ends a worker that did not answer, whatever it holds: it may be stopped,
// so that it would not see that nobody listens. A nil one is closed.
func (k *Worker) Close() {
	if k == nil {
		return
	}
	<-k.started
	if k.conn == nil {
		return
	}
	_ = k.conn.Close()
	k.conn = nil
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = k.workers.Bus.StopHelper(ctx, k.name) // it kills itself soon after
}
