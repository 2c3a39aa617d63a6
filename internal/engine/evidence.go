package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// bootID names this boot; empty on a mounted system. The kernel's boot_id alone
// would not do: in a container it is hidden behind the manager's, but not in the sandbox of
// a service there, which has a /proc of its own. A socket that systemd makes
// once a boot, in a folder that is empty before, is the same for all.
func (e *Engine) bootID() string {
	if e.root != "/" {
		return ""
	}
	var st unix.Stat_t
	if unix.Stat("/run/systemd/notify", &st) == nil {
		return fmt.Sprintf("%d-%d", st.Ino, st.Mtim.Nano())
	}
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// evidence completes what the caller knows: whether this is the first look since
// a boot, and whether more than the managed accounts went back to an older state
// since the last.
func (e *Engine) evidence(ctx context.Context, application string, known shadowsync.Evidence) (shadowsync.Evidence, error) {
	boot := e.bootID()
	if boot == "" || e.looked.is(application, boot) {
		return known, nil
	}
	last, err := e.State.Boot(ctx, application)
	switch {
	case err != nil:
		return known, err
	case boot == last:
		e.looked.in(application, boot)
		return known, nil
	}
	known.AtBoot = true
	known.WentBack, err = e.wentBack(ctx, application)
	return known, err
}

// boots remembers in which boot each application was last looked at, as the state
// has it, so that a daemon asks that once and not at each change.
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

// surroundings identifies what a rollback of the image would take back with it:
// the lines of accounts that nobody manages, and the image's own identity.
func (e *Engine) surroundings(ctx context.Context) (string, error) {
	var managed []string
	for _, a := range e.Config.Applications {
		managed = append(managed, a.Accounts...)
	}
	lines, err := e.Accounts.Unmanaged(ctx, managed)
	if err != nil {
		return "", err
	}
	image, err := shadowfile.ImageIdentity(e.root)
	return lines + " " + image, err
}

// wentBack tells whether the surroundings are an older known state, not the last one.
func (e *Engine) wentBack(ctx context.Context, application string) (bool, error) {
	now, err := e.surroundings(ctx)
	if err != nil {
		return false, err
	}
	seen, err := e.State.SeenDigests(ctx, application)
	if err != nil || len(seen) == 0 {
		return false, err
	}
	older := slices.ContainsFunc(seen[1:], func(d state.Digest) bool { return d.Value == now })
	return older && seen[0].Value != now, nil
}

// noteSurroundings puts the present state on record, after a reconcile that may
// have judged by the older ones.
func (e *Engine) noteSurroundings(ctx context.Context, application string) error {
	now, err := e.surroundings(ctx)
	if err != nil {
		return err
	}
	if err := e.State.NoteDigest(ctx, application, now, time.Now()); err != nil {
		return err
	}
	boot := e.bootID()
	if boot == "" || e.looked.is(application, boot) {
		return nil
	}
	err = e.State.SetBoot(ctx, application, boot)
	if err == nil {
		e.looked.in(application, boot)
	}
	return err
}
