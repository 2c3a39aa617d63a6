package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// liftTime bounds a lifting that nobody waits for.
const liftTime = 30 * time.Second

// lifting is a guard that goes away unless it is wanted again before.
type lifting struct {
	timer *time.Timer
	seen  []pendingAccount // what it was on for; another process may have added to it
}

// liftLater lifts the guard after the settle time. Should that fail, what is left
// in the folder makes the next call of Set lift it.
func (g *Guard) liftLater(unit string) error {
	folder, err := g.folderOf(unit)
	if err != nil {
		return err
	}
	state, _, err := folder.read()
	if err != nil || len(state.pending) == 0 && !folder.left() {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &lifting{seen: state.pending}
	g.lifting[unit] = l
	l.timer = time.AfterFunc(g.settle, func() {
		ctx, cancel := context.WithTimeout(context.Background(), liftTime)
		defer cancel()
		_ = g.lift(ctx, unit, l)
	})
	return nil
}

func (g *Guard) lift(ctx context.Context, unit string, l *lifting) error {
	return g.update(ctx, unit, func(s guardState) guardState {
		if g.takeLift(unit, l) && slices.Equal(s.pending, l.seen) {
			s.pending = nil
		}
		return s
	})
}

// takeLift tells whether l is still wanted. It is asked under the guard's lock, and
// Set cancels before it takes that, so the later wish wins.
func (g *Guard) takeLift(unit string, l *lifting) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lifting[unit] != l {
		return false
	}
	delete(g.lifting, unit)
	return true
}

func (g *Guard) cancelLift(unit string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l, ok := g.lifting[unit]; ok {
		l.timer.Stop()
		delete(g.lifting, unit)
	}
}

// Close does at once what was to be done later, and no longer delays a shutdown.
func (g *Guard) Close(ctx context.Context) error {
	g.mu.Lock()
	due := make(map[string]*lifting, len(g.lifting))
	for unit, l := range g.lifting {
		if l.timer.Stop() {
			due[unit] = l
		}
	}
	g.mu.Unlock()
	var errs []error
	for unit, l := range due {
		errs = append(errs, g.lift(ctx, unit, l))
	}
	if g.inhibitor != nil {
		g.inhibitor.Release()
	}
	return errors.Join(errs...)
}

// inhibit delays a shutdown while this process knows of a pending change. The
// delay is a help and no more: without logind the guard is in force all the same, and
// the next call asks again.
func (g *Guard) inhibit(ctx context.Context, unit string, pending bool) {
	if g.inhibitor == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if pending {
		g.pending[unit] = true
	} else {
		delete(g.pending, unit)
	}
	if len(g.pending) == 0 {
		g.inhibitor.Release()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inhibitTime)
	defer cancel()
	_ = g.inhibitor.Hold(ctx, "a password is not in the credential store of "+unit+" yet")
}

// lock keeps other processes from changing guards. It is on the folder itself, so
// that it leaves no file.
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

// lockHolder names the process that has the lock on an open file, by proc_locks(5).
func lockHolder(file *os.File) string {
	var stat unix.Stat_t
	locks, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Fstat(int(file.Fd()), &stat) != nil {
		return "another process has it"
	}
	place := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK ADVISORY WRITE 4711 00:19:42 0 EOF
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != place {
			continue
		}
		name, _ := os.ReadFile("/proc/" + f[4] + "/comm")
		return fmt.Sprintf("process %s has it: %s", f[4], printable.Quote(strings.TrimSpace(string(name))))
	}
	return "nobody has it by now"
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// limitTo has a timer of systemd's end the guard at its deadline. It needs none of
// our processes, nor our program: it moves the drop-in out of systemd's sight and
// reloads. What it moved says whose time is over. A hold by hand has no limit.
func (g *Guard) limitTo(ctx context.Context, unit string, folder guardFolder, state guardState, changed bool) error {
	timer := guardTimer(unit)
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

// guardTimer is the name of the timer that limits the guard of a unit.
func guardTimer(name string) string {
	return "shadowsync-guard-" + unit.UnitNameEscape(strings.TrimSuffix(name, ".service")) + ".timer"
}

func timerProperties(unit string, after time.Duration) []property {
	return []property{
		prop("Description", "Time limit of the restart guard of "+unit+" (shadowsync)"),
		prop("TimersMonotonic", []timerSpec{{"OnActiveSec", uint64(max(after, time.Millisecond).Microseconds())}}),
		// The default lets a timer be late by a minute.
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
