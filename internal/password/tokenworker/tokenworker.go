// Package tokenworker answers a question about one clear text, in a process of its own.
//
// The asking process never reads the clear text: it passes a descriptor on, and gets back only the
// answer. The worker is a child of it: see package worker. It protects its memory from other
// processes.
package tokenworker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/internal/wire/worker"
)

// Job is a worker's job about one clear text at a time.
type Job[Q, A any] struct{ worker.Job[Q, A] }

// New returns the job of the root tool's hidden command of this name. It wipes the secret after the
// answer.
func New[Q, A any](name, short string, answer func(question Q, secret []byte) (A, error)) Job[Q, A] {
	return Job[Q, A]{worker.Job[Q, A]{
		Name: name, Short: short, Tokens: 1, Prepare: cleartext.Harden,
		Answer: func(_ context.Context, q Q, tokens []*os.File) (a A, err error) {
			if len(tokens) != 1 {
				return a, errors.New("a question without a token")
			}
			secret, err := socket.ReadSecret(tokens[0], crypt.MaxToken)
			if err != nil {
				return a, err
			}
			defer socket.Wipe(secret)
			return answer(q, secret)
		},
	}}
}

// Ask starts a worker, sends it the question and waits for the answer until ctx ends; then it kills
// the worker.
func (j Job[Q, A]) Ask(ctx context.Context, token *os.File, question Q) (a A, err error) {
	p, err := worker.Child(j.Name)
	if err == nil {
		a, err = j.Job.Ask(ctx, p, question, token)
		_ = p.Kill() // it keeps no state: at worst it ends with this process
	}
	if err != nil {
		return a, fmt.Errorf("cannot ask a worker: %w", err)
	}
	return a, nil
}
