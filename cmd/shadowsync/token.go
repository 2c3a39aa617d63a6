package main

// Terminal manners. A password is asked for on /dev/tty, never read from a standard input that
// happens to be redirected. Echo is off during input and is restored however the prompt ends: an
// answer, Ctrl-C, SIGTERM. Input typed before the prompt is discarded. Ctrl-Z and Ctrl-\ do nothing
// during the prompt: after Ctrl-Z the shell would run without echo and the prompt would come back
// without it, and Ctrl-\ would end the process and leave echo off.
//
// A token is a []byte of fixed capacity that is wiped after use. Growing slices and strings would
// leave copies behind.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// tries is how often the prompt repeats after two different answers.
const tries = 3

// noTerminalError: there is no terminal to ask on.
type noTerminalError struct{ cause error }

func (e *noTerminalError) Error() string { return "there is no terminal to ask on: " + e.cause.Error() }

// tokenSource is where a new password comes from; the default is the terminal.
type tokenSource struct {
	argument []byte // from the command line
	stdin    bool
	fd       int // -1: none
}

func (s tokenSource) sources() (n int) {
	for _, given := range []bool{s.argument != nil, s.stdin, s.fd >= 0} {
		if given {
			n++
		}
	}
	return n
}

// given reports whether the password comes from elsewhere than a prompt.
func (s tokenSource) given() bool { return s.sources() > 0 }

func (s tokenSource) check() error {
	if s.sources() > 1 {
		return errors.New("the password comes from NEW, --stdin or --fd: give one of them")
	}
	return nil
}

// token reads the new password. The caller wipes it, also after an error.
func (a *app) token(ctx context.Context, s tokenSource, account string) ([]byte, error) {
	token, err := a.readToken(ctx, s, account)
	if err == nil {
		err = cleartext.Check(token)
	}
	return token, err
}

func (a *app) readToken(ctx context.Context, s tokenSource, account string) ([]byte, error) {
	switch {
	case s.argument != nil:
		a.warn("a password on the command line is shown by process lists, the shell's history and sudo's log")
		return s.argument, nil
	case s.stdin:
		return readFirst(ctx, a.in)
	case s.fd >= 0:
		f := os.NewFile(uintptr(s.fd), fmt.Sprintf("descriptor %d", s.fd))
		if f == nil {
			return nil, unix.EBADF
		}
		defer f.Close()
		return readFirst(ctx, f)
	}
	return a.askToken(ctx, account)
}

// askToken asks for the password on the terminal, twice.
func (a *app) askToken(ctx context.Context, account string) ([]byte, error) {
	tty, err := a.terminal()
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	for range tries {
		first, err := askHidden(ctx, tty, fmt.Sprintf("New password for %s: ", printable.Quote(account)))
		if err != nil || cleartext.Check(first) != nil {
			return first, err
		}
		second, err := askHidden(ctx, tty, "Retype new password: ")
		same := bytes.Equal(first, second)
		cleartext.Wipe(second)
		if err != nil || same {
			return first, err
		}
		cleartext.Wipe(first)
		fmt.Fprintln(tty, "Passwords do not match.")
	}
	return nil, errors.New("the two answers differ")
}

// terminal opens the terminal to ask on.
func (a *app) terminal() (*os.File, error) {
	tty, err := os.OpenFile(a.tty, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &noTerminalError{err}
	}
	return tty, nil
}

func askHidden(ctx context.Context, tty *os.File, question string) ([]byte, error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, &noTerminalError{err}
	}
	signal.Ignore(unix.SIGTSTP, unix.SIGQUIT)
	defer signal.Reset(unix.SIGTSTP, unix.SIGQUIT)
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &hidden); err != nil {
		return nil, &noTerminalError{err}
	}
	// Nothing can be done if this fails: the terminal is gone.
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETSW, before) }()
	fmt.Fprint(tty, question)
	token, err := readLine(ctx, tty)
	fmt.Fprintln(tty) // the typed newline was not echoed
	return token, err
}

// readFirst reads the first line of a file or pipe, without a leading byte order mark and one
// trailing CR, which other systems' editors add. Neither can be typed at a login.
func readFirst(ctx context.Context, f io.Reader) ([]byte, error) {
	line, err := readLine(ctx, f)
	return cleartext.TrimReturn(bytes.TrimPrefix(line, cleartext.ByteOrderMark)), err
}

// readLine reads up to a newline or the end, byte by byte: the caller does not own what follows the
// line. If ctx ends first, the read goes on into a buffer that is never used, until the process
// ends.
func readLine(ctx context.Context, f io.Reader) ([]byte, error) {
	return inTime(ctx, func() ([]byte, error) { return scanLine(f) })
}

// inTime waits for read until ctx ends.
func inTime[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		text T
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func scanLine(f io.Reader) ([]byte, error) {
	line := make([]byte, 0, crypt.MaxToken+1)
	for len(line) < cap(line) {
		next := line[len(line) : len(line)+1]
		n, err := f.Read(next)
		switch {
		case n == 1 && next[0] == '\n':
			next[0] = 0
			return line, nil
		case n == 1:
			line = line[:len(line)+1]
		case errors.Is(err, io.EOF):
			return line, nil
		case err != nil:
			return line, err
		}
	}
	return line, nil // too long: Check reports that
}
