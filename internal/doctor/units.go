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
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/systemd"
)

func checkProgram(_ context.Context, e *exam) verdict {
	info, err := os.Stat(e.Binary)
	switch {
	case err != nil:
		return fail("%v", err).by("make install", nil)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fail("%s is not executable", e.Binary).by("chmod 0755 "+e.Binary, func(context.Context) error {
			return os.Chmod(e.Binary, 0o755)
		})
	}
	return judgePrivate(e.Binary, info, 0o755).orPass("%s is there", e.Binary)
}

func (v verdict) orPass(format string, args ...any) verdict {
	if v.state == OK {
		return pass(format, args...)
	}
	return v
}

// checkUnits compares the unit files with those that this program brings along.
func checkUnits(_ context.Context, e *exam) verdict {
	units, err := systemd.Units(e.Binary)
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	for _, name := range slices.Sorted(maps.Keys(units)) {
		found = append(found, judgeUnit(name, units[name]))
	}
	return join("installed as this version brings them", found...)
}

func judgeUnit(name string, want []byte) verdict {
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
		return warn("%s stands in for the unit that belongs to this version", path).by("rm "+path+" && systemctl daemon-reload", nil)
	}
	return fail("%s is not the unit that belongs to this version", path).by("shadowsync doctor --fix", installUnit(folder, name, want))
}

// unitFolder is where a unit belongs that is nowhere: beside the others, or where
// make install puts them.
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
		tmp := filepath.Join(folder, "."+name+".tmp")
		if err := os.WriteFile(tmp, text, 0o644); err != nil {
			return err
		}
		if err := errors.Join(os.Chmod(tmp, 0o644), os.Rename(tmp, filepath.Join(folder, name))); err != nil {
			return err
		}
		return systemctl("daemon-reload")(ctx)
	}
}

func checkDropIns(_ context.Context, e *exam) verdict {
	mend := e.repair(setup.StepDropIns, setup.StepReload)
	return e.each("each application has our hooks", func(a config.Application) verdict {
		path, want, err := setup.DropIn(a, e.Binary)
		if err != nil {
			return fail("%v", err)
		}
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fail("%s has none of our hooks: %s is missing", a.Unit, path).by("shadowsync setup", mend)
		case err != nil:
			return fail("%v", err)
		case string(text) != want:
			return fail("%s is not as setup wrote it", path).by("shadowsync setup", mend)
		}
		return pass("")
	})
}

// checkLoaded asks systemd what it makes of the files: they may be newer than its
// last reload, or another drop-in may take our hooks away.
func checkLoaded(ctx context.Context, e *exam) verdict {
	return e.each("systemd has our hooks loaded", func(a config.Application) verdict {
		found := []verdict{judgeApplication(ctx, a)}
		for _, unit := range append(slices.Clone(setup.OurUnits), startUnit(a.Unit)) {
			found = append(found, judgeReload(ctx, unit))
		}
		return join("", found...)
	})
}

// startUnit is the instance that runs before an application's start.
func startUnit(unit string) string {
	return "shadowsync-start@" + strings.TrimSuffix(unit, ".service") + ".service"
}

func judgeReload(ctx context.Context, unit string) verdict {
	p, err := setup.Properties(ctx, unit, "LoadState", "NeedDaemonReload")
	switch {
	case err != nil:
		return fail("%v", err)
	case p["NeedDaemonReload"] == "yes":
		return fail("systemd has not read the present %s", unit).by("systemctl daemon-reload", systemctl("daemon-reload"))
	case p["LoadState"] == "masked":
		return fail("the unit %s is masked", unit).by("systemctl unmask "+unit, systemctl("unmask", unit))
	case p["LoadState"] != "loaded":
		return fail("systemd has %s as %q", unit, p["LoadState"]).by("systemctl daemon-reload", systemctl("daemon-reload"))
	}
	return pass("")
}

func judgeApplication(ctx context.Context, a config.Application) verdict {
	p, err := setup.Properties(ctx, a.Unit, "LoadState", "NeedDaemonReload", "DropInPaths", "Wants", "Requires", "After", "ExecStartPost", "ExecStopPost")
	if err != nil {
		return fail("%v", err)
	}
	if p["LoadState"] == "not-found" {
		return fail("there is no unit %s", a.Unit).person("install the application, or name its unit in the configuration", "systemctl status "+a.Unit)
	}
	if p["NeedDaemonReload"] == "yes" || !holds(p["DropInPaths"], systemd.DropInPath("/etc", a.Unit)) {
		return fail("systemd has not read the present drop-in of %s", a.Unit).by("systemctl daemon-reload", systemctl("daemon-reload"))
	}
	if lost := lostHooks(a, p); len(lost) > 0 {
		return fail("another drop-in of %s takes away our %s", a.Unit, strings.Join(lost, ", ")).
			person("take that out of it", "editor "+strings.Join(laterDropIns(a.Unit, p["DropInPaths"]), " "))
	}
	return pass("")
}

// laterDropIns are those that can take away what ours says: systemd reads drop-ins
// in the order of their names, whatever their folder, see systemd.unit(5).
func laterDropIns(unit, paths string) []string {
	ours := filepath.Base(systemd.DropInPath("/etc", unit))
	return slices.DeleteFunc(strings.Fields(paths), func(path string) bool { return filepath.Base(path) <= ours })
}

// lostHooks names what of our drop-in is not in effect.
func lostHooks(a config.Application, p map[string]string) []string {
	pull := "Wants"
	if a.Start == config.StartRefuse {
		pull = "Requires"
	}
	var lost []string
	for _, dependency := range []string{pull, "After"} {
		if !holds(p[dependency], startUnit(a.Unit)) {
			lost = append(lost, dependency+"="+startUnit(a.Unit))
		}
	}
	for property, hook := range map[string]string{"ExecStartPost": "post-start", "ExecStopPost": "post-stop"} {
		if !strings.Contains(p[property], fmt.Sprintf("hook %s --unit %s", hook, a.Unit)) {
			lost = append(lost, property+"=")
		}
	}
	slices.Sort(lost)
	return lost
}

func holds(list, word string) bool { return slices.Contains(strings.Fields(list), word) }
