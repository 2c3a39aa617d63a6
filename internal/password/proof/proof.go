// Package proof makes a store's hash from the clear text that PAM carried, in a process of its own
// that exits afterwards.
//
// It is needed only if the application cannot verify the OS's hash. The broker passes the
// descriptor on and never reads it. The worker first proves that the clear text belongs to the hash
// that the OS holds now, and then makes another hash of it, or tells whether it fits the one that the
// store has.
//
//	proof.go   the worker and its questions
//	target.go  what a store takes in place of the OS's hash
//	turn.go    how many such hashes are made at once
//	pair.go    adds its hash to a change
package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/tokenworker"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

var job = tokenworker.New("worker-proof", "Make a store's hash, for the daemon", solve)

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

type question struct {
	OSHash string `json:"os_hash"`
	Target Target `json:"target"`
	Fit    bool   `json:"fit,omitempty"`  // look whether the clear text fits Target.Like
	Make   bool   `json:"make,omitempty"` // make a hash, unless it fits
}

type answer struct {
	StoreHash string `json:"store_hash,omitempty"` // made, or Target.Like, which fits
	NotProven bool   `json:"not_proven,omitempty"`
	Differs   bool   `json:"differs,omitempty"` // it was looked at, and does not fit
	Refused   string `json:"refused,omitempty"` // why the store cannot hold this clear text in any hash; shown to people
}

// ErrNotProven: the clear text does not belong to the hash that the OS holds.
var ErrNotProven = errors.New("the token does not match the OS's hash")

// ErrDiffers: the clear text belongs to the hash that the OS holds, and not to the store's value.
var ErrDiffers = errors.New("the token does not match the store's value")

// Maker starts the workers. Its zero value starts all of them as children of this process.
type Maker struct {
	// Helpers start those that take much memory or time in units of their own, outside the memory limit
	// of this process; nil: they are children too.
	Helpers *worker.Helpers
}

// Check starts a worker that proves that the token belongs to the OS's hash; if it does not, the
// error is ErrNotProven.
func Check(ctx context.Context, token *os.File, osHash string) error {
	_, err := Maker{}.ask(ctx, token, question{OSHash: osHash})
	return err
}

// Make starts a worker that turns the token into what a store holds for it, and waits for it until
// ctx ends; then it kills the worker. If no hash of the token is possible, the error is a
// *shadowsync.RefusedError.
func (m Maker) Make(ctx context.Context, token *os.File, osHash string, t Target) (string, error) {
	return m.ask(ctx, token, question{OSHash: osHash, Target: t, Make: true})
}

// Renew is Make, except that a value of the store that the token fits stays: it returns that one.
func (m Maker) Renew(ctx context.Context, token *os.File, osHash string, t Target) (string, error) {
	return m.ask(ctx, token, question{OSHash: osHash, Target: t, Fit: t.Scheme != "", Make: true})
}

// Fits returns the store's value if the token belongs to it. Otherwise the error is ErrDiffers.
func (m Maker) Fits(ctx context.Context, token *os.File, osHash string, t Target) (string, error) {
	return m.ask(ctx, token, question{OSHash: osHash, Target: t, Fit: true})
}

func (m Maker) ask(ctx context.Context, token *os.File, q question) (string, error) {
	done, err := q.Target.Turn(ctx)
	if err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	defer done()
	a, err := m.send(ctx, token, q)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot prove the token: %w", err)
	case a.NotProven:
		return "", fmt.Errorf("cannot use the token: %w", ErrNotProven)
	case a.Differs:
		return "", fmt.Errorf("cannot use the token: %w", ErrDiffers)
	case a.Refused != "":
		return "", fmt.Errorf("cannot use the token: %w", &shadowsync.RefusedError{Reason: a.Refused})
	}
	return a.StoreHash, nil
}

const (
	// childMemory is what a worker may take within the memory limit of the broker.
	childMemory = 32 << 20
	// besides is what a worker takes beside the hash.
	besides = 64 << 20
	// deadline is how long a helper may take.
	deadline = time.Minute
)

// send puts the question to a child or, if its hash takes much, to a helper.
func (m Maker) send(ctx context.Context, token *os.File, q question) (a answer, err error) {
	price := q.Target.price()
	if m.Helpers == nil || !price.Slow && price.Memory <= childMemory {
		return job.Ask(ctx, token, q)
	}
	p, err := m.Helpers.Start(ctx, job.Name, systemd.HelperUnit{
		Name: m.Helpers.Name("hash-"), What: "Hash of a new password", Deadline: deadline, Memory: price.Memory + besides,
	})
	if err != nil {
		return a, err
	}
	a, err = job.Job.Ask(ctx, p, q, token)
	_ = p.Kill() // it keeps no state: at worst it ends at its deadline
	return a, err
}

func solve(q question, secret []byte) (answer, error) {
	ok, err := crypt.Verify(q.OSHash, secret)
	if err != nil || !ok {
		return answer{NotProven: err == nil}, err
	}
	if q.Fit {
		fits, err := q.Target.fits(secret)
		switch {
		case fits:
			return answer{StoreHash: q.Target.Like}, nil
		case !q.Make:
			return answer{Differs: err == nil}, err
		}
	}
	if !q.Make {
		return answer{}, nil
	}
	hash, err := q.Target.Hash(secret)
	if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
		return answer{Refused: refused.Reason}, nil
	}
	return answer{StoreHash: hash}, err
}
