package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// RemoveOptions say how to remove.
type RemoveOptions struct {
	Root   string // empty: "/"
	Config string // empty: config.DefaultPath
	Force  bool   // despite pending changes or an unreadable state
	Purge  bool   // also delete the state, with the embedded credential store, and the lists of accounts
	// KeepConfig leaves the configuration although setup wrote it: a package that is installed again
	// finds it.
	KeepConfig bool
	// OnlyShells gives accounts whose shell is pcli another one, and OnlyPage takes the page for browsers
	// away. With either, nothing else is done, and the configuration stays as it is.
	OnlyShells, OnlyPage bool
	DryRun               bool
}

// ErrWaiting matches every *WaitingError.
var ErrWaiting = errors.New("changes wait for their credential store")

// WaitingError names accounts whose change the store has not taken. After a remove nothing would
// deliver it.
type WaitingError struct{ Accounts []string }

func (e *WaitingError) Error() string {
	return "cannot remove: the credential store has not taken the last change of " + strings.Join(e.Accounts, ", ")
}

func (e *WaitingError) Unwrap() error { return ErrWaiting }

// Remove removes shadowsync from the machine, PAM lines first, and leaves files that setup did not
// write. Installed files stay recorded until they are deleted, so that Remove can be run again
// after an interruption.
//
// Errors: *CheckError and *WaitingError before anything is done; *PAMError if the PAM line is still
// there.
func Remove(ctx context.Context, o RemoveOptions) (Result, error) {
	j := newJob(Options{Root: o.Root, Config: o.Config, DryRun: o.DryRun})
	defer j.ledger.close()
	if os.Geteuid() != 0 {
		return j.result, &CheckError{Faults: []string{"only root can"}}
	}
	r := removal{job: j, purge: o.Purge, keepConfig: o.KeepConfig || o.OnlyShells || o.OnlyPage}
	if o.OnlyShells || o.OnlyPage {
		return r.part(ctx, o)
	}
	if err := r.look(ctx, o.Force); err != nil {
		return j.result, err
	}
	return j.result, j.run(ctx, r.steps())
}

// part removes what belongs to one of the packages. A change that waits for its store goes on.
func (r *removal) part(ctx context.Context, o RemoveOptions) (Result, error) {
	var steps []step
	if o.OnlyShells {
		steps = append(steps, r.giveShells())
	}
	if o.OnlyPage {
		if err := r.record(ctx, o.Force); err != nil {
			return r.result, err
		}
		steps = append(steps, r.noWeb())
		if !r.mounted() {
			steps = append(steps, r.withoutWeb())
		}
		r.noteConfiguredPage()
	}
	return r.result, r.run(ctx, steps)
}

type removal struct {
	*job
	units []string // of applications that have hooks or are configured
	files []string // recorded files
	lists []string // lists of accounts that operators created
	purge bool

	keepConfig bool
}

// booted is there if systemd is process 1 (sd_booted(3)).
const booted = "/run/systemd/system"

// still is why no unit can be stopped or asked about; empty: systemd runs. Without it, as in a chroot or
// while an image is built, the PAM lines and the hooks are removed all the same.
func (j *job) still() string {
	if j.mounted() {
		return "the system at " + j.Root + " is not running: run shadowsync remove on it"
	}
	if _, err := os.Lstat(booted); err != nil {
		return "systemd does not run here"
	}
	return ""
}

// look finds out what there is to remove. An unreadable configuration, or an unreadable state with
// Force, must not prevent that.
func (r *removal) look(ctx context.Context, force bool) error {
	if c, err := engine.LoadConfig(r.Root, r.Config); err == nil {
		for _, a := range c.Firsts() {
			r.units = append(r.units, a.Unit)
		}
		if err := r.waiting(ctx, c); err != nil && !force {
			return err
		}
	}
	if err := r.record(ctx, force); err != nil {
		return err
	}
	slices.Sort(r.units)
	r.units = slices.Compact(r.units)
	var err error
	if r.lists, err = config.Lists(r.Root, r.Config); err != nil {
		r.note("%v", err)
	}
	return nil
}

