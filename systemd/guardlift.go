package systemd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// liftTime bounds a lift in the background.
const liftTime = 30 * time.Second

// lifting is a guard of one holder that will be lifted unless it is set again before.
type lifting struct {
	timer *time.Timer
	seen  []pendingAccount // the state it was scheduled for; another process may have changed it since
}

// liftLater lifts the guard after the settle time. If that fails, the file that is left makes the
// next call of Set lift it.
func (g *Guard) liftLater(by holder) error {
	folder, err := g.folderOf(by.unit)
	if err != nil {
		return err
	}
	state, _, err := folder.read()
	seen := state.of(by.store)
	if err != nil || len(seen) == 0 && !folder.left() {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &lifting{seen: seen}
	g.lifting[by] = l
	g.lifts.Add(1)
	l.timer = time.AfterFunc(g.settle, func() {
		defer g.lifts.Done()
		ctx, cancel := context.WithTimeout(context.Background(), liftTime)
		defer cancel()
		_ = g.lift(ctx, by, l)
	})
	return nil
}

func (g *Guard) lift(ctx context.Context, by holder, l *lifting) error {
	return g.update(ctx, by.unit, func(s guardState) guardState {
		if g.takeLift(by, l) && slices.EqualFunc(s.of(by.store), l.seen, pendingAccount.same) {
			s = s.with(by.store, nil, 0)
		}
		return s
	})
}

// takeLift reports whether l is still wanted. It is called under the guard's lock, and Set cancels
// before it takes that lock, so the later call wins.
func (g *Guard) takeLift(by holder, l *lifting) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lifting[by] != l {
		return false
	}
	delete(g.lifting, by)
	return true
}

func (g *Guard) cancelLift(by holder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l, ok := g.lifting[by]; ok {
		g.stopLift(l)
		delete(g.lifting, by)
	}
}

// stopLift reports whether a scheduled lift has not begun, and now never will.
func (g *Guard) stopLift(l *lifting) bool {
	stopped := l.timer.Stop()
	if stopped {
		g.lifts.Done()
	}
	return stopped
}

// Close does the scheduled lifts now, waits for those that have begun, and no longer delays a
// shutdown. A lift that ends with its process in the middle has changed the file, but systemd still
// refuses to stop the unit.
func (g *Guard) Close(ctx context.Context) error {
	g.mu.Lock()
	due := make(map[holder]*lifting, len(g.lifting))
	for by, l := range g.lifting {
		if g.stopLift(l) {
			due[by] = l
		}
	}
	clear(g.pending)
	g.mu.Unlock()
	var errs []error
	for by, l := range due {
		errs = append(errs, g.lift(ctx, by, l))
	}
	errs = append(errs, g.awaitLifts(ctx))
	if g.inhibitor != nil {
		g.inhibitor.Release()
	}
	return errors.Join(errs...)
}

func (g *Guard) awaitLifts(ctx context.Context) error {
	done := make(chan struct{})
	go func() { g.lifts.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot wait for the end of a guard: %w", context.Cause(ctx))
	}
}

// inhibit delays a shutdown while this process knows of a pending change. The delay is only a help:
// without logind the guard is still in force, and the next call asks again.
func (g *Guard) inhibit(ctx context.Context, by holder, pending bool) {
	if g.inhibitor == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !pending {
		g.settled(by)
		return
	}
	g.pending[by] = true
	if !g.reviewed {
		g.reviewed = true
		time.AfterFunc(reviewEvery, g.review)
	}
	ctx, cancel := context.WithTimeout(ctx, inhibitTime)
	defer cancel()
	_ = g.inhibitor.Hold(ctx, "a password is not in the credential store of "+by.unit+" yet")
}

// settled ends the delay if the holder was the last with a pending change. The caller holds mu.
func (g *Guard) settled(by holder) {
	delete(g.pending, by)
	if len(g.pending) == 0 {
		g.inhibitor.Release()
	}
}

