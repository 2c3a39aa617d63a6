// Package tokenworker answers one question about one clear text, in a process of its
// own that exits afterwards.
//
// It promises that the asking process never reads the clear text: it hands a
// descriptor on, and what it gets back is the answer alone. The worker is our own
// binary with an empty environment, keeps its memory to itself, and ends with its parent or with the
// asker's patience.
package tokenworker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/socket"
)

// reply is what a worker sends back.
type reply[A any] struct {
	Answer A      `json:"answer"`
	Error  string `json:"error,omitempty"`
}

// Ask starts a worker, the root tool's hidden command with this name, puts the
// question and waits for the answer until ctx ends; then the worker is killed.
func Ask[Q, A any](ctx context.Context, command string, token *os.File, question Q) (A, error) {
	var r reply[A]
	conn, theirs, err := socket.Pair()
	if err != nil {
		return r.Answer, fmt.Errorf("cannot ask a worker: %w", err)
	}
	defer conn.Close()
	cmd, err := start(ctx, command, theirs)
	_ = theirs.Close()
	if err != nil {
		return r.Answer, fmt.Errorf("cannot ask a worker: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have exited already
		_ = cmd.Wait()
	}()
	if err = conn.Send(ctx, question, token); err == nil {
		_, err = conn.Receive(ctx, &r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		return r.Answer, fmt.Errorf("cannot ask a worker: %w", err)
	}
	return r.Answer, nil
}

// start runs our own binary with nothing but the socket: no environment, no
// argument that tells anything, gone with its parent.
func start(ctx context.Context, command string, stdin *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, command)
	cmd.Env, cmd.Dir, cmd.Stdin = []string{}, "/", stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

// Serve is the worker: one question on stdin, one answer, and the end. The secret
// is wiped once it was answered.
func Serve[Q, A any](ctx context.Context, stdin *os.File, answer func(question Q, secret []byte) (A, error)) error {
	if err := Harden(); err != nil {
		return err
	}
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	var q Q
	files, err := conn.Receive(ctx, &q)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return errors.New("a question without a token")
	}
	defer files[0].Close()
	var r reply[A]
	secret, err := socket.ReadSecret(files[0], crypt.MaxToken)
	if err == nil {
		r.Answer, err = answer(q, secret)
		socket.Wipe(secret)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return conn.Send(ctx, r)
}

// Harden keeps this process's memory to itself: no core, no ptrace by its own
// uid, no swap where the limit allows.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep the memory private: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot forbid core dumps: %w", err)
	}
	// ONFAULT: Go reserves far more address space than it uses, and to fill that took longer than all
	// the work of the process. A low RLIMIT_MEMLOCK is no reason to lose the change.
	_ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	return nil
}
