package engine

import (
	"context"
	"errors"
	"time"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// rebuiltAction is the audit's action for a state that was created anew.
const rebuiltAction = "state-rebuilt"

// notReplaced describes a damaged or empty state on a disk that cannot be written.
const notReplaced = "the state can be neither used nor replaced: until it can, baselines, history, waiting changes and holds are not known, " +
	"and every difference is a conflict; make its disk writable, then run shadowsync doctor --fix"

// asideLately is the maximum age of a state moved aside that counts as the predecessor of the
// present one.
const asideLately = 10 * time.Minute

// Mending runs do on an engine of the running system. If the state is damaged, Mending moves it
// aside, keeps it, and builds a new one from both sides and the notes, once; it records what is
// lost. Any other fault of the state remains an error.
func Mending(ctx context.Context, o Options, do func(*Engine) error) error {
	err := using(ctx, o, do)
	if moved, cannot := MoveAside(ctx, o, err); moved || cannot != nil {
		return errors.Join(cannot, using(ctx, o, do))
	}
	return err
}

func using(ctx context.Context, o Options, do func(*Engine) error) error {
	e, err := Open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(do(e), e.Close())
}

// MoveAside moves the state aside if err says that it is damaged, and reports whether another
// attempt would find another state.
func MoveAside(ctx context.Context, o Options, err error) (moved bool, _ error) {
	var damaged *state.DamagedError
	if !errors.As(err, &damaged) || !inroot.Live(o.Root) {
		return false, nil
	}
	_, cannot := state.MoveAside(ctx, damaged, o.Program)
	return cannot == nil, cannot
}

// loss is what was lost with the state before the present one.
type loss struct {
	event shadowsync.Event // recorded already; no action: nothing was lost
	aside string           // where that state was moved; empty: it is gone, or cannot be replaced
}

// begin records, as the first entry, that nothing is on record in the state of a machine that had one
// before. Until they start, the applications may remember more than is on record.
func begin(ctx context.Context, db *state.DB, o Options) (lost loss, err error) {
	if !db.Blank() || o.Volatile && o.Look {
		return loss{}, nil
	}
	reason, aside := lossOf(o.Root)
	switch {
	case reason == "":
		return loss{}, nil
	case o.Volatile:
		reason, aside = notReplaced, ""
	}
	event := shadowsync.Event{At: time.Now(), Action: rebuiltAction, Reason: reason, Origin: shadowsync.Origin{SeenBy: shadowsync.SeenByStart}}
	names := make([]string, len(o.Config.Applications))
	for i, a := range o.Config.Applications {
		names[i] = a.Name
	}
	begun, err := db.Begin(ctx, names, event)
	if err != nil || !begun { // another process was faster
		return loss{}, err
	}
	return loss{event, aside}, nil
}

// salvageLost takes over what is left of the lost state.
func (e *Engine) salvageLost(ctx context.Context, lost loss) error {
	if lost.event.Action == "" || e.options.Volatile {
		return nil
	}
	var err error
	if lost.aside != "" {
		err = e.salvage(ctx, lost.aside)
	}
	return errors.Join(err, e.recallHolds(ctx))
}

// takeBack brings what was recorded while the disk took no writes into the state.
func (e *Engine) takeBack(ctx context.Context) error {
	if e.options.Volatile {
		return nil
	}
	return e.State.TakeBack(ctx, e.root, HeldDir)
}

// Rebuilt reports whether a new state was created in place of a lost one.
func Rebuilt(ctx context.Context, db *state.DB) (bool, error) {
	for _, err := range db.Trail(ctx, state.Query{Action: rebuiltAction}) {
		return err == nil, err
	}
	return false, nil
}

// recallHolds records the holds again that are in force, because they must outlive the boot and the
// guard's own memory does not.
func (e *Engine) recallHolds(ctx context.Context) error {
	guard, ok := e.options.Guard.(interface {
		Status(unit string) (systemd.GuardStatus, error)
	})
	if !ok {
		return nil
	}
	for _, a := range e.Config.Firsts() {
		status, err := guard.Status(a.Unit)
		if err == nil && status.Mode == systemd.GuardHeld {
			err = e.State.SetHeld(ctx, a.Name, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lossOf says what was lost with the previous state ("" if there was none), and where that state was
// moved.
func lossOf(root string) (reason, aside string) {
	if all := state.Aside(StateDir, time.Now().Add(-asideLately)); len(all) > 0 && inroot.Live(root) {
		aside = all[len(all)-1]
		return "the state could not be understood; baselines, history, audit trail and holds up to now are in " + aside, aside
	}
	if _, err := inroot.Lstat(root, keptList); err == nil {
		return "the state was missing or empty: baselines, history, audit trail and holds up to now are lost", ""
	}
	return "", ""
}
