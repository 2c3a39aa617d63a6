package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
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

	reloads systemd.Reloads
	mu      sync.Mutex
	left    leftReload // the last one that a caller stopped waiting for
}

// leftReload is a reload of a store with this revision; nil: none.
type leftReload struct {
	*systemd.Reload
	revision string
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
	one := r.left
	if one.Reload == nil || anew || one.revision != revision || one.Failed() {
		one = leftReload{r.reloads.Join(reloadWithin, r.run), revision}
	}
	r.left = leftReload{}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	if over, err := one.Wait(ctx); over {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = one
	return errNoAnswer
}

func (r *reloader) run(ctx context.Context) error {
	err := r.do(ctx, r.unit, r.pause)
	if errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}
