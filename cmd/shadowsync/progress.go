package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/shadowsync/shadowsync/internal/printable"
)

// progressAfter is how long a command is silent before it says what it waits for,
// and meterEvery how often it then says how far it is.
const (
	progressAfter = 700 * time.Millisecond
	meterEvery    = 200 * time.Millisecond
)

// progress says on the terminal what a command waits for, once that takes long,
// until stop is called. Where standard error is no terminal it says nothing.
func (a *app) progress(text string) (stop func()) {
	return a.showWhile(func() string { return text + " ..." })
}

// meter says on the terminal how far long work over many accounts is.
func (a *app) meter(text string, total int) (step func(n int), stop func()) {
	var done atomic.Int64
	begin := time.Now()
	stop = a.showWhile(func() string {
		n := int(done.Load())
		line := fmt.Sprintf("%s: %d of %d", text, n, total)
		if spent := time.Since(begin); n > 0 && n < total {
			left := time.Duration(float64(spent) * float64(total-n) / float64(n))
			line += fmt.Sprintf(", about %v left", left.Round(time.Second))
		}
		return line
	})
	return func(n int) { done.Add(int64(n)) }, stop
}

// showWhile shows a line that changes, until stop is called; then it is gone.
func (a *app) showWhile(line func() string) (stop func()) {
	f, ok := a.err.(*os.File)
	if !ok || a.quiet || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		const clear = "\r\x1b[K"
		for wait, shown := progressAfter, ""; ; wait = meterEvery {
			select {
			case <-ended:
				if shown != "" {
					fmt.Fprint(f, clear)
				}
				return
			case <-time.After(wait):
			}
			if now := printable.Quote(line()); now != shown {
				fmt.Fprint(f, clear+now)
				shown = now
			}
		}
	}()
	return func() { close(ended); <-gone }
}
