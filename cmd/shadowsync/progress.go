package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/shadowsync/shadowsync/internal/term/printable"
)

// progressAfter is how long a command stays silent before it says what it waits for, and meterEvery
// how often it then updates the progress.
const (
	progressAfter = 700 * time.Millisecond
	meterEvery    = 200 * time.Millisecond
)

// progress says on the terminal what a command waits for, if that takes long, until stop is called.
// It prints nothing if standard error is not a terminal.
func (a *app) progress(text string) (stop func()) {
	return a.show(func() string { return text + " ..." }).stop
}

// meter shows on the terminal the progress of work on many accounts.
type meter struct {
	done  atomic.Int64
	shown *shown
}

func (a *app) newMeter(text string, total int) *meter {
	m, begin := &meter{}, time.Now()
	m.shown = a.show(func() string {
		n := int(m.done.Load())
		line := fmt.Sprintf("%s: %d of %d", text, n, total)
		if n > 0 && n < total {
			left := time.Duration(float64(time.Since(begin)) * float64(total-n) / float64(n))
			line += fmt.Sprintf(", about %v left", left.Round(time.Second))
		}
		return line
	})
	return m
}

func (m *meter) step() { m.done.Add(1) }
func (m *meter) stop() { m.shown.stop() }

// hide removes the line while other output is printed, until again is called.
func (m *meter) hide() (again func()) {
	m.shown.mu.Lock()
	m.shown.clear()
	return m.shown.mu.Unlock
}

// shown is a changing line on the terminal; stopping it removes it.
type shown struct {
	terminal *os.File // nil: there is no terminal
	mu       sync.Mutex
	line     string
	ended    chan struct{}
	gone     chan struct{}
}

func (a *app) show(line func() string) *shown {
	s := &shown{ended: make(chan struct{}), gone: make(chan struct{})}
	f, ok := a.err.(*os.File)
	if !ok || a.quiet || !term.IsTerminal(int(f.Fd())) {
		close(s.gone)
		return s
	}
	s.terminal = f
	go s.run(line)
	return s
}

func (s *shown) run(line func() string) {
	defer close(s.gone)
	for wait := progressAfter; ; wait = meterEvery {
		select {
		case <-s.ended:
			s.clear()
			return
		case <-time.After(wait):
		}
		s.mu.Lock()
		if now := printable.Quote(line()); now != s.line {
			fmt.Fprint(s.terminal, clearLine+now)
			s.line = now
		}
		s.mu.Unlock()
	}
}

const clearLine = "\r\x1b[K"

func (s *shown) clear() {
	if s.line != "" {
		fmt.Fprint(s.terminal, clearLine)
		s.line = ""
	}
}

func (s *shown) stop() {
	close(s.ended)
	<-s.gone
}