// review ends the delay once no change is pending in any guard file. If another process settled the
// change, this process would otherwise notice only later. It runs again while there is a change.
func (g *Guard) review() {
	ctx, cancel := context.WithTimeout(context.Background(), lockTime)
	defer cancel()
	unlock, locked := g.lock(ctx) // otherwise another process may be renaming a file just now
	if locked == nil {
		defer unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for by := range g.pending {
		folder, err := g.folderOf(by.unit)
		if err != nil || locked != nil {
			continue
		}
		if state, _, err := folder.read(); err == nil && len(state.of(by.store)) == 0 {
			g.settled(by)
		}
	}
	if g.reviewed = len(g.pending) > 0; g.reviewed {
		time.AfterFunc(reviewEvery, g.review)
	}
}

// lock keeps other processes from changing guards. It locks the folder itself, so that it leaves no
// file.
func (g *Guard) lock(ctx context.Context) (unlock func(), err error) {
	dir, err := os.Open(g.folder)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the guard: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.wait, fmt.Errorf("%w in %s", shadowsync.ErrUnavailable, g.wait))
	defer cancel()
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = dir.Close() }, nil
		}
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			err = sleep(ctx, lockRetry)
		}
		if err != nil {
			err = fmt.Errorf("cannot lock the guard: %w (%s)", err, lockHolder(dir))
			_ = dir.Close()
			return nil, err
		}
	}
}

// lockHolder names the process that holds the lock on an open file, from proc_locks(5).
func lockHolder(file *os.File) string {
	var stat unix.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Fstat(int(file.Fd()), &stat) != nil {
		return "another process holds it"
	}
	place := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 4711 00:19:42 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != place {
			continue
		}
		name, _ := os.ReadFile("/proc/" + f[4] + "/comm")
		return fmt.Sprintf("process %s holds it: %s", f[4], printable.Quote(strings.TrimSpace(string(name))))
	}
	return "it is free again"
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// limitTo makes a systemd timer end the guard at its deadline. That needs none of our processes,
// nor our program: it renames the drop-in so that systemd does not see it, and reloads. The renamed
// file says whose time is over. A hold by an administrator has no limit.
func (g *Guard) limitTo(ctx context.Context, unit string, folder guardFolder, state guardState, changed bool) error {
	timer := GuardTimer(unit)
	wanted := state.on() && !state.held
	if !changed && wanted {
		armed, err := g.bus.Unit(ctx, timer)
		if err != nil || armed.Active == "active" {
			return err
		}
	}
	if !changed && !wanted {
		return nil
	}
	if err := g.bus.Stop(ctx, timer); err != nil || !wanted {
		return err
	}
	return g.bus.startTransient(ctx, timer, timerProperties(unit, state.until().left()),
		transientUnit{name: strings.TrimSuffix(timer, ".timer") + ".service", properties: lifterProperties(unit, folder)})
}

// GuardTimer is the name of the timer that limits the guard of a unit. If the escaped name is too
// long, a digest replaces it.
func GuardTimer(name string) string {
	const prefix, longest = "shadowsync-guard-", 255 - len(".service") // the timer's service has the same name
	stem := unit.UnitNameEscape(strings.TrimSuffix(name, ".service"))
	if len(prefix)+len(stem) > longest {
		sum := sha256.Sum256([]byte(name))
		stem = hex.EncodeToString(sum[:])
	}
	return prefix + stem + ".timer"
}

func timerProperties(unit string, after time.Duration) []property {
	return []property{
		prop("Description", "Time limit of the restart guard of "+unit+" (shadowsync)"),
		prop("TimersMonotonic", []timerSpec{{"OnActiveSec", uint64(max(after, time.Millisecond).Microseconds())}}),
		// By default a timer may be late by a minute.
		prop("AccuracyUSec", uint64(time.Second.Microseconds())),
		prop("RemainAfterElapse", false),
		prop("CollectMode", "inactive-or-failed"),
	}
}

func lifterProperties(unit string, folder guardFolder) []property {
	return []property{
		prop("Description", "End of the restart guard of "+unit+" (shadowsync)"),
		prop("Type", "oneshot"),
		prop("CollectMode", "inactive-or-failed"),
		prop("ExecStart", []command{
			{"/bin/mv", []string{"/bin/mv", "-f", folder.path(guardConf), folder.path(guardLifted)}, true},
			{"/bin/systemctl", []string{"/bin/systemctl", "daemon-reload"}, false},
		}),
	}
}
