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

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
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
	return assessPrivate(path, info, 0o755).orPass("%s", path)
}

// loadable compares the module with one that libpam loads. The change on the scratch stack proves
// that libpam really loads it.
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

// duty is one of our PAM lines, and where it belongs.
type duty struct {
	pamstack.Duty
	services []string // the first existing one decides; the others get warnings, because a distribution may keep them separate
	profile  string   // the profile that makes pam-auth-update write the line
	good     string
}

// checkLine checks the stack of every service that changes passwords.
func checkLine(_ context.Context, e *exam) verdict {
	return e.checkDuty(duty{pamstack.Announce, nil, "shadowsync", "the line is in the right place in every service that stores passwords"})
}

// checkJudge looks for the line that applies the configuration's rules to programs other than our
// own tools.
func checkJudge(_ context.Context, e *exam) verdict {
	if e.config == nil {
		return notChecked("the configuration cannot be read")
	}
	if !e.config.Password.HasRules() {
		return pass("not needed: the configuration has no rules for passwords")
	}
	return e.checkDuty(duty{pamstack.Judge, nil, "shadowsync-judge", "new passwords are judged by the configuration's rules before they are stored"})
}

// checkLogin looks for the line that a login needs to give a store the hash format that it takes.
func checkLogin(_ context.Context, e *exam) verdict {
	return e.checkDuty(duty{pamstack.Login, setup.LoginServices, "shadowsync", "logins can give a store the hash format that it takes"})
}

// checkDuty checks one of our lines in every stack that stores or checks passwords.
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
			continue // libpam cannot read the service either, or it handles no password
		}
		if first == "" {
			first = storingFile(lines)
		}
		found = append(found, e.assessLine(d, service, lines, first))
	}
	if len(found) == 0 {
		return fail("no PAM service uses the passwords in /etc/shadow")
	}
	return distinct(d.good, found)
}

// all returns the services to check, with passwd(1)'s before all others.
func (d duty) all() ([]string, error) {
	if d.services != nil {
		return d.services, nil
	}
	services, err := pamstack.Services("/")
	return append([]string{"passwd"}, services...), err
}

// distinct removes repeated findings about a file that several services include.
func distinct(good string, found []verdict) verdict {
	seen := map[string]bool{}
	return join(good, slices.DeleteFunc(found, func(v verdict) bool {
		known := seen[v.detail]
		seen[v.detail] = true
		return known
	})...)
}

// assessLine checks the line in one stack. A fault in the deciding file is a failure, elsewhere a
// warning.
func (e *exam) assessLine(d duty, service string, lines []pamstack.Line, decides string) verdict {
	fault := d.Check(lines)
	if fault == nil {
		return pass("")
	}
	// A missing line has no file of its own, so the storing module's file is used.
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

// mendLine picks the repair. pam-auth-update adds a missing line but leaves an edited one alone, so
// a wrong line of ours is deleted first. It changes other programs' lines only with --force, and
// even then not the fallback after the storing modules. There the original file must be restored,
// which loses all local edits, so the administrator has to decide.
func (e *exam) mendLine(d duty, v verdict, service string, fault error, lines []pamstack.Line) verdict {
	if !setup.HasPAMAuthUpdate("/") {
		return v.by("shadowsync setup", nil) // setup says what to add, and where
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
