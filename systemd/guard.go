package systemd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Limits of a guard.
const (
	// GuardLimit is how long a pending change holds a unit back.
	GuardLimit = 10 * time.Minute
	// GuardSettle is how long a broker waits before it lifts a guard: each toggle costs a
	// daemon-reload, and a store may come and go.
	GuardSettle = 200 * time.Millisecond

	// inForceTime bounds the wait for systemd's answer about what it has loaded.
	inForceTime = time.Second
	// reviewEvery is how often a broker that delays shutdowns checks whether another process, a
	// hook or the tool, has brought the change to the store.
	reviewEvery = time.Second
	// inhibitTime bounds the wait for logind, whose bus may hang.
	inhibitTime = 300 * time.Millisecond

	runtimeUnits = "/run/systemd/system"
	lockRetry    = 10 * time.Millisecond
	// lockTime bounds the wait for other processes, each of which reloads systemd. Without the
	// bound, one process stopped during that would block all others.
	lockTime = 15 * time.Second
)

// GuardMode says why a unit is held back; the texts are those of `status --json`.
type GuardMode string

// The modes of a guard.
const (
	GuardOff     GuardMode = "off"
	GuardPending GuardMode = "on"   // a change is pending
	GuardHeld    GuardMode = "held" // by an administrator
)

// GuardStatus is a guard as its file describes it.
type GuardStatus struct {
	Mode     GuardMode `json:"mode"`
	Accounts []Guarded `json:"accounts,omitempty"` // accounts with a pending change whose time is not over
	Until    time.Time `json:"until,omitzero"`     // when the guard lifts by itself; zero: never
	Lapsed   []Guarded `json:"lapsed,omitempty"`   // accounts with a pending change whose time is over
}

// Guarded is an account whose change a store lacks. Store is the store's name, or empty for the first
// store of the unit's application.
type Guarded struct{ Account, Store string }

// String is for people: "admin", or "admin (ldap)" for another store than the first.
func (g Guarded) String() string {
	if g.Store == "" {
		return g.Account
	}
	return g.Account + " (" + g.Store + ")"
}

// MarshalText writes it as String does.
func (g Guarded) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// For reports whether the unit is held back for an account's change that a store lacks.
func (s GuardStatus) For(account, store string) bool {
	return slices.Contains(s.Accounts, Guarded{account, store})
}

// Names returns the accounts for people.
func Names(all []Guarded) []string {
	if len(all) == 0 {
		return nil
	}
	names := make([]string, len(all))
	for i, g := range all {
		names[i] = g.String()
	}
	return names
}

// Guard makes systemd refuse manual stop and restart of units (systemctl stop, restart,
// try-restart, disable --now exit 4) while root's change is pending or root holds the unit. It does
// not stop `systemctl kill`, Conflicts= and a stopping parent: the hooks repair those.
//
// Its state is in files, under a lock, so any number of processes may use it.
type Guard struct {
	bus       *Bus
	folder    string
	limit     time.Duration
	settle    time.Duration
	wait      time.Duration // for the lock of other processes, at most
	inhibitor *Inhibitor

	mu       sync.Mutex
	lifting  map[holder]*lifting
	lifts    sync.WaitGroup  // scheduled or running
	pending  map[holder]bool // those with a pending change, as far as this process knows
	reviewed bool            // a review of pending is scheduled
}

// holder is who guards a unit: a store of its application, by its name, or "" for the first.
type holder struct{ unit, store string }

var _ shadowsync.Guard = (*Guard)(nil)

// NewGuard returns a guard that acts at once, for a process that ends soon.
func NewGuard(bus *Bus) *Guard {
	return &Guard{
		bus: bus, folder: runtimeUnits, limit: GuardLimit, wait: lockTime,
		lifting: map[holder]*lifting{}, pending: map[holder]bool{},
	}
}

// NewBrokerGuard returns a guard for the broker. It lifts after GuardSettle, so that rapid toggles
// do not cost a reload each, and it delays a shutdown while a change is pending.
func NewBrokerGuard(bus *Bus) *Guard {
	g := NewGuard(bus)
	g.settle, g.inhibitor = GuardSettle, &Inhibitor{}
	return g
}

// WithLimit replaces GuardLimit as the time limit.
func (g *Guard) WithLimit(limit time.Duration) *Guard {
	g.limit = limit
	return g
}

