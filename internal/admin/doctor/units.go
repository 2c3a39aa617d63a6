package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/systemd"
)

func checkProgram(_ context.Context, e *exam) verdict {
	info, err := os.Stat(e.Binary)
	switch {
	case err != nil:
		return fail("%v", err).by("make install", nil)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fail("%s is not executable", e.Binary).by(fmt.Sprintf("chmod %#o %s", programMode, e.Binary), func(context.Context) error {
			return os.Chmod(e.Binary, programMode)
		})
	}
	return assessPrivate(e.Binary, info, programMode).orPass("%s is there", e.Binary)
}

// programMode does not let users read the program. execve(2) makes a process non-traceable for
// users who cannot read its program; this protects a store's worker, which has its owner's uid.
const programMode = 0o711

func (v verdict) orPass(format string, args ...any) verdict {
	if v.state == OK {
		return pass(format, args...)
	}
	return v
}

// checkUnits compares the unit files with those embedded in this program.
func checkUnits(_ context.Context, e *exam) verdict {
	units, err := systemd.Units(e.Binary)
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if setup.Spared(e.config, name) && setup.FindUnit("/", name) == "" {
			continue
		}
		found = append(found, assessUnit(name, units[name]))
	}
	return join("installed, and the same as in this version", found...)
}

func assessUnit(name string, want []byte) verdict {
	path := setup.FindUnit("/", name)
	if path == "" {
		return fail("the unit %s is missing", name).by("shadowsync doctor --fix", installUnit(unitFolder(), name, want))
	}
	folder := filepath.Dir(path)
	if target, err := os.Readlink(path); err == nil && target == "/dev/null" {
		return fail("the unit %s is masked", name).by("systemctl unmask "+name, systemctl("unmask", name))
	}
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return fail("%v", err)
	case bytes.Equal(text, want):
		return pass("")
	case folder == setup.UnitFolders[0]:
		return warn("%s is used instead of this version's unit", path).by("rm "+path+" && systemctl daemon-reload", nil)
	}
	return fail("%s differs from this version's unit", path).by("shadowsync doctor --fix", installUnit(folder, name, want))
}

// unitFolder is the folder for a missing unit: that of the others, or make install's.
func unitFolder() string {
	for _, unit := range setup.OurUnits {
		if path := setup.FindUnit("/", unit); path != "" && filepath.Dir(path) != setup.UnitFolders[0] {
			return filepath.Dir(path)
		}
	}
	return "/usr/lib/systemd/system"
}

func installUnit(folder, name string, text []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := inroot.Replace("/", filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
		return systemctl("daemon-reload")(ctx)
	}
}

func checkDropIns(ctx context.Context, e *exam) verdict {
	mend := e.repair(setup.StepDropIns, setup.StepReload)
	return e.eachUnit("each application has our hooks", func(a config.Application) verdict {
		w, err := e.bus.Wiring(ctx, a.Unit)
		if err != nil {
			return fail("%v", err)
		}
		path, want, err := setup.DropIn(a, w.Jobs)
		if err != nil {
			return fail("%v", err)
		}
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fail("%s has none of our hooks: %s is missing", a.Unit, path).by("shadowsync setup", mend)
		case err != nil:
			return fail("%v", err)
		case systemd.RunsInside(string(text)):
			return fail("%s is of an older version: it runs our program as root with the environment of %s", path, a.Unit).by("shadowsync setup", mend)
		case string(text) != want:
			return fail("%s is not as setup wrote it", path).by("shadowsync setup", mend)
		}
		return pass("")
	})
}

// checkLoaded checks what systemd has loaded: the files may be newer than its last reload, or it
// may refuse them. No other drop-in can remove our units, because such a list only grows
// (systemd.unit(5)).
func checkLoaded(ctx context.Context, e *exam) verdict {
	return e.eachUnit("systemd has our hooks loaded", func(a config.Application) verdict {
		found := []verdict{e.assessApplication(ctx, a)}
		for _, unit := range append(slices.Clone(e.ours()), systemd.HookUnits(a.Unit)...) {
			found = append(found, e.assessReload(ctx, unit))
		}
		return join("", found...)
	})
}

func (e *exam) assessReload(ctx context.Context, unit string) verdict {
	w, err := e.bus.Wiring(ctx, unit)
	switch {
	case err != nil:
		return fail("%v", err)
	case w.Outdated:
		return fail("systemd has not read the present %s", unit).by("systemctl daemon-reload", systemctl("daemon-reload"))
	case w.Load == "masked":
		return fail("the unit %s is masked", unit).by("systemctl unmask "+unit, systemctl("unmask", unit))
	case w.Load != "loaded":
		return fail("systemd has %s as %q", unit, w.Load).by("systemctl daemon-reload", systemctl("daemon-reload"))
	}
	return pass("")
}

func (e *exam) assessApplication(ctx context.Context, a config.Application) verdict {
	w, err := e.bus.Wiring(ctx, a.Unit)
	if err != nil {
		return fail("%v", err)
	}
	switch {
	case w.Load == "not-found":
		return fail("there is no unit %s", a.Unit).person("install the application, or name its unit in the configuration", "systemctl status "+a.Unit)
	case w.Outdated || !slices.Contains(w.DropIns, systemd.DropInPath("/etc", a.Unit)):
		return fail("systemd has not read the present drop-in of %s", a.Unit).by("systemctl daemon-reload", systemctl("daemon-reload"))
	}
	if w.Load != "loaded" {
		return fail("systemd has %s as %q, so that it does not start", a.Unit, w.Load).
			person("see what systemd says of it", "systemctl status "+a.Unit)
	}
	return pass("")
}
