// Package proof makes a store's hash from the clear text that PAM carried, in a
// process of its own that exits afterwards.
//
// It is needed only where the application cannot verify the OS's hash. The broker
// hands the descriptor on and never reads it; the worker proves that the clear
// text belongs to the hash that the OS holds now, before it makes another of it.
package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/socket"
)

// Argument is the root tool's hidden command that runs Main.
const Argument = "worker-proof"

type question struct {
	OSHash string `json:"os_hash"`
	Prefix string `json:"prefix"` // of the format that the store's application verifies, as in crypt(5); empty: only prove
}

type answer struct {
	StoreHash string `json:"store_hash,omitempty"`
	NotProven bool   `json:"not_proven,omitempty"`
	Error     string `json:"error,omitempty"`
}

// ErrNotProven: the clear text does not belong to the hash that the OS holds.
var ErrNotProven = errors.New("the token does not match the OS's hash")

// Check starts a worker that proves that the token belongs to the OS's hash; else
// the error is ErrNotProven.
func Check(ctx context.Context, token *os.File, osHash string) error {
	_, err := Make(ctx, token, osHash, "")
	return err
}

// Make starts a worker that turns the token into a hash of the format with this
// prefix, and waits for it until ctx ends; then the worker is killed.
func Make(ctx context.Context, token *os.File, osHash, prefix string) (string, error) {
	conn, theirs, err := socket.Pair()
	if err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	defer conn.Close()
	cmd, err := start(ctx, theirs)
	_ = theirs.Close()
	if err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it may have exited already
		_ = cmd.Wait()
	}()
	if err := conn.Send(ctx, question{OSHash: osHash, Prefix: prefix}, token); err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	var a answer
	if _, err := conn.Receive(ctx, &a); err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	if a.NotProven {
		return "", fmt.Errorf("cannot use the token: %w", ErrNotProven)
	}
	if a.Error != "" {
		return "", fmt.Errorf("cannot prove the token: %s", a.Error)
	}
	return a.StoreHash, nil
}

// start runs our own binary with nothing but the socket: no environment, no
// argument that tells anything, gone with its parent.
func start(ctx context.Context, stdin *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, Argument)
	cmd.Env, cmd.Dir, cmd.Stdin = []string{}, "/", stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

// Main is the worker: one question on stdin, one answer, and the end.
func Main(ctx context.Context, stdin *os.File) error {
	if err := Harden(); err != nil {
		return err
	}
	conn, err := socket.FromFile(stdin)
	if err != nil {
		return err
	}
	defer conn.Close()
	var q question
	files, err := conn.Receive(ctx, &q)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return errors.New("a question without a token")
	}
	defer files[0].Close()
	a := answer{}
	a.StoreHash, err = solve(files[0], q)
	if a.NotProven = errors.Is(err, ErrNotProven); err != nil && !a.NotProven {
		a.Error = err.Error()
	}
	return conn.Send(ctx, a)
}

func solve(token *os.File, q question) (string, error) {
	secret, err := socket.ReadSecret(token, crypt.MaxToken)
	if err != nil {
		return "", err
	}
	defer socket.Wipe(secret)
	ok, err := crypt.Verify(q.OSHash, secret)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", ErrNotProven
	}
	if q.Prefix == "" {
		return "", nil
	}
	target, err := Target(q.Prefix)
	if err != nil {
		return "", err
	}
	return crypt.Generate(target, secret)
}

// Target finds the format that a store's application verifies, by its prefix.
func Target(prefix string) (format.Format, error) {
	for _, f := range format.Formats() {
		if f.Prefix() == prefix && f.CanGenerate() {
			return f, nil
		}
	}
	return format.Unknown, fmt.Errorf("no hash of format %q can be made", prefix)
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
