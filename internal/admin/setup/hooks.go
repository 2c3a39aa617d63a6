package setup

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/systemd"
)

// UnhookableError: systemd does not load the unit with our drop-in. The drop-in has been removed
// again.
type UnhookableError struct{ Unit, Load string }

func (e *UnhookableError) Error() string {
	return fmt.Sprintf("cannot put hooks around %s: with them systemd has it as %q; they are taken back", e.Unit, e.Load)
}

// DropIn returns the text of an application's drop-in, and its path under the root directory.
func DropIn(a config.Application, jobs systemd.Jobs) (path, text string, err error) {
	text, err = systemd.DropIn(systemd.StartPolicy(a.Start), jobs)
	return systemd.DropInPath("/etc", a.Unit), text, err
}

func (j *job) dropIn(ctx context.Context, a config.Application) (path, text string, err error) {
	jobs, err := j.jobs(ctx, a.Unit)
	if err != nil {
		return "", "", err
	}
	return DropIn(a, jobs)
}

// jobs returns the job modes with which the unit starts the units in its OnSuccess= and OnFailure=.
func (j *job) jobs(ctx context.Context, unit string) (systemd.Jobs, error) {
	if j.mounted() {
		return j.jobsOfFiles(unit), nil
	}
	w, err := j.bus.Wiring(ctx, unit)
	return w.Jobs, err
}

// jobsOfFiles reads the unit's files, because no systemd has loaded them. Missing settings have
// systemd's default. If any file sets a mode that leaves no room for our hook, that mode counts,
// whichever file wins at the next boot: with our hook the application would not start then.
func (j *job) jobsOfFiles(unit string) systemd.Jobs {
	var jobs systemd.Jobs
	files := []string{FindUnit(j.Root, unit)}
	for _, folder := range UnitFolders {
		for _, name := range dropInFolders(unit) {
			dropIns := filepath.Join(folder, name)
			entries, _ := inroot.ReadDir(j.Root, dropIns) // most folders do not exist
			for _, e := range entries {
				files = append(files, filepath.Join(dropIns, e.Name))
			}
		}
	}
	set := func(jobs *string, mode string) {
		if systemd.TakesOurs(*jobs) {
			*jobs = mode
		}
	}
	for _, file := range files {
		text, err := inroot.ReadFile(j.Root, file)
		if err != nil {
			continue // check has refused an unreadable unit before
		}
		for line := range strings.Lines(string(text)) {
			key, mode, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch mode = strings.TrimSpace(mode); strings.TrimSpace(key) {
			case "OnSuccessJobMode":
				set(&jobs.Success, mode)
			case "OnFailureJobMode":
				set(&jobs.Failure, mode)
			case "OnFailureIsolate": // the former name of the setting
				if slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(mode)) {
					set(&jobs.Failure, "isolate")
				}
			}
		}
	}
	return jobs
}

// dropInFolders returns the folders of a unit's drop-ins: those of its type, of each prefix of its
// name that ends in a dash, of its template, and its own (systemd.unit(5)).
func dropInFolders(unit string) []string {
	folders := []string{"service.d"}
	name := strings.TrimSuffix(unit, ".service")
	template, _, instance := strings.Cut(name, "@")
	for i, c := range template {
		if c == '-' && i+1 < len(name) {
			folders = append(folders, name[:i+1]+".service.d")
		}
	}
	if instance {
		folders = append(folders, template+"@.service.d")
	}
	return append(folders, unit+".d")
}

// noteJobs says which hooks a unit leaves no room for.
func (j *job) noteJobs(unit string, jobs systemd.Jobs, text string) {
	for _, l := range []struct{ list, mode string }{{"OnSuccess", jobs.Success}, {"OnFailure", jobs.Failure}} {
		if !strings.Contains(text, "\n"+l.list+"=") {
			j.note("%s has %[2]sJobMode=%[3]s, which leaves no room for a hook in its %[2]s=: what it writes as it ends so is put right at its next start", unit, l.list, l.mode)
		}
	}
}

// reload makes systemd read the drop-ins. A unit that systemd refuses with our drop-in could not
// start any more, so all drop-ins are then removed before anything else is wired.
func (j *job) reload(ctx context.Context) error {
	if err := j.bus.Reload(ctx); err != nil {
		return err
	}
	for _, a := range j.config.Firsts() {
		w, err := j.bus.Wiring(ctx, a.Unit)
		if err != nil {
			return err
		}
		if w.Load == "loaded" {
			continue
		}
		refused := &UnhookableError{Unit: a.Unit, Load: w.Load}
		for _, b := range j.config.Firsts() {
			if err := j.takeBack(ctx, systemd.DropInPath("/etc", b.Unit)); err != nil {
				return fmt.Errorf("%w (not quite: %w)", refused, err)
			}
		}
		if err := j.bus.Reload(ctx); err != nil {
			return fmt.Errorf("%w (not quite: %w)", refused, err)
		}
		return refused
	}
	return nil
}
