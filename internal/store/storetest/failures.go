package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// calls makes each call of the store, and passes what it says to check.
func (s *stage) calls(ctx context.Context, w shadowsync.Write, check func(call string, err error)) {
	s.Helper()
	_, err := s.store.Read(ctx, []string{"admin"})
	check("Read", err)
	_, err = s.store.Write(ctx, []shadowsync.Write{w})
	check("Write", err)
	if r, ok := s.store.(driver.Rehearser); ok {
		check("Rehearse", r.Rehearse(ctx))
	}
	if _, err = s.store.Revision(ctx); !errors.Is(err, shadowsync.ErrNoRevision) {
		check("Revision", err)
	}
}

// unavailable: every call says so, at once, and nothing is written. Then the same store works again.
func unavailable(s *stage) {
	w := s.moves("admin", 1, 3)
	mend := s.Break()
	began := time.Now()
	s.calls(s.Context(), w, func(call string, err error) { s.faulty(call, err, shadowsync.ErrUnavailable) })
	if took := time.Since(began); took > patience {
		s.Errorf("that took %v", took)
	}
	opened, err := s.f.Driver.Open(s.Context(), s.Options)
	if err != nil {
		s.faulty("Open", err, shadowsync.ErrUnavailable)
	} else {
		_ = opened.Close()
	}
	mend()
	s.recovers()
	s.untouched()
}

// recovers waits until the store that failed answers again.
func (s *stage) recovers() {
	s.Helper()
	pauses := time.NewTicker(20 * time.Millisecond)
	defer pauses.Stop()
	for began := time.Now(); ; <-pauses.C {
		_, err := s.store.Read(s.Context(), []string{"admin"})
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			s.Fatalf("it does not answer again: %v", err)
		}
	}
}

// malformed: what nobody can read is told, and never written.
func malformed(s *stage) {
	if s.Spoil == nil {
		return
	}
	w := s.moves("admin", 1, 3)
	s.Spoil()
	_, err := s.store.Read(s.Context(), []string{"admin"})
	s.faulty("Read", err, shadowsync.ErrMalformed)
	_, err = s.store.Write(s.Context(), []shadowsync.Write{w})
	s.faulty("Write", err, shadowsync.ErrMalformed)
}

// slow: a call ends with its context, whatever the store does.
func slow(s *stage) {
	if s.Hang == nil {
		return
	}
	w := s.moves("admin", 1, 3)
	release := s.Hang()
	for _, call := range []string{"Write", "Read"} {
		ctx, cancel := context.WithTimeout(s.Context(), 300*time.Millisecond)
		began := time.Now()
		var err error
		if call == "Write" {
			_, err = s.store.Write(ctx, []shadowsync.Write{w})
		} else {
			_, err = s.store.Read(ctx, []string{"admin"})
		}
		cancel()
		// A lock of a writer's may let readers in.
		if call == "Write" || err != nil {
			s.faulty(call, err, shadowsync.ErrUnavailable)
		}
		if took := time.Since(began); took > 5*time.Second {
			s.Errorf("%s took %v", call, took)
		}
	}
	release()
	s.recovers()
	s.holds("user222", 2)
	if value, _ := s.Held("admin"); value != s.f.Value(1) && value != s.f.Value(3) {
		s.Errorf("afterwards admin has %q", value)
	}
}

// cancelled: a write whose context has ended says truly whether it was made.
func cancelled(s *stage) {
	w := s.moves("admin", 1, 3)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	left, err := s.store.Write(ctx, []shadowsync.Write{w})
	if err == nil && len(left) == 0 {
		s.holds("admin", 3)
		return
	}
	if err != nil {
		s.faulty("Write", err, shadowsync.ErrUnavailable)
	}
	s.recovers()
	s.untouched()
}

// restart: what was written outlives the server and the driver's process.
func restart(s *stage) {
	if left := s.write(s.moves("admin", 1, 3)); len(left) > 0 {
		s.Fatal(left)
	}
	if s.Restart != nil {
		s.Restart()
		s.recovers()
		s.holds("admin", 3)
	}
	if err := s.store.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	s.store = s.open()
	s.holds("admin", 3)
	if left := s.write(s.moves("admin", 3, 4)); len(left) > 0 {
		s.Errorf("after the restart: %v", left)
	}
	s.holds("admin", 4)
}
