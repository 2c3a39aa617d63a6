// Package proof makes a store's hash from the clear text that PAM carried, in a process of its own
// that exits afterwards.
//
// It is needed only if the application cannot verify the OS's hash. The broker passes the
// descriptor on and never reads it. The worker first proves that the clear text belongs to the hash
// that the OS holds now, and then makes another hash of it.
//
//	proof.go  the worker
//	pair.go   adds its hash to a change
package proof

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/internal/password/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var job = tokenworker.New("worker-proof", "Make a store's hash, for the daemon", solve)

// Command is the job as a hidden command of the root tool.
var Command = job.Command()

type question struct {
	OSHash  string             `json:"os_hash"`
	Formats shadowsync.Formats `json:"formats"` // that the store's application can verify; none: only prove
}

type answer struct {
	StoreHash string `json:"store_hash,omitempty"`
	NotProven bool   `json:"not_proven,omitempty"`
	Refused   string `json:"refused,omitempty"` // why the store cannot hold this clear text in any hash; shown to people
}

// ErrNotProven: the clear text does not belong to the hash that the OS holds.
var ErrNotProven = errors.New("the token does not match the OS's hash")

// Check starts a worker that proves that the token belongs to the OS's hash; if it does not, the
// error is ErrNotProven.
func Check(ctx context.Context, token *os.File, osHash string) error {
	_, err := Make(ctx, token, osHash, nil)
	return err
}

// Make starts a worker that turns the token into what a store of these formats holds for it, and
// waits for it until ctx ends; then it kills the worker. If no hash of the token is possible, the
// error is a *shadowsync.RefusedError.
func Make(ctx context.Context, token *os.File, osHash string, formats shadowsync.Formats) (string, error) {
	a, err := job.Ask(ctx, token, question{OSHash: osHash, Formats: formats})
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot prove the token: %w", err)
	case a.NotProven:
		return "", fmt.Errorf("cannot use the token: %w", ErrNotProven)
	case a.Refused != "":
		return "", fmt.Errorf("cannot use the token: %w", &shadowsync.RefusedError{Reason: a.Refused})
	}
	return a.StoreHash, nil
}

func solve(q question, secret []byte) (answer, error) {
	ok, err := crypt.Verify(q.OSHash, secret)
	if err != nil || !ok {
		return answer{NotProven: err == nil}, err
	}
	if len(q.Formats) == 0 {
		return answer{}, nil
	}
	hash, err := Hash(q.Formats, secret)
	if errors.Is(err, crypt.ErrTokenTooLong) {
		target, _ := target(q.Formats) // Hash has already found it
		return answer{Refused: fmt.Sprintf("longer than %d bytes", crypt.Longest(target))}, nil
	}
	return answer{StoreHash: hash}, err
}

// Hash returns what a store of these formats holds for a clear text.
func Hash(formats shadowsync.Formats, secret []byte) (string, error) {
	f, err := target(formats)
	if err != nil {
		return "", err
	}
	return crypt.Generate(f, secret)
}

// target returns the first of these formats that shadowsync can make.
func target(formats shadowsync.Formats) (format.Format, error) {
	for _, prefix := range formats {
		for _, f := range format.Formats() {
			if f.CanGenerate() && f.Prefix() == prefix {
				return f, nil
			}
		}
	}
	return format.Unknown, errors.New("it takes no hash format that shadowsync makes")
}
