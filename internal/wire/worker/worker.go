// Package worker runs a part of the work in a process of its own: clear text, foreign PAM modules, a
// store's file that belongs to another user, and what the broker's sandbox forbids.
//
// Every worker is a hidden command of shadowsync's own program. Its standard input is its
// connection, on which it gets everything else: it has no environment and no other argument. It
// starts in one of two ways. A child ends with its parent. A helper gets a transient unit from
// systemd, outside the sandbox of the broker that asks for it, and finishes its work even if the
// broker dies.
//
// What differs from worker to worker is data: see Job. Only the worker of a store has a protocol of
// its own, because it serves many requests and watches.
//
//	worker.go  Command and Process: what all workers have in common
//	job.go     Job: questions and answers, at both ends
//	child.go   starts a worker as a child
//	helper.go  asks systemd to start one
//	credential.go  reads what systemd decrypts for a helper
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/socket"
)

// Command is a worker as a hidden command of the root tool.
type Command struct {
	Name, Short string
	// Main runs the worker until its work is done or stdin, its connection, ends.
	Main func(ctx context.Context, stdin *os.File) error
}

// Process is a worker as seen by the process that started it.
type Process struct {
	Conn *socket.Conn // takes no descriptors. Closing it ends a worker that waits for a question
	End  func() error // ends the worker, whatever it is doing
}

// Kill closes the connection and ends the worker, whatever it is doing. If it has ended already,
// that is no error.
func (p *Process) Kill() error { return errors.Join(p.Conn.Close(), p.End()) }

// Connect starts a worker by a function that hands it its standard input, and returns the other end.
func Connect(start func(stdin *os.File) error) (*socket.Conn, error) {
	conn, theirs, err := socket.Pair()
	if err != nil {
		return nil, fmt.Errorf("cannot start a worker: %w", err)
	}
	// Otherwise this process would not notice the end of the worker.
	defer theirs.Close()
	if err := errors.Join(conn.SetLimits(socket.MaxPacket, 0), start(theirs)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
