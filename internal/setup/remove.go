package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/setup/pamstack"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// RemoveOptions say how to remove.
type RemoveOptions struct {
	Root   string // empty: "/"
	Config string // empty: config.DefaultPath
	Force  bool   // in spite of changes that wait, or of a state that cannot be read
	Purge  bool   // delete the state too, with the embedded credential store, and the lists of accounts
	DryRun bool
}

// ErrWaiting is what every *WaitingError is.
var ErrWaiting = errors.New("changes wait for their credential store")

// WaitingError is a change that the store has not taken: without us nothing will
// bring it there.
type WaitingError struct{ Accounts []string }

func (e *WaitingError) Error() string {
	return "cannot remove: the credential store has not taken the last change of " + strings.Join(e.Accounts, ", ")
}

func (e *WaitingError) Unwrap() error { return ErrWaiting }

// Remove takes shadowsync off the machine, PAM line first, and leaves what it does
// not know to be its own. What setup installed stays on record until it is gone, so
// that Remove can be run again after an interruption.
//
// Errors: *CheckError and *WaitingError before anything is done; *PAMError when the
// PAM line is still there.
func Remove(ctx context.Context, o RemoveOptions) (Result, error) {
	j := newJob(Options{Root: o.Root, Config: o.Config, DryRun: o.DryRun})
	defer j.ledger.close()
	if os.Geteuid() != 0 {
		return j.result, &CheckError{Faults: []string{"only root can"}}
	}
	r := removal{job: j, purge: o.Purge}
	if err := r.look(ctx, o.Force); err != nil {
		return j.result, err
	}
	return j.result, j.run(ctx, r.steps())
}

type removal struct {
	*job
	units []string // of applications that have hooks or are configured
	files []string // on record
	lists []string // of accounts that operators created
	purge bool
}

// look finds out what there is to remove. A configuration that cannot be read, or
// an unreadable state under force, must not keep anybody from removing.
func (r *removal) look(ctx context.Context, force bool) error {
	if c, err := config.Load(r.Root, r.Config); err == nil {
		for _, a := range c.Applications {
			r.units = append(r.units, a.Unit)
		}
		if err := r.waiting(ctx, c); err != nil && !force {
			return err
		}
	}
	entries, err := r.ledger.entries(ctx)
	if err != nil && !force {
		return err
	}
	for _, e := range entries {
		r.files = append(r.files, e.Path)
		if unit, ok := unitOfDropIn(e.Path); ok {
			r.units = append(r.units, unit)
		}
	}
	slices.Sort(r.units)
	r.units = slices.Compact(r.units)
	if r.lists, err = config.Lists(r.Root, r.Config); err != nil {
		r.note("%v", err)
	}
	return nil
}

func unitOfDropIn(path string) (string, bool) {
	unit, ok := strings.CutSuffix(filepath.Base(filepath.Dir(path)), ".d")
	return unit, ok && systemd.CheckUnit(unit) == nil && path == systemd.DropInPath("/etc", unit)
}

// waiting names the accounts with a change that only we would still bring to the store.
func (r *removal) waiting(ctx context.Context, c *config.Config) error {
	if !r.ledger.exists() {
		return nil
	}
	db, err := r.ledger.open(ctx)
	if err != nil {
		return err
	}
	var accounts []string
	for _, a := range c.Applications {
		memory, err := db.Load(ctx, a.Name, nil)
		if err != nil {
			return err
		}
		for name, m := range memory.Accounts {
			// Without a baseline it is an import that was cut short: nobody's change.
			if m.Baseline != nil && m.AtStake() && m.Open.State != shadowsync.Conflict { // which waits for a person, with us or without
				accounts = append(accounts, name)
			}
		}
	}
	if len(accounts) == 0 {
		return nil
	}
	slices.Sort(accounts)
	return &WaitingError{Accounts: accounts}
}

// steps are in an order in which each leaves a machine that works: first nobody
// announces changes any more, then nobody guards, then no start waits for us.
func (r *removal) steps() []step {
	live := []step{
		{name: StepPAM, what: "no line in the PAM stacks", due: r.pamOnDue, do: r.switchOffPAM},
		{name: StepStart, what: "sockets and broker stopped", due: r.stopDue, do: r.stop},
		{name: StepGuard, what: "no unit guarded", due: r.guardDue, do: r.releaseGuards},
	}
	if r.mounted() {
		for i := range live {
			live[i].leaveOut = "the system at " + r.Root + " is not running: run shadowsync remove on it"
		}
	}
	steps := append(live,
		step{name: StepEnable, what: "sockets and broker disabled", due: r.disableDue, do: r.disable},
		step{name: StepDropIns, what: "no hooks around " + strings.Join(r.units, ", "), due: r.hooksDue, do: r.takeHooks},
		r.noShell(),
	)
	if !r.mounted() {
		steps = append(steps,
			step{name: StepReload, what: "unit files read by systemd", due: r.reloadAfterDue, do: r.reload},
			step{name: StepRuntime, what: "no " + engine.RunDir, due: r.runtimeDue, do: r.removeRuntime})
	}
	configuration := step{name: StepConfiguration, what: "no " + r.Config, due: r.configurationOursDue, do: r.takeConfiguration}
	if r.purge {
		return append(steps,
			step{name: StepLists, what: "no lists of accounts that operators created; the accounts stay", due: r.listsDue, do: r.removeLists},
			configuration,
			step{name: StepState, what: "no " + engine.HomeDir, due: r.stateDue, do: r.deleteState})
	}
	steps = append(steps, configuration)
	for _, list := range r.lists {
		r.note("%s is kept: accounts that operators created (--purge deletes the list, and no account)", list)
	}
	if r.ledger.exists() {
		r.note("%s is kept: history, audit trail and the embedded credential store (--purge deletes it)", engine.HomeDir)
	}
	return steps
}

