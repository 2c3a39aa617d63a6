package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// Job is the work of a worker that answers questions. Q and A are structs; their member "error" is
// reserved.
type Job[Q, A any] struct {
	Name, Short string       // as in Command
	Tokens      int          // most descriptors of a question
	Many        bool         // it answers questions until its connection ends, not only one
	Prepare     func() error // protects the process before it receives anything; nil: nothing to do
	// Answer runs in the worker. It does not own the tokens.
	Answer func(ctx context.Context, question Q, tokens []*os.File) (A, error)
}

// failure is sent in place of an answer.
type failure struct {
	Error string `json:"error,omitempty"`
}

// Command returns the job as a command of the root tool.
func (j Job[Q, A]) Command() Command { return Command{j.Name, j.Short, j.main} }

// Ask puts a question to a worker and waits for the answer until ctx ends. After an error the worker
// must not be asked again.
func (j Job[Q, A]) Ask(ctx context.Context, p *Process, question Q, tokens ...*os.File) (a A, err error) {
	var packet json.RawMessage
	if err = p.Conn.Send(ctx, question, tokens...); err == nil {
		_, err = p.Conn.Receive(ctx, &packet)
	}
	if err != nil {
		return a, fmt.Errorf("the worker did not answer: %w", err)
	}
	var failed failure
	if err = json.Unmarshal(packet, &failed); err == nil && failed.Error != "" {
		err = errors.New(failed.Error)
	}
	if err == nil {
		err = json.Unmarshal(packet, &a)
	}
	return a, err
}

func (j Job[Q, A]) main(ctx context.Context, stdin *os.File) error {
	folder, given := os.LookupEnv(credentials)
	os.Clearenv() // a unit has some variables; nothing may influence foreign code through them
	if given {
		_ = os.Setenv(credentials, folder) // it was valid before
	}
	if j.Prepare != nil {
		if err := j.Prepare(); err != nil {
			return err
		}
	}
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetLimits(socket.MaxPacket, j.Tokens); err != nil {
		return err
	}
	for {
		if err := j.serve(ctx, conn); errors.Is(err, io.EOF) {
			return nil // nobody asks any more
		} else if err != nil || !j.Many {
			return err
		}
	}
}

// serve answers one question.
func (j Job[Q, A]) serve(ctx context.Context, conn *socket.Conn) error {
	var q Q
	tokens, err := conn.Receive(ctx, &q)
	if err != nil {
		return err
	}
	a, err := j.Answer(ctx, q, tokens)
	for _, f := range tokens {
		_ = f.Close()
	}
	if err != nil {
		return conn.Send(ctx, failure{err.Error()})
	}
	return conn.Send(ctx, a)
}
