package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// progressAfter is how long a command is silent before it says what it waits for.
const progressAfter = 700 * time.Millisecond

// progress says on the terminal what a command waits for, once that takes long,
// until stop is called. Where standard error is no terminal it says nothing.
func (a *app) progress(text string) (stop func()) {
	f, ok := a.err.(*os.File)
	if !ok || a.quiet || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-ended:
			return
		case <-time.After(progressAfter):
		}
		fmt.Fprintf(f, "%s ...", printable.Quote(text))
		<-ended
		fmt.Fprint(f, "\r\x1b[K") // the line is gone when the result comes
	}()
	return func() { close(ended); <-gone }
}
