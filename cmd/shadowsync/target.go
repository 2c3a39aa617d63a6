package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// maxList bounds a list of accounts: a hundred thousand lines fit.
const maxList = 64 << 20

// errNoColon does not show the line: it may hold a password.
var errNoColon = errors.New(`a line must be "name:password"`)

// target is an account that a command is for.
type target struct {
	name  string
	line  int    // of --from; 0: named on the command line
	token []byte // of "name:password"
	fault error  // of its line
}

// label names a target in messages: a line that names no account of ours by its
// number, for what stands there may be anything.
func (t target) label() string {
	if t.line > 0 {
		return fmt.Sprintf("line %d", t.line)
	}
	return t.name
}

// targetSource is where a command's targets come from: the command line, a file, or both.
type targetSource struct {
	names []string
	from  string // "-": standard input
}

func (s *targetSource) addFlag(c *cobra.Command, lines string) {
	c.Flags().StringVar(&s.from, "from", "", "read "+lines+" from `file`, - is standard input")
	_ = c.MarkFlagFilename("from") // the flag exists
}

// bulk tells whether a list was given, whatever is in it.
func (s targetSource) bulk() bool { return s.from != "" }

// check refuses a command line that names nobody.
func (s targetSource) check() error {
	if len(s.names) == 0 && !s.bulk() {
		return errors.New("an account or --from is missing")
	}
	return nil
}

// targets reads the source. The tokens lie in one buffer, which the caller wipes
// by the result; it is nil without a list.
func (a *app) targets(ctx context.Context, s targetSource, tokens bool) ([]target, []byte, error) {
	var list []target
	for _, name := range s.names {
		list = append(list, target{name: name})
	}
	if !s.bulk() {
		return list, nil, nil
	}
	text, err := a.readList(ctx, s.from, tokens)
	if err != nil {
		wipe(text)
		return nil, nil, fmt.Errorf("cannot read the list of accounts: %w", err)
	}
	return append(list, parseList(text, tokens)...), text, nil
}

// lastOfEach drops the targets whose account is named again further on: as with
// chpasswd(8), which sets them one after the other, the last one holds.
func lastOfEach(targets []target) (last []target, dropped int) {
	at := make(map[string]int, len(targets))
	for i, t := range targets {
		at[t.name] = i
	}
	for i, t := range targets {
		if at[t.name] == i || t.fault != nil {
			last = append(last, t)
		}
	}
	return last, len(targets) - len(last)
}

// parseList reads lines "name", or "name:password" as chpasswd(8) takes them: the
// password is all after the first colon. Empty lines count for nothing.
func parseList(text []byte, tokens bool) []target {
	var list []target
	for number := 1; len(text) > 0; number++ {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		text = rest
		if len(line) == 0 {
			continue
		}
		t := target{line: number}
		if name, token, ok := bytes.Cut(line, []byte(":")); tokens && ok {
			t.name, t.token = string(name), token[:len(token):len(token)] // wiped up to its capacity
		} else if tokens {
			t.fault = mark(errNoColon, errUsage)
		} else {
			t.name = string(bytes.TrimSpace(line))
		}
		list = append(list, t)
	}
	return list
}

func (a *app) readList(ctx context.Context, from string, tokens bool) ([]byte, error) {
	if from == "-" {
		return inTime(ctx, func() ([]byte, error) { return readAll(a.in, 0) })
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if tokens && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(a.err, "shadowsync: warning: others may read the passwords in %s: chmod 600 it, or remove it\n", oneLine(from))
	}
	return inTime(ctx, func() ([]byte, error) { return readAll(f, info.Size()) })
}

// readAll reads to the end into one buffer. Where that must grow, what is left
// behind is wiped.
func readAll(f io.Reader, size int64) ([]byte, error) {
	text := make([]byte, 0, min(max(size+1, 64<<10), maxList+1))
	for {
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return text, err
		case len(text) > maxList:
			return text, unix.EFBIG
		case len(text) == cap(text):
			grown := append(make([]byte, 0, min(2*cap(text), maxList+1)), text...)
			wipe(text)
			text = grown
		}
	}
}
