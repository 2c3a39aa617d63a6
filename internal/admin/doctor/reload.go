package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/durable"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/systemd"
)

// checkReload checks the servers that must be reloaded after a write to their store.
func checkReload(ctx context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	return e.each("each server that needs a reload can have one, and can read its file then", func(a config.Application) verdict {
		o, err := store.Parse(a.Store)
		if err != nil || o.ReloadUnit == "" {
			return pass("") // checkConfiguration reports the error
		}
		return assessReload(ctx, e.bus, a.Name, o, e.Config)
	})
}

// assessReload returns what a reload after a write to a store would meet.
func assessReload(ctx context.Context, bus *systemd.Bus, holder string, o store.Options, file string) verdict {
	unit, err := bus.Reloading(ctx, o.ReloadUnit)
	switch {
	case err != nil:
		return warn("%v", err)
	case !unit.Exists:
		return fail("%s's reload_unit: there is no unit %s, so a new password does not come into force", holder, o.ReloadUnit).
			person("name the server's unit", "editor "+file)
	case unit.Running && unit.Masked:
		return fail("%s's reload_unit: %s is masked, so a new password does not come into force", holder, o.ReloadUnit).
			person("unmask it", "systemctl unmask "+o.ReloadUnit)
	case unit.Running && !unit.Can:
		return fail("%s's reload_unit: %s has no ExecReload=, so a new password does not come into force", holder, o.ReloadUnit).
			person("add one, or choose another unit", "systemctl edit "+o.ReloadUnit)
	case unit.MainPID > 0 && o.Path != "":
		return assessReader(o.ReloadUnit, unit, o.Path)
	}
	return pass("")
}

// assessReader warns of a server whose present user may not read its file. Some read it as root when they
// start, and as a user of their own at a reload: mosquitto then has no accounts at all.
func assessReader(name string, unit systemd.Reloading, path string) verdict {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(unit.MainPID), "status"))
	if err != nil {
		return pass("") // it has ended
	}
	user := readerOf(string(status))
	for _, at := range []struct {
		path string
		bit  uint32
	}{{filepath.Dir(path), 0o1}, {path, 0o4}} {
		var st unix.Stat_t
		if unix.Stat(at.path, &st) != nil || user.may(st, at.bit) || hasList(at.path) {
			continue
		}
		return warn("%s runs as uid %d, which cannot read %s: it reads it when it starts, but not at a reload", name, user.uid, at.path).
			person("let that user read it", fmt.Sprintf("ls -ld %s %s", filepath.Dir(path), path))
	}
	return pass("")
}

// hasList reports whether an access list may give more rights than the mode.
func hasList(path string) bool {
	_, err := unix.Getxattr(path, durable.AccessList, nil)
	return err == nil
}

// reader is who a process reads files as.
type reader struct {
	uid    uint32
	groups []uint32
	all    bool // it may read every file
}

// readerOf reads /proc/PID/status.
func readerOf(status string) (r reader) {
	for line := range strings.Lines(status) {
		name, values, _ := strings.Cut(line, ":")
		fields := strings.Fields(values)
		switch {
		case name == "Uid" && len(fields) == 4:
			r.uid = number(fields[3])
		case name == "Gid" && len(fields) == 4:
			r.groups = append(r.groups, number(fields[3]))
		case name == "Groups":
			for _, f := range fields {
				r.groups = append(r.groups, number(f))
			}
		case name == "CapEff" && len(fields) == 1:
			set, _ := strconv.ParseUint(fields[0], 16, 64)
			r.all = set&(1<<unix.CAP_DAC_OVERRIDE|1<<unix.CAP_DAC_READ_SEARCH) != 0
		}
	}
	return r
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32)
	return uint32(n)
}

// may reports whether the mode gives the reader a right: 4 to read, 1 to pass a folder.
func (r reader) may(st unix.Stat_t, bit uint32) bool {
	switch {
	case r.all:
		return true
	case r.uid == st.Uid:
		bit <<= 6
	case slices.Contains(r.groups, st.Gid):
		bit <<= 3
	}
	return st.Mode&bit != 0
}
