package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// reloadWithin bounds a reload that no caller waits for any more. systemd ends one that hangs after the unit's
// own TimeoutStartSec=.
const reloadWithin = time.Minute

// reloader brings into force what was written to a store whose server reads it only at a reload. The
// write has succeeded by then, so a reload that fails leaves the change open: it is tried again by a
// write that changes nothing.
type reloader struct {
	unit string
	do   func(ctx context.Context, unit string, pause time.Duration) error
	wait time.Duration // how long a caller waits
	// pause is how long after another reload one must begin, because the server would ignore it.
	pause time.Duration

	turn sync.Mutex // held while a reload runs
	mu   sync.Mutex
	next *reloading // the reload that has not begun yet
	left *reloading // the last one that a caller stopped waiting for
}

// reloading is one reload, of a store with this revision.
type reloading struct {
	revision string
	done     chan struct{}
	err      error
}

// after follows a write, and returns also what the application does not use yet.
func (r *reloader) after(ctx context.Context, writes []shadowsync.Write, left shadowsync.Unwritten, revision string, err error) (shadowsync.Unwritten, error) {
	if r == nil || err != nil || len(left) == len(writes) {
		return left, err
	}
	anew := slices.ContainsFunc(writes, func(w shadowsync.Write) bool { return !w.Probes() })
	failed := r.reload(ctx, revision, anew)
	if failed == nil {
		return left, nil
	}
	all := make(shadowsync.Unwritten, len(writes))
	for _, w := range writes {
		if all[w.Name] = left[w.Name]; all[w.Name] == nil {
			all[w.Name] = &shadowsync.NotInForceError{Reason: fmt.Sprintf("reload of %s failed: %s", r.unit, shadowsync.Cause(failed))}
		}
	}
	return all, nil
}

// reload waits for a reload that begins from now on. If nothing was written anew, one of the same
// content suffices that an earlier call did not wait for: a reload that takes longer than the wait
// would otherwise begin again and again.
func (r *reloader) reload(ctx context.Context, revision string, anew bool) error {
	r.mu.Lock()
	run := r.left
	if run == nil || anew || run.revision != revision || run.failed() {
		run = r.join(revision)
	}
	r.left = nil
	r.mu.Unlock()
	patience := time.NewTimer(r.wait)
	defer patience.Stop()
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
	case <-patience.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = run
	return errNoAnswer
}

// failed reports whether the reload has ended without success.
func (r *reloading) failed() bool {
	select {
	case <-r.done:
		return r.err != nil
	default:
		return false
	}
}

// join returns the reload that has not begun yet; r.mu is held. Callers that come meanwhile share it.
func (r *reloader) join(revision string) *reloading {
	if r.next == nil {
		r.next = &reloading{done: make(chan struct{})}
		go r.run(r.next)
	}
	r.next.revision = revision
	return r.next
}

func (r *reloader) run(one *reloading) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.next = nil // what is written from now on needs another reload
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), reloadWithin)
	defer cancel()
	one.err = r.do(ctx, r.unit, r.pause)
	if errors.Is(one.err, context.DeadlineExceeded) {
		one.err = errNoAnswer
	}
	close(one.done)
}
