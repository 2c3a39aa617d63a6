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

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/crypt/format"
	"github.com/shadowsync/shadowsync/internal/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Argument is the root tool's hidden command that runs Main.
const Argument = "worker-proof"

type question struct {
	OSHash  string             `json:"os_hash"`
	Formats shadowsync.Formats `json:"formats"` // that the store's application verifies; none: only prove
}

type answer struct {
	StoreHash string `json:"store_hash,omitempty"`
	NotProven bool   `json:"not_proven,omitempty"`
	Refused   string `json:"refused,omitempty"` // why the store cannot hold this clear text, whatever its hash; for people
}

// ErrNotProven: the clear text does not belong to the hash that the OS holds.
var ErrNotProven = errors.New("the token does not match the OS's hash")

// Check starts a worker that proves that the token belongs to the OS's hash; else
// the error is ErrNotProven.
func Check(ctx context.Context, token *os.File, osHash string) error {
	_, err := Make(ctx, token, osHash, nil)
	return err
}

// Make starts a worker that turns the token into what a store of these formats holds for
// it, and waits for it until ctx ends; then the worker is killed. A token of which no hash
// would do is a *shadowsync.RefusedError.
func Make(ctx context.Context, token *os.File, osHash string, formats shadowsync.Formats) (string, error) {
	a, err := tokenworker.Ask[question, answer](ctx, Argument, token, question{OSHash: osHash, Formats: formats})
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

// Main is the worker: one question on stdin, one answer, and the end.
func Main(ctx context.Context, stdin *os.File) error { return tokenworker.Serve(ctx, stdin, solve) }

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
		target, _ := target(q.Formats) // or there would be no such error
		return answer{Refused: fmt.Sprintf("longer than %d bytes", crypt.Longest(target))}, nil
	}
	return answer{StoreHash: hash}, err
}

// Hash makes what a store of these formats holds for a clear text.
func Hash(formats shadowsync.Formats, secret []byte) (string, error) {
	f, err := target(formats)
	if err != nil {
		return "", err
	}
	return crypt.Generate(f, secret)
}

// target is the first of these formats that we can make.
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
