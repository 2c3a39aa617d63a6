package systemd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Bounds of a guard.
const (
	// GuardLimit is how long a pending change holds a unit back.
	GuardLimit = 10 * time.Minute
	// GuardSettle is how long a broker waits before it lifts a guard: each toggle
	// costs a daemon-reload, and a store may come and go.
	GuardSettle = 200 * time.Millisecond

	// inForceTime bounds the wait for systemd to tell what it has loaded.
	inForceTime = time.Second
	// inhibitTime bounds the wait for logind, whose bus may hang.
	inhibitTime = 300 * time.Millisecond

	runtimeUnits = "/run/systemd/system"
	lockRetry    = 10 * time.Millisecond
	// lockTime bounds the wait for other processes, of which each reloads systemd: one
	// that was stopped in the middle of that would stop all others with it.
	lockTime = 15 * time.Second
)

// GuardMode is what holds a unit back; the texts are those of `status --json`.
type GuardMode string

// The modes of a guard.
const (
	GuardOff     GuardMode = "off"
	GuardPending GuardMode = "on"   // a change is pending
	GuardHeld    GuardMode = "held" // by hand
)

// GuardStatus is a guard as its file tells it.
type GuardStatus struct {
	Mode     GuardMode `json:"mode"`
	Accounts []string  `json:"accounts,omitempty"` // whose changes are pending and in time
	Until    time.Time `json:"until,omitzero"`     // when it lifts by itself; zero: it does not
}

// Guard refuses stop and restart of units by hand (systemctl stop, restart,
// try-restart, disable --now exit 4) while root's change is pending or root holds
// it. `systemctl kill`, Conflicts= and a stopping parent pass: the hooks repair those.
//
// Its memory is in files, under a lock: any number of processes may use it.
type Guard struct {
	bus       *Bus
	folder    string
	limit     time.Duration
	settle    time.Duration
	wait      time.Duration // for other processes at most
	inhibitor *Inhibitor

	mu      sync.Mutex
	lifting map[string]*lifting
	pending map[string]bool // units with a change of this process pending
}

var _ shadowsync.Guard = (*Guard)(nil)

// NewGuard returns a guard that acts at once, as a process that ends soon needs.
func NewGuard(bus *Bus) *Guard {
	return &Guard{
		bus: bus, folder: runtimeUnits, limit: GuardLimit, wait: lockTime,
		lifting: map[string]*lifting{}, pending: map[string]bool{},
	}
}

// NewBrokerGuard returns a guard for the broker: it lifts after GuardSettle, so
// that rapid toggles cost no reload each, and delays a shutdown while a change is pending.
func NewBrokerGuard(bus *Bus) *Guard {
	g := NewGuard(bus)
	g.settle, g.inhibitor = GuardSettle, &Inhibitor{}
	return g
}

// WithLimit sets another time limit than GuardLimit.
func (g *Guard) WithLimit(limit time.Duration) *Guard {
	g.limit = limit
	return g
}

// Set holds the unit back for these accounts' sake; none lifts what is not held by
// hand. An account's time runs from the first call that names it until a call that
// does not.
//
// When systemd cannot be reached the guard is on record all the same, and the error
// says that it is not in force; the next call tries again.
func (g *Guard) Set(ctx context.Context, unit string, accounts []string) error {
	g.cancelLift(unit)
	defer g.inhibit(ctx, unit, len(accounts) > 0)
	if len(accounts) == 0 && g.settle > 0 {
		return g.liftLater(unit)
	}
	return g.update(ctx, unit, func(s guardState) guardState { return s.with(accounts, g.limit) })
}

// Hold holds the unit back until Release, by a person's wish.
func (g *Guard) Hold(ctx context.Context, unit string) error {
	return g.update(ctx, unit, func(s guardState) guardState {
		s.held = true
		return s
	})
}

// Release ends a hold. What is pending goes on holding the unit back unless forced;
// forced, these changes do not guard again.
func (g *Guard) Release(ctx context.Context, unit string, force bool) error {
	return g.update(ctx, unit, func(s guardState) guardState {
		s.held = false
		if force {
			for i := range s.pending {
				s.pending[i].until = 0
			}
		}
		return s
	})
}

// Status tells what holds the unit back.
func (g *Guard) Status(unit string) (GuardStatus, error) {
	folder, err := g.folderOf(unit)
	if err != nil {
		return GuardStatus{}, err
	}
	state, on, err := folder.read()
	if err != nil || !on {
		return GuardStatus{Mode: GuardOff}, err
	}
	status := GuardStatus{Mode: GuardPending, Accounts: state.names()}
	if state.held {
		status.Mode = GuardHeld
	} else {
		status.Until = time.Now().Add(state.until().left()).Round(time.Second)
	}
	return status, nil
}

// InForce is Status, and what systemd has loaded where nothing is on record any longer:
// a guard that is being lifted. Without an answer of systemd's it is Status.
func (g *Guard) InForce(ctx context.Context, unit string) (GuardStatus, error) {
	status, err := g.Status(unit)
	if err != nil || status.Mode != GuardOff {
		return status, err
	}
	ctx, cancel := context.WithTimeout(ctx, inForceTime)
	defer cancel()
	if loaded, err := g.bus.Unit(ctx, unit); err == nil {
		status.Mode = loaded.Guard()
	}
	return status, nil
}

func (g *Guard) folderOf(unit string) (guardFolder, error) {
	if err := CheckUnit(unit); err != nil {
		return "", fmt.Errorf("cannot guard: %w", err)
	}
	return guardFolder(filepath.Join(g.folder, unit+".d")), nil
}

// update changes what is on record for a unit and has systemd follow.
func (g *Guard) update(ctx context.Context, unit string, change func(guardState) guardState) error {
	folder, err := g.folderOf(unit)
	if err != nil {
		return err
	}
	unlock, err := g.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	before, _, err := folder.read()
	if err != nil {
		return err
	}
	after := change(before)
	if after.empty() && before.empty() && !folder.left() {
		return nil // the common case: nothing to lift, and no call to systemd
	}
	if after.on() && after.description == "" {
		after.description = g.describe(ctx, unit)
	}
	reload, err := folder.write(after)
	if err != nil {
		return err
	}
	return g.follow(ctx, unit, folder, after, reload)
}

// follow brings systemd to what the file says.
func (g *Guard) follow(ctx context.Context, unit string, folder guardFolder, state guardState, reload bool) error {
	if state.on() && !reload {
		loaded, err := g.bus.Unit(ctx, unit)
		if err != nil {
			return err
		}
		reload = !loaded.RefusesStop // an earlier call could not reach systemd
	}
	err := g.limitTo(ctx, unit, folder, state, reload)
	if reload {
		err = errors.Join(err, g.bus.Reload(ctx))
	}
	if err == nil && state.empty() {
		folder.clean()
	}
	return err
}

// describe returns the unit's own description. Its name has to do when systemd
// does not answer: the guard must not wait for it.
func (g *Guard) describe(ctx context.Context, unit string) string {
	state, err := g.bus.Unit(ctx, unit)
	if err != nil || state.Description == "" {
		return unit
	}
	return plainDescription(state.Description)
}