// Set guards the unit because of these accounts, whose change a store lacks: the store with that name,
// or the first one of the unit's application. Without accounts that store no longer guards the unit,
// which stays held back for other stores and for an administrator. An account's time runs from the
// first call that names it to the next call that does not. An account in anew has a new change: if its
// time is over, it starts again.
//
// If systemd cannot be reached, the guard is still written to its file, and the error says that it
// is not in force; the next call tries again.
func (g *Guard) Set(ctx context.Context, unit, store string, accounts []string, anew ...string) error {
	by := holder{unit, store}
	g.cancelLift(by)
	defer g.inhibit(ctx, by, len(accounts) > 0)
	if len(accounts) == 0 && g.settle > 0 {
		return g.liftLater(by)
	}
	return g.update(ctx, unit, func(s guardState) guardState { return s.with(store, accounts, g.limit, anew...) })
}

// Restrict lifts the guard for all but these stores of the unit's application, which has no others any
// more. An administrator's hold stays.
func (g *Guard) Restrict(ctx context.Context, unit string, stores ...string) error {
	folder, err := g.folderOf(unit)
	if err != nil {
		return err
	}
	gone := func(p pendingAccount) bool { return !slices.Contains(stores, p.Store) }
	if state, _, err := folder.read(); err != nil || !slices.ContainsFunc(state.pending, gone) && (len(stores) > 0 || !folder.left()) {
		return err
	}
	return g.update(ctx, unit, func(s guardState) guardState {
		s.pending = slices.DeleteFunc(slices.Clone(s.pending), gone)
		return s
	})
}

// Hold holds the unit back until Release, on an administrator's request.
func (g *Guard) Hold(ctx context.Context, unit string) error {
	return g.update(ctx, unit, func(s guardState) guardState {
		s.held = true
		return s
	})
}

// HoldIf holds if wanted returns true. It calls wanted under the guard's lock, so that no other
// process changes the guard meanwhile.
func (g *Guard) HoldIf(ctx context.Context, unit string, wanted func(context.Context) (bool, error)) error {
	var asked error
	err := g.update(ctx, unit, func(s guardState) guardState {
		held, err := wanted(ctx)
		s.held, asked = s.held || held, err
		return s
	})
	return errors.Join(asked, err)
}

// Lapsed calls tell with the accounts whose time ended, and with it the guard, while a store still
// lacked their change. It leaves out accounts for which an earlier tell succeeded.
func (g *Guard) Lapsed(ctx context.Context, unit, store string, tell func(ctx context.Context, accounts []string) error) error {
	folder, err := g.folderOf(unit)
	if err != nil {
		return err
	}
	if state, on, err := folder.read(); err != nil || on || len(state.untold(store)) == 0 {
		return err // the common case, without the lock
	}
	var told error
	err = g.update(ctx, unit, func(s guardState) guardState {
		names := s.untold(store)
		if s.on() || len(names) == 0 {
			return s
		}
		if told = tell(ctx, names); told == nil {
			s = s.tell(store)
		}
		return s
	})
	return errors.Join(told, err)
}

// Release ends a hold. Pending changes continue to hold the unit back, unless forced; with force
// they never hold it back again.
func (g *Guard) Release(ctx context.Context, unit string, force bool) error {
	return g.update(ctx, unit, func(s guardState) guardState {
		s.held = false
		if force {
			for i := range s.pending {
				s.pending[i].until = released
			}
		}
		return s
	})
}

// Status says what holds the unit back.
func (g *Guard) Status(unit string) (GuardStatus, error) {
	folder, err := g.folderOf(unit)
	if err != nil {
		return GuardStatus{}, err
	}
	state, on, err := folder.read()
	if err != nil {
		return GuardStatus{Mode: GuardOff}, err
	}
	if !on {
		return GuardStatus{Mode: GuardOff, Lapsed: state.lapsed()}, nil
	}
	status := GuardStatus{Mode: GuardPending, Accounts: state.guarding()}
	if state.held {
		status.Mode = GuardHeld
	} else {
		status.Until = time.Now().Add(state.until().left()).Round(time.Second)
	}
	return status, nil
}

// InForce is like Status but, if the file shows no guard, asks systemd whether it still has one
// loaded that is being lifted. If systemd does not answer, it is the same as Status.
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
	if err := shadowsync.CheckUnit(unit); err != nil {
		return "", fmt.Errorf("cannot guard: %w", err)
	}
	return guardFolder(filepath.Join(g.folder, unit+".d")), nil
}

// update changes a unit's guard file and makes systemd follow it.
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

// follow makes systemd do what the guard file says.
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

// describe returns the unit's own description, or its name if systemd does not answer: the guard
// must not wait for that.
func (g *Guard) describe(ctx context.Context, unit string) string {
	state, err := g.bus.Unit(ctx, unit)
	if err != nil || state.Description == "" {
		return unit
	}
	return plainDescription(state.Description)
}