// pamOnDue looks at every service: a stack edited by hand may name us in one alone.
func (r *removal) pamOnDue(context.Context) (bool, error) {
	lines, err := pamLines(r.Root)
	return len(lines) > 0, err
}

func pamLines(root string) ([]pamstack.Line, error) {
	services, err := pamstack.Services(root)
	if err != nil {
		return nil, err
	}
	var found []pamstack.Line
	for _, service := range services {
		for _, kind := range []pamstack.Kind{pamstack.Password, pamstack.Auth} {
			lines, err := pamstack.Read(root, service, kind)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a service that includes what is not there works for nobody
			}
			if err != nil {
				return nil, err
			}
			for _, ours := range pamstack.Ours(lines) {
				if !slices.ContainsFunc(found, func(l pamstack.Line) bool { return l.Place() == ours.Place() }) {
					found = append(found, ours)
				}
			}
		}
	}
	return found, nil
}

func (r *removal) switchOffPAM(ctx context.Context) error {
	if HasPAMAuthUpdate(r.Root) {
		if err := pamAuthUpdate(ctx, "--disable", Profiles); err != nil {
			return err
		}
	}
	lines, err := pamLines(r.Root)
	if err != nil || len(lines) == 0 {
		return err
	}
	var advice []string
	for _, l := range lines {
		advice = append(advice, fmt.Sprintf("Delete from %s: %s", l.Place(), l))
	}
	advice = append(advice, "Then run shadowsync remove again.")
	return &PAMError{Fault: errors.New("our line is still there"), Advice: strings.Join(advice, "\n")}
}

func (r *removal) stopDue(ctx context.Context) (bool, error) {
	for _, unit := range OurUnits {
		state, err := r.bus.Unit(ctx, unit)
		if err != nil || state.Active != "inactive" {
			return true, err
		}
	}
	return false, nil
}

// stop stops the sockets before the broker, or they would start it again.
func (r *removal) stop(ctx context.Context) error {
	for _, unit := range OurUnits {
		if err := r.bus.Stop(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) guardDue(context.Context) (bool, error) {
	for _, unit := range r.units {
		left, err := filepath.Glob("/run/systemd/system/" + unit + ".d/*-shadowsync-guard.*")
		if err != nil || len(left) > 0 {
			return true, err
		}
	}
	return false, nil
}

func (r *removal) releaseGuards(ctx context.Context) error {
	guard := systemd.NewGuard(r.bus)
	for _, unit := range r.units {
		if err := guard.Release(ctx, unit, true); err != nil {
			return err
		}
		// Released, the changes are still on record there; without any it is gone.
		if err := guard.Set(ctx, unit, nil); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) disableDue(ctx context.Context) (bool, error) {
	for _, unit := range OurUnits {
		if enabled, err := Enabled(ctx, r.Root, unit); err != nil || enabled {
			return true, err
		}
	}
	return false, nil
}

func (r *removal) disable(ctx context.Context) error {
	if !r.mounted() {
		return r.bus.Disable(ctx, OurUnits...)
	}
	_, err := Systemctl(ctx, append([]string{"--root=" + r.Root, "--quiet", "disable", "--"}, OurUnits...)...)
	return err
}

func (r *removal) dropIns() []string {
	return slices.DeleteFunc(slices.Clone(r.files), func(path string) bool {
		_, ours := unitOfDropIn(path)
		return !ours
	})
}

func (r *removal) hooksDue(context.Context) (bool, error) { return len(r.dropIns()) > 0, nil }

func (r *removal) takeHooks(ctx context.Context) error {
	for _, path := range r.dropIns() {
		if err := r.takeBack(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) reloadAfterDue(ctx context.Context) (bool, error) {
	if len(r.dropIns()) > 0 {
		return true, nil
	}
	for _, unit := range r.units {
		properties, err := Properties(ctx, unit, "NeedDaemonReload")
		if err != nil || properties["NeedDaemonReload"] == "yes" {
			return true, err
		}
	}
	return false, nil
}

func (r *removal) runtimeDue(context.Context) (bool, error) {
	_, err := os.Lstat(engine.RunDir)
	return err == nil, nil
}

func (r *removal) removeRuntime(context.Context) error { return os.RemoveAll(engine.RunDir) }

func (r *removal) listsDue(context.Context) (bool, error) { return len(r.lists) > 0, nil }

func (r *removal) removeLists(context.Context) error { return config.RemoveLists(r.Root, r.Config) }

func (r *removal) configurationOursDue(context.Context) (bool, error) {
	return slices.Contains(r.files, r.Config), nil
}

func (r *removal) takeConfiguration(ctx context.Context) error {
	return r.takeBack(ctx, r.Config)
}

func (r *removal) stateDue(context.Context) (bool, error) {
	_, err := os.Lstat(r.path(engine.HomeDir))
	return err == nil, nil
}

func (r *removal) deleteState(context.Context) error {
	r.ledger.close()
	return os.RemoveAll(r.path(engine.HomeDir))
}
