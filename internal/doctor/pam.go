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
	for _, entry := range []string{"pam_sm_chauthtok", "pam_sm_authenticate", "pam_sm_setcred"} {
		if !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == entry && s.Section != elf.SHN_UNDEF }) {
			return fmt.Errorf("it has no %s", entry)
		}
	}
	return nil
}

func checkProfile(context.Context, *exam) verdict {
	if !setup.HasPAMAuthUpdate("/") {
		return pass("not a system of pam-auth-update")
	}
	for _, name := range setup.Profiles {
		if _, err := os.Stat(filepath.Join(setup.ProfileFolder, name)); err != nil {
			return fail("%v", err).by("make install", nil)
		}
	}
	return pass("%s of %s", strings.Join(setup.Profiles, ", "), setup.ProfileFolder)
}

// duty is one of our lines, and where it has to stand.
type duty struct {
	pamstack.Duty
	services []string // the first that there is decides; the others are named, for a distribution may keep them apart
	profile  string   // that has pam-auth-update write it
	good     string
}

// checkLine judges the stack of every service that changes passwords.
func checkLine(_ context.Context, e *exam) verdict {
	return e.checkDuty(duty{pamstack.Announce, nil, "shadowsync", "the line is where it must be in all that store passwords"})
}

// checkJudge looks for the line without which nobody but our own tools asks for the rules.
func checkJudge(_ context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	if !e.config.Password.HasRules() {
		return pass("not needed: the configuration has no rules for passwords")
	}
	return e.checkDuty(duty{pamstack.Judge, nil, "shadowsync-judge", "new passwords are judged by the configuration's rules before they are stored"})
}

// checkLogin looks for the line that a store which takes another hash format waits for.
func checkLogin(_ context.Context, e *exam) verdict {
	return e.checkDuty(duty{pamstack.Login, setup.LoginServices, "shadowsync", "logins can give a store the hash format that it takes"})
}

// checkDuty judges a line of ours in every stack that stores, or checks, passwords.
func (e *exam) checkDuty(d duty) verdict {
	services, err := d.all()
	if err != nil {
		return fail("%v", err)
	}
	var found []verdict
	first := ""
	for _, service := range services {
		lines, err := pamstack.Read("/", service, d.Kind)
		if err != nil || !pamstack.Stores(lines) {
			continue // a service that libpam cannot read either, or that has to do with no password
		}
		if first == "" {
			first = storingFile(lines)
		}
		found = append(found, e.judgeLine(d, service, lines, first))
	}
	if len(found) == 0 {
		return fail("no PAM service has to do with the passwords in /etc/shadow")
	}
	return distinct(d.good, found)
}

// all are the services to look at, passwd(1)'s before all others that there are.
func (d duty) all() ([]string, error) {
	if d.services != nil {
		return d.services, nil
	}
	services, err := pamstack.Services("/")
	return append([]string{"passwd"}, services...), err
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

// judgeLine judges the line in one stack. A fault in the file that decides is a failure.
func (e *exam) judgeLine(d duty, service string, lines []pamstack.Line, decides string) verdict {
	fault := d.Check(lines)
	if fault == nil {
		return pass("")
	}
	// A line that is missing has no place of its own: the storing module's has to do.
	v := warn("%v", fault)
	if errors.Is(fault, pamstack.ErrAbsent) {
		v = warn("%v in %s", fault, storingFile(lines))
	}
	if storingFile(lines) == decides {
		v.state = Fail
	}
	return e.mendLine(d, v, service, fault, lines)
}

func storingFile(lines []pamstack.Line) string {
	if l, ok := pamstack.Storing(lines); ok {
		return l.File
	}
	return ""
}

// mendLine: pam-auth-update puts back a line that is missing, and leaves one alone
// that was edited; so ours goes first where it is wrong. It will not touch the
// lines of others without --force, and the fallback that ends the block of the storing
// modules not even then: the file is put back as it was delivered, which gives up
// every local edit. That is the administrator's to decide.
func (e *exam) mendLine(d duty, v verdict, service string, fault error, lines []pamstack.Line) verdict {
	if !setup.HasPAMAuthUpdate("/") {
		return v.by("shadowsync setup", nil) // it says what to add, and where
	}
	enable := "pam-auth-update --enable " + d.profile
	ours, there := d.Find(lines)
	switch {
	case !strings.HasPrefix(storingFile(lines), "/etc/pam.d/common-"):
		return v.by("editor /etc/pam.d/"+service, nil)
	case !there:
		return v.by(enable, e.repair(setup.StepPAM))
	case errors.Is(fault, pamstack.ErrAfterFailure), errors.Is(fault, pamstack.ErrAfterDenial), errors.Is(fault, pamstack.ErrUnreached) && ours.File == storingFile(lines):
		file := storingFile(lines)
		return v.by(fmt.Sprintf("cp /usr/share/pam/%s %s && pam-auth-update --force --enable %s", filepath.Base(file), file, d.profile), nil)
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
