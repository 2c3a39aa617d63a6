package doctor

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/internal/setup/pamstack"
)

func checkModule(context.Context, *exam) verdict {
	folder, err := setup.ModuleFolder("/")
	if err != nil {
		return fail("%v", err)
	}
	path := filepath.Join(folder, pamstack.Module)
	info, err := os.Stat(path)
	if err != nil {
		return fail("%v", err).by("make install", nil)
	}
	if err := loadable(path, filepath.Join(folder, "pam_permit.so")); err != nil {
		return fail("%s cannot be loaded: %v", path, err).by("make install", nil)
	}
	return judgePrivate(path, info, 0o755).orPass("%s", path)
}

// loadable compares the module with one that libpam loads. That it really is
// loaded, the change on the scratch stack proves.
func loadable(path, like string) error {
	ours, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := elf.Open(like)
	if err != nil {
		return err
	}
	defer theirs.Close()
	if ours.Machine != theirs.Machine || ours.Class != theirs.Class {
		return fmt.Errorf("it is built for %v, %v, the system's for %v, %v", ours.Machine, ours.Class, theirs.Machine, theirs.Class)
	}
	symbols, err := ours.DynamicSymbols()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == "pam_sm_chauthtok" && s.Section != elf.SHN_UNDEF }) {
		return errors.New("it has no pam_sm_chauthtok")
	}
	return nil
}

func checkProfile(context.Context, *exam) verdict {
	if !setup.HasPAMAuthUpdate("/") {
		return pass("not a system of pam-auth-update")
	}
	if _, err := os.Stat(setup.Profile); err != nil {
		return fail("%v", err).by("make install", nil)
	}
	return pass("%s", setup.Profile)
}

// firstService decides; the others are named, for a distribution may keep them apart.
const firstService = "passwd"

// checkLine judges the stack of every service that changes passwords.
func checkLine(_ context.Context, e *exam) verdict {
	services, err := pamstack.Services("/")
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	for _, service := range services {
		lines, err := pamstack.Read("/", service)
		if err != nil || !pamstack.Stores(lines) {
			continue // a service that libpam cannot read either, or that changes no password
		}
		found = append(found, e.judgeLine(service, lines))
	}
	if len(found) == 0 {
		return fail("no PAM service stores passwords in /etc/shadow")
	}
	return distinct("the line is where it must be in all that store passwords", found)
}

// distinct drops what several services say of the same included file.
func distinct(good string, found []verdict) verdict {
	seen := map[string]bool{}
	return join(good, slices.DeleteFunc(found, func(v verdict) bool {
		known := seen[v.detail]
		seen[v.detail] = true
		return known
	})...)
}

func (e *exam) judgeLine(service string, lines []pamstack.Line) verdict {
	fault := pamstack.Judge(lines)
	if fault == nil {
		return pass("")
	}
	// A line that is missing has no place of its own: the storing module's has to do.
	v := warn("%v", fault)
	if errors.Is(fault, pamstack.ErrAbsent) {
		v = warn("%v in %s", fault, storingFile(lines))
	}
	if passwd, err := pamstack.Read("/", firstService); err == nil && storingFile(passwd) == storingFile(lines) {
		v.state = Fail
	}
	return e.mendLine(v, service, fault, lines)
}

func storingFile(lines []pamstack.Line) string {
	if l, ok := pamstack.Storing(lines); ok {
		return l.File
	}
	return ""
}

// mendLine: pam-auth-update puts back a line that is missing, and leaves one alone
// that was edited; so ours goes first where it is wrong. It will not touch the
// lines of others without --force, which gives up every local edit: that is the
// administrator's to decide.
func (e *exam) mendLine(v verdict, service string, fault error, lines []pamstack.Line) verdict {
	if !setup.HasPAMAuthUpdate("/") {
		return v.by("shadowsync setup", nil) // it says what to add, and where
	}
	const enable = "pam-auth-update --enable shadowsync"
	ours, there := pamstack.Find(lines)
	switch {
	case !strings.HasPrefix(storingFile(lines), "/etc/pam.d/common-"):
		return v.by("editor /etc/pam.d/"+service, nil)
	case !there:
		return v.by(enable, e.repair(setup.StepPAM))
	case errors.Is(fault, pamstack.ErrAfterFailure), errors.Is(fault, pamstack.ErrUnreached) && ours.File == storingFile(lines):
		return v.by("pam-auth-update --force --enable shadowsync", nil)
	}
	return v.by(fmt.Sprintf(`sed -i '/pam_shadowsync\.so/d' %s && %s`, ours.File, enable), func(ctx context.Context) error {
		if err := edit(ours.File, withoutOurs); err != nil {
			return err
		}
		return e.repair(setup.StepPAM)(ctx)
	})
}

func withoutOurs(line string) string {
	if strings.Contains(line, pamstack.Module) {
		return ""
	}
	return line
}
