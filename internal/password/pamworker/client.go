package pamworker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// deadline bounds a transaction, apart from the time to compute hashes. The stack itself delays
	// a failed one by about two seconds. By stopping the worker, an operator can hold the lock of
	// the password files for this long.
	deadline = 8 * time.Second
	// memory bounds the worker's memory in bytes, apart from the memory of a hash.
	memory = 256 << 20
	// hashes are computed in a transaction: the present one twice, and the new one once.
	hashes = 3
	// waiting is how long a worker may wait for a question, and for the new password of a change: a
	// code of a second factor may come before that.
	waiting = 5 * time.Minute

	unitPrefix = "pam-"
)

// Workers starts workers.
type Workers struct{ Helpers *worker.Helpers }

// Worker is one process, for one question, or for a proof and the change that follows it. It may be
// started before the question is known, because starting a unit takes longer than most transactions.
type Worker struct {
	name    string
	within  time.Duration
	begun   bool // the change, after the proof
	started chan struct{}
	// Valid once started is closed:
	process *worker.Process // nil: it did not start, or it needs no end any more
	fault   error           // of the start
}

// Start starts a worker in the background. The caller must close it. Its time and memory depend on
// what a new hash costs on this machine, and what the account's present one costs.
func (w *Workers) Start(ctx context.Context, present string) *Worker {
	cost := costOf(present)
	within := deadline + time.Duration(hashes*cost.Seconds()*float64(time.Second))
	k := &Worker{name: w.Helpers.Name(unitPrefix), within: within, started: make(chan struct{})}
	go func() {
		defer close(k.started)
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		k.process, k.fault = w.Helpers.Start(ctx, job.Name, systemd.HelperUnit{
			Name: k.name, What: "PAM transaction for an operator", Deadline: waiting + 2*within, Memory: memory + int64(cost.Memory),
		})
	}()
	return k
}

// costOf returns the higher of what passwd(1) pays for a new hash and what the present one costs.
// If both are unknown, the worker's base limits are enough for the usual formats.
func costOf(present string) format.Cost {
	method, _ := crypt.MethodOfSystem("/")
	hash, _ := format.Parse(present)
	return method.Price().Max(hash.Cost)
}

// Unit returns the worker's unit. With it the receiver of the PAM module's reports recognises the
// worker.
func (k *Worker) Unit() string { return systemd.HelperName(k.name) }

// IsUnit reports whether a unit is a worker of this broker or of an earlier one.
func IsUnit(unit string) bool {
	return strings.HasPrefix(unit, strings.TrimSuffix(systemd.HelperName(unitPrefix), ".service"))
}

// Prove checks the current password of a user. If it is correct and the worker is to stay, that worker
// can be asked for the change: it begins it at once, and the stack checks the current password again
// while the new one is typed.
func (k *Worker) Prove(ctx context.Context, user string, uid int, current *os.File, stays bool) (Answer, error) {
	answer, err := k.ask(ctx, question{User: user, UID: uid, Current: true, Stays: stays}, current)
	k.begun = stays && err == nil && answer.Verdict == Done
	if !k.begun {
		k.dismiss()
	}
	return answer, err
}

// Visitor is somebody who shows a password from another machine.
type Visitor struct {
	User    string
	UID     int
	Service string // of PAM
	Host    string // that they come from
	Nobody  bool   // no account is meant: whatever is shown is wrong, after the usual time
}

// nobody is the name of no account. What a stranger typed as a name may be a password, and PAM modules log
// names.
const nobody = "shadowsync-nobody"

// ProveOf checks the password of a visitor, whose hash is present.
func (w *Workers) ProveOf(ctx context.Context, v Visitor, present string, current *os.File) (Answer, error) {
	k := w.Start(ctx, present)
	defer k.dismiss()
	q := question{User: v.User, UID: v.UID, Current: true, Service: v.Service, Host: v.Host, Nobody: v.Nobody}
	if v.Nobody {
		q.User, q.UID = nobody, 0
	}
	answer, err := k.ask(ctx, q, current)
	if err == nil && v.Nobody && answer.Verdict == Done {
		answer = Answer{Verdict: Wrong, Reason: "no account"}
	}
	return answer, err
}

// Begun reports whether the worker has begun the change and waits for the new password.
func (k *Worker) Begun() bool { return k.begun }

// Change sets a user's password as that user, who gives the current one.
func (k *Worker) Change(ctx context.Context, user string, uid int, current, fresh *os.File) (Answer, error) {
	defer k.dismiss()
	if k.begun {
		return k.ask(ctx, question{User: user, UID: uid, New: true}, fresh)
	}
	return k.ask(ctx, question{User: user, UID: uid, Current: true, New: true}, current, fresh)
}

// Begin checks the current password of a user as a change of it does, and changes nothing.
func (k *Worker) Begin(ctx context.Context, user string, uid int, current *os.File) (Answer, error) {
	defer k.dismiss()
	return k.ask(ctx, question{User: user, UID: uid, Current: true, Begins: true}, current)
}

// Set sets a user's password as root, without the current one. If the stack objects to the new
// password, that is a refusal here, too.
func (k *Worker) Set(ctx context.Context, user string, fresh *os.File) (Answer, error) {
	defer k.dismiss()
	return k.ask(ctx, question{User: user, New: true}, fresh)
}

func (k *Worker) ask(ctx context.Context, q question, tokens ...*os.File) (answer Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, k.within)
	defer cancel()
	<-k.started // bounded by the same deadline
	if k.fault != nil {
		return answer, k.fault
	}
	q.Within = k.within
	if answer, err = job.Ask(ctx, k.process, q, tokens...); err != nil {
		k.Close() // what it did so far stays; it does no more
		return Answer{}, fmt.Errorf("cannot run a PAM transaction: %w", err)
	}
	return answer, nil
}

// dismiss lets a worker end that was asked its last question: it ends by itself.
func (k *Worker) dismiss() {
	if k.process != nil {
		_ = k.process.Conn.Close()
		k.process = nil
	}
}

// Close ends a worker that did not answer, even a stopped one, which would not notice that the
// connection is closed. Closing nil does nothing.
func (k *Worker) Close() {
	if k == nil {
		return
	}
	<-k.started
	if k.process != nil {
		_ = k.process.Kill() // if this fails, its own timer kills it soon after
		k.process = nil
	}
}
