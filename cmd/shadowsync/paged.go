package main

import (
	"context"
	"errors"
	"os"

	"github.com/shadowsync/shadowsync/internal/term/pager"
)

// paged runs show, whose output goes through a pager if it is longer than the terminal's screen.
// Leaving the pager early is no error; the context of show ends then.
func (a *app) paged(ctx context.Context, show func(context.Context) error) error {
	out, ok := a.out.(*os.File)
	if !ok || a.noPager || a.quiet {
		return show(ctx)
	}
	within, quit := context.WithCancelCause(ctx)
	defer quit(nil)
	p := pager.On(ctx, out, pager.Here(), func() { quit(pager.ErrQuit) })
	if p == nil {
		return show(ctx)
	}
	a.out = p
	defer func() { a.out = out }()
	err := show(within)
	if ctx.Err() == nil && errors.Is(context.Cause(within), pager.ErrQuit) {
		err = nil
	}
	return errors.Join(err, p.Close())
}
