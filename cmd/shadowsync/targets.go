package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/admin/bulk"
	"github.com/shadowsync/shadowsync/internal/password/cleartext"
	"github.com/spf13/cobra"
)

// targetSource is where a command's targets come from: the command line, a file, or both.
type targetSource struct {
	names []string
	from  string // "-": standard input
}

func (s *targetSource) addFlag(c *cobra.Command, lines string) {
	c.Flags().StringVar(&s.from, "from", "", "read "+lines+" from `file`, - is standard input")
	_ = c.MarkFlagFilename("from") // the flag exists
}

// bulk reports whether a list was given, even an empty one.
func (s targetSource) bulk() bool { return s.from != "" }

// check refuses a command line without a target.
func (s targetSource) check() error {
	if len(s.names) == 0 && !s.bulk() {
		return errors.New("an account or --from is missing")
	}
	return nil
}

// targets reads the source. The tokens are in the returned buffer, which the caller wipes; it is
// nil without a list.
func (a *app) targets(ctx context.Context, s targetSource, tokens bool) ([]bulk.Target, []byte, error) {
	var list []bulk.Target
	for _, name := range s.names {
		list = append(list, bulk.Target{Name: name})
	}
	if !s.bulk() {
		return list, nil, nil
	}
	text, err := a.readList(ctx, s.from, tokens)
	if err != nil {
		cleartext.Wipe(text)
		return nil, nil, fmt.Errorf("cannot read the list of accounts: %w", err)
	}
	return append(list, bulk.ParseList(text, tokens)...), text, nil
}

func (a *app) readList(ctx context.Context, from string, tokens bool) ([]byte, error) {
	if from == "-" {
		return inTime(ctx, func() ([]byte, error) { return bulk.ReadAll(a.in, 0) })
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
		a.warn("others may read the passwords in %s: chmod 600 it, or remove it", from)
	}
	return inTime(ctx, func() ([]byte, error) { return bulk.ReadAll(f, info.Size()) })
}
