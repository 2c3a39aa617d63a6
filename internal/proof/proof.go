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
	a, err := tokenworker.Ask[question, answer](ctx, Argument, token, question{OSHash: osHash, Prefix: prefix})
	if err != nil {
		return "", fmt.Errorf("cannot prove the token: %w", err)
	}
	if a.NotProven {
		return "", fmt.Errorf("cannot use the token: %w", ErrNotProven)
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
	if q.Prefix == "" {
		return answer{}, nil
	}
	target, err := Target(q.Prefix)
	if err != nil {
		return answer{}, err
	}
	hash, err := crypt.Generate(target, secret)
	return answer{StoreHash: hash}, err
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
