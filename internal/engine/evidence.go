package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/detect/boot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// bootID identifies this boot; it is empty on a mounted system, which is not booted.
func (e *Engine) bootID() string {
	if e.root != "/" {
		return ""
	}
	return boot.ID()
}

// evidence adds to what the caller knows: whether this is the first look since a boot, and whether
// more than the managed accounts returned to an older state since the last look.
func (e *Engine) evidence(ctx context.Context, application string, known shadowsync.Evidence) (shadowsync.Evidence, error) {
	now := e.bootID()
	if now == "" || e.looked.is(application, now) {
		return known, nil
	}
	last, err := e.State.Boot(ctx, application)
	switch {
	case err != nil:
		return known, err
	case now == last:
		e.looked.in(application, now)
		return known, nil
	}
	known.AtBoot = true
	known.WentBack, err = e.wentBack(ctx, application)
	return known, err
}

// boots remembers the boot of each application's last look, as recorded in the state, so that a
// daemon reads it only once.
type boots struct {
	mu   sync.Mutex
	last map[string]string
}

func (b *boots) is(application, boot string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[application] == boot
}

func (b *boots) in(application, boot string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil {
		b.last = make(map[string]string)
	}
	b.last[application] = boot
}

// surroundings identifies what an image rollback would take back too: the lines of unmanaged
// accounts, and the image's own identity. The first is of all that is there now; the others leave out
// what this boot may have added to it.
func (e *Engine) surroundings(ctx context.Context) (now []string, err error) {
	var managed []string
	for _, a := range e.Config.Applications {
		managed = append(managed, a.Accounts...)
	}
	now, err = e.Accounts.Unmanaged(ctx, managed)
	if err != nil {
		return nil, err
	}
	image, err := shadowfile.ImageIdentity(e.root)
	for i, lines := range now {
		now[i] = lines + " " + image
	}
	return now, err
}

// boundary is, in a digest that is kept, before the one that leaves out all that a boot may have added.
const boundary = ", without additions "

// wentBack reports whether the surroundings are a known older state and not the last one. New accounts
// that no password opens decide neither: a boot makes them, whatever it boots. If such accounts are all
// that differs from the last state, only an older state that is there exactly counts.
func (e *Engine) wentBack(ctx context.Context, application string) (bool, error) {
	now, err := e.surroundings(ctx)
	if err != nil {
		return false, err
	}
	seen, err := e.State.SeenDigests(ctx, application)
	if err != nil || len(seen) == 0 {
		return false, err
	}
	_, last, _ := strings.Cut(seen[0].Value, boundary)
	for i, d := range seen {
		seen[i].Value, _, _ = strings.Cut(d.Value, boundary)
	}
	is := func(some []string) func(state.Digest) bool {
		return func(d state.Digest) bool { return slices.Contains(some, d.Value) }
	}
	older := now
	if last == now[len(now)-1] {
		older = now[:1]
	}
	return slices.ContainsFunc(seen[1:], is(older)) && !is(now)(seen[0]), nil
}

// noteSurroundings records the present surroundings. It runs after a reconcile, which may need the
// older ones.
func (e *Engine) noteSurroundings(ctx context.Context, application string) error {
	now, err := e.surroundings(ctx)
	if err != nil {
		return err
	}
	noted := now[0]
	if len(now) > 1 {
		noted += boundary + now[len(now)-1]
	}
	if err := e.State.NoteDigest(ctx, application, noted, time.Now()); err != nil {
		return err
	}
	present := e.bootID()
	if present == "" || e.looked.is(application, present) {
		return nil
	}
	err = e.State.SetBoot(ctx, application, present)
	if err == nil {
		e.looked.in(application, present)
	}
	return err
}
