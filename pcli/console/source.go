package console

import (
	"context"
	"io"
	"os"
	"time"
)

// maxAhead is how many bytes typed during a command are kept until it ends.
const maxAhead = 4096

// source returns bytes one at a time. A goroutine blocks in read(2), which cannot be interrupted,
// but only while a byte is wanted.
type source struct {
	ctx    context.Context
	want   chan struct{}
	got    chan chunk
	buffer []byte
	ahead  []byte // read but not taken yet; a part of buffer
	asked  bool   // the goroutine is reading
	begun  bool   // a byte has been taken
	ended  error
	idle   time.Duration

	interrupts <-chan os.Signal // SIGINT, if the terminal turns Ctrl-C into one
	resizes    <-chan os.Signal
	resized    func()
}

type chunk struct {
	bytes []byte
	err   error
}

// newSource reads from f, size bytes at a time: 1 for a terminal, so that it never reads more than
// was asked for.
func newSource(ctx context.Context, f io.Reader, size int) *source {
	s := &source{ctx: ctx, want: make(chan struct{}), got: make(chan chunk, 1)}
	s.buffer = locked(maxAhead + size)
	go s.pump(f, size)
	return s
}

// pump keeps no copy of what it read, except the one that it sends.
func (s *source) pump(f io.Reader, size int) {
	buffer := make([]byte, size)
	for range s.want {
		n, err := f.Read(buffer)
		s.got <- chunk{append([]byte(nil), buffer[:n]...), err}
		clear(buffer)
	}
}

// next waits for a byte.
func (s *source) next() (byte, error) {
	for len(s.ahead) == 0 {
		if s.ended != nil {
			return 0, s.ended
		}
		if err := s.wait(nil, true); err != nil {
			return 0, err
		}
	}
	b := s.ahead[0]
	s.ahead[0] = 0
	s.ahead = s.ahead[1:]
	return b, nil
}

// wait returns when something was read, done is closed, or the wait must end. The idle time limits
// only a wait for a person, which has no done.
func (s *source) wait(done <-chan struct{}, read bool) error {
	if read && !s.asked {
		s.want <- struct{}{}
		s.asked = true
	}
	var idle <-chan time.Time
	if s.idle > 0 && done == nil {
		timer := time.NewTimer(s.idle)
		defer timer.Stop()
		idle = timer.C
	}
	for {
		select {
		case c := <-s.got:
			s.take(c)
			return nil
		case <-done:
			return nil
		case <-s.resizes:
			s.resized()
		case <-s.interrupts:
			return ErrInterrupted
		case <-idle:
			return ErrIdle
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// take keeps all input in one buffer that does not move: a moving buffer would leave copies that
// cannot be wiped.
func (s *source) take(c chunk) {
	s.asked = false
	kept := copy(s.buffer[:cap(s.buffer)], s.ahead)
	s.ahead = append(s.buffer[:kept], c.bytes...)
	clear(c.bytes)
	clear(s.ahead[len(s.ahead):cap(s.ahead)])
	if c.err != nil {
		s.ended = io.EOF // a lost terminal returns EIO, which also means the end
	}
}

// drop discards what was typed ahead.
func (s *source) drop() {
	clear(s.ahead)
	s.ahead = s.ahead[:0]
}

// busy runs f and cancels its context on the interrupt key or signal. It keeps other keys for
// later. interrupt is 0 if the terminal turns that key into a signal.
func (s *source) busy(f func(context.Context) error, interrupt byte) error {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var result error
	go func() { defer close(done); result = f(ctx) }()
	for !closed(done) {
		before := len(s.ahead)
		err := s.wait(done, interrupt != 0 && s.ended == nil && before < maxAhead)
		if n := len(s.ahead); n > before && s.ahead[n-1] == interrupt {
			s.drop()
			err = ErrInterrupted
		}
		if err != nil {
			cancel(err)
			<-done
		}
	}
	if result != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return result
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
