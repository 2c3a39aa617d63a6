package setup

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/state"
)

// serviceFolder has the files of PAM services that setup changes. They are conffiles of other packages,
// so they are rewritten in place, and only our lines are taken out again.
const serviceFolder = "/etc/pam.d"

func serviceFile(service string) string { return filepath.Join(serviceFolder, service) }

func (j *job) services() step {
	asking := strings.Join(j.config.SecondFactor.Services, ", ")
	s := step{
		name: StepServices, what: "services that ask for a second factor: " + asking, due: j.servicesDue, do: j.wireServices, rehearse: j.rehearseServices,
	}
	if asking == "" {
		s.what, s.will = "no service that asks for a second factor", "have no service ask for a second factor"
	}
	if j.mounted() && asking != "" {
		if _, fault := j.pamFault(); fault != nil { // without the mark of a proven password, enrolled accounts are refused
			s.leaveOut = "the lines in the PAM stacks come first: run shadowsync setup on the system at " + j.Root
		}
	}
	return s
}

// needsServices reports whether there is anything to say about services.
func (j *job) needsServices(ctx context.Context) bool {
	asking, err := askingServices(ctx, j.ledger)
	return err != nil || len(asking) > 0 || len(j.config.SecondFactor.Services) > 0 || j.exists(sshdPath)
}

// askingServices returns the services whose file has our lines, or is recorded to have them.
func askingServices(ctx context.Context, l *ledger) ([]string, error) {
	entries, err := inroot.ReadDir(l.root, serviceFolder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the PAM services: %w", err)
	}
	var asking []string
	for _, e := range entries {
		if e.Dir || strings.Contains(e.Name, ".") {
			continue
		}
		entry, recorded, _ := l.find(ctx, serviceFile(e.Name)) // without the record, the text alone tells
		recorded = recorded && entry.Wrote == lineMark
		text, err := inroot.ReadFile(l.root, serviceFile(e.Name))
		if recorded || err == nil && pamstack.Asks(string(text)) {
			asking = append(asking, e.Name)
		}
	}
	return asking, nil
}

// serviceText returns the text that a service's file has, the text that it must have for the service to
// ask, and the line that our lines replace there.
func (l *ledger) serviceText(ctx context.Context, service string) (has, must, replaced string, err error) {
	text, plain, err := l.plainText(ctx, service)
	if err != nil {
		return "", "", "", err
	}
	must, replaced, err = pamstack.Ask(service, plain)
	if err != nil {
		return "", "", "", fmt.Errorf("cannot have %s ask for a second factor: %w", service, err)
	}
	return text, must, replaced, nil
}

// plainText returns the text of a service's file, with our lines and without.
func (l *ledger) plainText(ctx context.Context, service string) (text, plain string, err error) {
	entry, recorded, _ := l.find(ctx, serviceFile(service)) // without the record, the line is Debian's
	content, err := inroot.ReadFile(l.root, serviceFile(service))
	if err != nil {
		return "", "", err
	}
	replaced := pamstack.IncludeAuth
	if recorded && entry.Before != "" {
		replaced = entry.Before
	}
	if text = string(content); !recorded && !pamstack.Asks(text) {
		return text, text, nil
	}
	return text, pamstack.Unask(text, replaced), nil
}

func (j *job) servicesDue(ctx context.Context) (bool, error) {
	asking, err := askingServices(ctx, j.ledger)
	if err != nil {
		return false, err
	}
	for _, service := range j.config.SecondFactor.Services {
		text, must, _, err := j.ledger.serviceText(ctx, service)
		if err != nil || text != must || !slices.Contains(asking, service) {
			return true, nil //nolint:nilerr // wireServices says what to do about it
		}
		if len(PastFactor(j.Root, service)) > 0 {
			return true, nil
		}
	}
	for _, service := range asking {
		if !slices.Contains(j.config.SecondFactor.Services, service) {
			return true, nil
		}
	}
	return j.sshdDue(ctx)
}

// rehearseServices finds out whether every service can be wired.
func (j *job) rehearseServices(ctx context.Context) error {
	for _, service := range j.config.SecondFactor.Services {
		if _, _, _, err := j.ledger.serviceText(ctx, service); err != nil {
			return &PAMError{Fault: err, Advice: serviceAdvice(service)}
		}
	}
	return ModuleAsks(j.Root, j.config.SecondFactor.Services)
}