// record finds out what setup wrote.
func (r *removal) record(ctx context.Context, force bool) error {
	entries, err := r.ledger.entries(ctx)
	if err != nil && !force {
		return err
	}
	lost, err := r.lost(ctx)
	if err != nil && !force {
		return err
	}
	for _, e := range append(entries, lost...) {
		r.files = append(r.files, e.Path)
		if unit, ok := unitOfDropIn(e.Path); ok {
			r.units = append(r.units, unit)
		}
	}
	return nil
}

func unitOfDropIn(path string) (string, bool) {
	unit, ok := strings.CutSuffix(filepath.Base(filepath.Dir(path)), ".d")
	return unit, ok && shadowsync.CheckUnit(unit) == nil && path == systemd.DropInPath("/etc", unit)
}

// waiting returns an error that names the accounts with a change that only shadowsync would still
// deliver to the store.
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
			// An open change without a baseline is an interrupted import, not somebody's change.
			if m.Baseline != nil && m.AtStake() && m.Open.State != shadowsync.Conflict && !slices.Contains(accounts, name) { // a conflict needs a person with or without us
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

// steps returns the steps in an order that keeps the machine working after each: first no change is
// announced any more, then no unit is guarded, then no start waits for us.
func (r *removal) steps() []step {
	services := step{name: StepServices, what: "no service that asks for a second factor", will: "take our lines out of the services that ask for a second factor", due: r.servicesOnDue, do: r.unwireServices}
	pam := step{name: StepPAM, what: "no line in the PAM stacks", will: "remove the PAM lines", due: r.pamOnDue, do: r.switchOffPAM}
	live := []step{
		{name: StepStart, what: "sockets and broker stopped", will: "stop the sockets and the broker", due: r.stopDue, do: r.stop},
		{name: StepGuard, what: "no unit guarded", will: "lift the guards", due: r.guardDue, do: r.releaseGuards},
	}
	still := r.still()
	for i := range live {
		live[i].leaveOut = still
	}
	if r.mounted() {
		pam.leaveOut = still
	}
	steps := append([]step{services, pam}, live...)
	steps = append(steps,
		step{name: StepEnable, what: "sockets and broker disabled", will: "disable the sockets and the broker", due: r.disableDue, do: r.disable},
		step{name: StepDropIns, what: "no hooks around " + strings.Join(r.units, ", "), will: "remove the hooks around " + strings.Join(r.units, ", "), due: r.hooksDue, do: r.takeHooks, foreign: r.foreignHooks},
		r.noWeb(),
		r.giveShells(),
		r.noShell(),
	)
	if !r.mounted() {
		steps = append(steps,
			step{name: StepReload, leaveOut: still, what: "unit files read by systemd, and no hook running", will: "have systemd read the unit files, and stop running hooks", due: r.reloadAfterDue, do: r.reloadAfter},
			step{name: StepRuntime, what: "no " + engine.RunDir, will: "delete " + engine.RunDir, due: r.runtimeDue, do: r.removeRuntime})
	}
	configuration := step{name: StepConfiguration, what: "no " + r.Config, will: "delete " + r.Config, due: r.configurationOursDue, do: r.takeConfiguration, foreign: r.foreignConfiguration}
	if kept := r.configurationKept(); kept != "" {
		steps = append(steps, step{name: StepConfiguration, what: "no copy of the last good configuration", will: "delete the copy of the last good configuration", due: r.configurationOursDue, do: r.forgetConfiguration})
		configuration.leaveOut = kept
	}
	if r.purge {
		return append(steps,
			step{name: StepLists, what: "no lists of accounts that operators created; the accounts stay", will: "delete the lists of accounts that operators created; the accounts stay", due: r.listsDue, do: r.removeLists},
			configuration,
			step{name: StepState, what: "no " + engine.HomeDir, will: "delete " + engine.HomeDir, due: r.stateDue, do: r.deleteState})
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
