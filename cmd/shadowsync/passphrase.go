package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// The minimum for a new passphrase: a thief of the file can try as many as they like, and it
// contains every hash.
const (
	minPassphrase = 12
	minDifferent  = 6
)

// maxIdentity limits the size of a private key's file.
const maxIdentity = 64 << 10

// maxWork limits the scrypt work that a file may ask for: 2^20 takes a gigabyte. Ours ask for 2^18.
const maxWork = 20

// Errors of backup and restore that carry the data that their hints need.
type (
	// targetError: a backup cannot be written to that file.
	targetError struct {
		file string
		err  error
	}
	// weakPassphraseError: the passphrase is easy to guess.
	weakPassphraseError struct{ why string }
	// noPassphraseError: there is no terminal to ask on.
	noPassphraseError struct {
		command string
		cause   error
	}
	// sourceError: the backup, or the file of a key, cannot be opened.
	sourceError struct {
		path string
		err  error
	}
	// sealError: the backup needs another passphrase or key than the given one.
	sealError struct {
		file, why, hint string
	}
)

func (e *targetError) Error() string { return e.err.Error() }
func (e *targetError) Unwrap() error { return e.err }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func (e *weakPassphraseError) Error() string { return "cannot take this passphrase: " + e.why }
func (e *weakPassphraseError) Unwrap() error { return errPassword }

func (e *noPassphraseError) Error() string {
	return "cannot ask for the passphrase: there is no terminal (" + e.cause.Error() + ")"
}

func (e *sealError) Error() string {
	return "cannot read the backup " + e.file + ": it is " + e.why
}

// checkPassphrase refuses what is easy to guess. The machine's password rules do not help here:
// they may be off, and they assume a system that slows down guessing.
func checkPassphrase(passphrase []byte) error {
	different := map[rune]bool{}
	for _, r := range string(passphrase) {
		different[r] = true
	}
	switch n := len([]rune(string(passphrase))); {
	case n < minPassphrase:
		return &weakPassphraseError{fmt.Sprintf("it has %s, and needs at least %d", plural.Count(n, "character"), minPassphrase)}
	case len(different) < minDifferent:
		return &weakPassphraseError{fmt.Sprintf("it has %s, and needs at least %d", plural.Count(len(different), "different character"), minDifferent)}
	}
	return nil
}

// askPassphrase asks on the terminal, twice for a new passphrase. The hint uses command.
func (a *app) askPassphrase(ctx context.Context, source tokenSource, command string, twice bool) ([]byte, error) {
	if err := source.check(); err != nil {
		return nil, mark(err, errUsage)
	}
	if source.given() {
		passphrase, err := a.token(ctx, source, "")
		if err != nil {
			err = fmt.Errorf("cannot read the passphrase: %w", err)
		}
		return passphrase, err
	}
	tty, err := os.OpenFile(a.tty, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &noPassphraseError{command, err}
	}
	defer tty.Close()
	first, err := askHidden(ctx, tty, "Passphrase of the backup: ")
	if err == nil {
		err = cleartext.Check(first)
	}
	if err == nil && twice {
		err = checkPassphrase(first)
	}
	if none := (*noTerminalError)(nil); errors.As(err, &none) {
		return first, &noPassphraseError{command, none.cause}
	}
	if err != nil || !twice {
		return first, err
	}
	second, err := askHidden(ctx, tty, "Again: ")
	defer cleartext.Wipe(second)
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("cannot take this passphrase: the two answers differ")
	}
	return first, err
}

// identitiesIn reads a private key. The file may be a pipe; it waits for that until ctx ends.
func identitiesIn(ctx context.Context, path string) ([]age.Identity, error) {
	text, err := inTime(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxIdentity))
	})
	if err != nil {
		return nil, &sourceError{path, fmt.Errorf("cannot read the private key: %w", err)}
	}
	defer clear(text)
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // its text may contain part of the file
		return nil, &sourceError{path, fmt.Errorf("cannot read the private key: %s holds no AGE-SECRET-KEY", printable.Quote(path))}
	}
	return identities, nil
}