// wireServices lets sshd ask before its PAM service does, and the other way round where a service no longer
// asks. A service that asked would refuse the accounts with a second factor meanwhile.
func (j *job) wireServices(ctx context.Context) error {
	if err := j.rehearseServices(ctx); err != nil {
		return err
	}
	asks := slices.Contains(j.config.SecondFactor.Services, sshdService)
	if asks {
		if err := j.wireSSHD(ctx); err != nil {
			return err
		}
	}
	for _, service := range j.config.SecondFactor.Services {
		if err := j.ledger.ask(ctx, service); err != nil {
			return err
		}
	}
	asking, err := askingServices(ctx, j.ledger)
	if err != nil {
		return err
	}
	for _, service := range asking {
		if !slices.Contains(j.config.SecondFactor.Services, service) {
			if err := j.ledger.unask(ctx, service); err != nil {
				return err
			}
		}
	}
	if !asks {
		if err := j.unwireSSHD(ctx); err != nil {
			return err
		}
	}
	return j.pastFactors()
}

// pastFactors names the ways past our lines, which belong to somebody else.
func (j *job) pastFactors() error {
	for _, service := range j.config.SecondFactor.Services {
		if past := PastFactor(j.Root, service); len(past) > 0 {
			return &PAMError{Fault: errors.Join(past...), Advice: "Remove these lines, or move them below ours in " + serviceFile(service) + ". Then run shadowsync setup again."}
		}
	}
	return nil
}

// ask puts our lines into a service's file. It records the line that they replace before.
func (l *ledger) ask(ctx context.Context, service string) error {
	text, must, replaced, err := l.serviceText(ctx, service)
	if err != nil {
		return err
	}
	if err := l.put(ctx, state.SetupFile{Path: serviceFile(service), Wrote: lineMark, Before: replaced}); err != nil || text == must {
		return err
	}
	return inroot.Rewrite(l.root, serviceFile(service), []byte(must))
}

// unask takes our lines out of a service's file, whatever others have changed in it since.
func (l *ledger) unask(ctx context.Context, service string) error {
	text, plain, err := l.plainText(ctx, service)
	if err == nil && text != plain {
		err = inroot.Rewrite(l.root, serviceFile(service), []byte(plain))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot take our lines out of %s: %w", serviceFile(service), err)
	}
	if _, recorded, err := l.find(ctx, serviceFile(service)); err != nil || !recorded {
		return nil //nolint:nilerr // the lines are gone; an unreadable record must not stop a removal
	}
	return l.put(ctx, state.SetupFile{Path: serviceFile(service)})
}

// PastFactor returns the ways into a service without its second factor; see [pamstack.Duty.Past].
func PastFactor(root, service string) (faults []error) {
	for _, d := range []pamstack.Duty{pamstack.Factor, pamstack.FactorAccount} {
		lines, err := pamstack.Read(root, service, d.Kind)
		if err != nil {
			return append(faults, err)
		}
		faults = append(faults, d.Past(service, lines)...)
	}
	return faults
}

// AskingServices returns the services whose file has our lines, or is recorded to have them.
func AskingServices(ctx context.Context, root string) ([]string, error) {
	l := &ledger{root: root}
	defer l.close()
	return askingServices(ctx, l)
}

// ServiceAltered reports whether a service's file is not as setup writes it, apart from what others have in
// it.
func ServiceAltered(ctx context.Context, root, service string) (bool, error) {
	l := &ledger{root: root}
	defer l.close()
	text, must, _, err := l.serviceText(ctx, service)
	return text != must, err
}

// ModuleAsks returns an error if the installed module is of a version that cannot ask: libpam fails an
// account line without its function for everybody, root too.
func ModuleAsks(root string, services []string) error {
	if len(services) == 0 {
		return nil
	}
	folder, err := ModuleFolder(root)
	if err != nil {
		return err
	}
	content, err := inroot.ReadFile(root, filepath.Join(folder, pamstack.Module))
	if err != nil {
		return err
	}
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", pamstack.Module, err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil || !slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == "pam_sm_acct_mgmt" && s.Section != elf.SHN_UNDEF }) {
		return fmt.Errorf("%s is of a version that cannot ask for second factors (make install brings a newer one)", filepath.Join(folder, pamstack.Module))
	}
	return nil
}

// missingServices lists the services of the configuration that have no file which setup can change.
func (j *job) missingServices() (faults []Missing) {
	for _, service := range j.config.SecondFactor.Services {
		info, err := inroot.Lstat(j.Root, serviceFile(service))
		switch {
		case err != nil:
			faults = append(faults, Missing{-1, "second_factor.services", service, fmt.Sprintf("the PAM service %s has no file %s", service, serviceFile(service))})
		case !info.Mode().IsRegular():
			faults = append(faults, Missing{-1, "second_factor.services", service, fmt.Sprintf("%s is no regular file, so setup does not change it", serviceFile(service))})
		}
	}
	return faults
}

// serviceAdvice says what to write where Debian's lines are missing.
func serviceAdvice(service string) string {
	like := "@include common-auth\n@include common-account\n"
	asking, _, err := pamstack.Ask(service, like)
	if err != nil {
		return err.Error()
	}
	return serviceFile(service) + " must include Debian's two files in its own lines, once each:\n" + like +
		"setup turns them into these:\n" + asking + "Then run shadowsync setup again."
}
