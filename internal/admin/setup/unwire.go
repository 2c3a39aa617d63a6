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
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/systemd"
)

func (r *removal) servicesOnDue(ctx context.Context) (bool, error) {
	asking, err := askingServices(ctx, r.ledger)
	return len(asking) > 0 || slices.Contains(r.files, sshdPath) || !SSHDAltered(r.Root), err
}

// unwireServices is possible in a mounted system too, for somebody who cannot get in any more.
func (r *removal) unwireServices(ctx context.Context) error {
	asking, err := askingServices(ctx, r.ledger)
	if err != nil {
		return err
	}
	for _, service := range asking {
		if err := r.ledger.unask(ctx, service); err != nil {
			return err
		}
	}
	return r.unwireSSHD(ctx)
}

// pamOnDue checks every service: a stack edited by hand may contain our line in only one of them.
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
		for _, kind := range []pamstack.Kind{pamstack.Password, pamstack.Auth, pamstack.Account} {
			lines, err := pamstack.Read(root, service, kind)
			if errors.Is(err, fs.ErrNotExist) {
				continue // no program can use a service that includes a missing file
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

// everyUnit is enabled, or may be.
var everyUnit = slices.Concat(WebUnits, OurUnits)

func (r *removal) stopDue(ctx context.Context) (bool, error) {
	for _, unit := range everyUnit {
		state, err := r.bus.Unit(ctx, unit)
		if err != nil || state.Active != "inactive" {
			return true, err
		}
	}
	return false, nil
}

// stop stops the sockets before the broker, because they would start it again.
func (r *removal) stop(ctx context.Context) error {
	return r.stopUnits(ctx, append([]string{systemd.WebSocketUnit, systemd.WebUnit}, everyUnit...)...)
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
	if r.ledger.exists() {
		db, err := r.ledger.open(ctx)
		if err != nil {
			return err
		}
		if err := db.ReleaseHeld(ctx); err != nil {
			return err
		}
	}
	guard := systemd.NewGuard(r.bus)
	for _, unit := range r.units {
		if err := guard.Release(ctx, unit, true); err != nil {
			return err
		}
		// After Release the guard's file still lists pending changes.
		if err := guard.Restrict(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) disableDue(context.Context) (bool, error) {
	for _, unit := range everyUnit {
		if enabled, err := Enabled(r.Root, unit); err != nil || enabled {
			return true, err
		}
	}
	return false, nil
}

func (r *removal) disable(ctx context.Context) error { return r.disableUnits(ctx, everyUnit) }

func (r *removal) dropIns() []string {
	return slices.DeleteFunc(slices.Clone(r.files), func(path string) bool {
		_, ours := unitOfDropIn(path)
		return !ours
	})
}

func (r *removal) hooksDue(context.Context) (bool, error) {
	return len(r.dropIns()) > 0 || slices.Contains(r.files, capabilityPath), nil
}

func (r *removal) takeHooks(ctx context.Context) error {
	paths := r.dropIns()
	if slices.Contains(r.files, capabilityPath) {
		paths = append(paths, capabilityPath)
	}
	for _, path := range paths {
		if err := r.takeBack(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) reloadAfterDue(ctx context.Context) (bool, error) {
	if due, _ := r.hooksDue(ctx); due {
		return true, nil
	}
	for _, unit := range r.units {
		if w, err := r.bus.Wiring(ctx, unit); err != nil || w.Outdated {
			return true, err
		}
	}
	return r.watched(ctx)
}

// watched reports whether a hook still runs: the settle watch on an application would continue to
// write to a state that is about to be deleted.
func (r *removal) watched(ctx context.Context) (bool, error) {
	for _, unit := range r.units {
		for _, hook := range systemd.HookUnits(unit) {
			state, err := r.bus.Unit(ctx, hook)
			if err != nil || state.Active != "inactive" && state.Active != "failed" {
				return true, err
			}
		}
	}
	return false, nil
}

// reloadAfter makes systemd unload the hooks, and then stops the running ones.
func (r *removal) reloadAfter(ctx context.Context) error {
	if err := r.bus.Reload(ctx); err != nil {
		return err
	}
	for _, unit := range r.units {
		for _, hook := range systemd.HookUnits(unit) {
			if err := r.bus.Stop(ctx, hook); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *removal) runtimeDue(context.Context) (bool, error) {
	_, err := os.Lstat(engine.RunDir)
	return err == nil, nil
}

func (r *removal) removeRuntime(context.Context) error {
	return errors.Join(engine.Withdraw("/"), os.RemoveAll(engine.RunDir))
}

func (r *removal) listsDue(context.Context) (bool, error) { return len(r.lists) > 0, nil }

func (r *removal) removeLists(context.Context) error { return config.RemoveLists(r.Root, r.Config) }

// configurationOursDue: every command of the tool copies an existing configuration again. So the
// copy alone does not make the step due once the hooks are gone.
func (r *removal) configurationOursDue(context.Context) (bool, error) {
	kept := len(r.dropIns()) > 0 && r.exists(config.KeptPath(engine.StateDir, r.Config))
	return slices.Contains(r.files, r.Config) || kept, nil
}

// foreignHooks says that there are hooks without a record, as after somebody deleted the state.
func (r *removal) foreignHooks() string {
	for _, unit := range r.units {
		if path := systemd.DropInPath("/etc", unit); r.exists(path) {
			return path + " is there, and no record says that setup wrote it: run shadowsync setup, then shadowsync remove"
		}
	}
	return ""
}

// foreignConfiguration says that there is a configuration that setup did not write, or of which a
// recreated state has no record.
func (r *removal) foreignConfiguration() string {
	if !r.exists(r.Config) {
		return ""
	}
	return "no record says that setup wrote " + r.Config + ": delete it if you no longer need it"
}

// configurationKept is why the configuration stays; empty: it is deleted.
func (r *removal) configurationKept() string {
	switch foreign := r.foreignConfiguration(); {
	case foreign != "" && !slices.Contains(r.files, r.Config):
		return foreign
	case r.keepConfig && r.exists(r.Config):
		return "it is kept, for shadowsync setup to find it"
	}
	return ""
}

// takeConfiguration also deletes the copy of the last good configuration.
func (r *removal) takeConfiguration(ctx context.Context) error {
	if err := r.forgetConfiguration(ctx); err != nil {
		return err
	}
	return r.takeBack(ctx, r.Config)
}

// forgetConfiguration deletes the copy of the last good configuration, which nothing uses after this.
func (r *removal) forgetConfiguration(context.Context) error {
	return config.Forget(r.Root, engine.StateDir, r.Config)
}

func (r *removal) stateDue(context.Context) (bool, error) {
	_, err := inroot.Lstat(r.Root, engine.HomeDir)
	return err == nil, nil
}

func (r *removal) deleteState(context.Context) error {
	r.ledger.close()
	return inroot.RemoveAll(r.Root, engine.HomeDir)
}
