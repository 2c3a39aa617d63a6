package setup

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/setup/pamstack"
	"github.com/shadowsync/shadowsync/internal/shadowfile"
	"github.com/shadowsync/shadowsync/systemd"
)

// CheckError is what is missing before anything can be set up.
type CheckError struct{ Faults []string }

func (e *CheckError) Error() string {
	return "cannot set up: " + strings.Join(e.Faults, "; ")
}

// UnitFolders are where systemd.unit(5) looks for unit files, the first one first.
var UnitFolders = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// check looks for everything that setup needs and does not make, and names all of it at once.
func (j *job) check(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return &CheckError{Faults: []string{"only root can"}}
	}
	faults := j.missingParts()
	units, err := j.missingUnits(ctx)
	if err != nil {
		return err
	}
	accounts, err := j.missingAccounts(ctx)
	if err != nil {
		return err
	}
	if faults = slices.Concat(faults, units, accounts); len(faults) > 0 {
		return &CheckError{Faults: faults}
	}
	return nil
}

// missingParts are of those that make install brings.
func (j *job) missingParts() []string {
	var faults []string
	missing := func(what, name string) {
		faults = append(faults, fmt.Sprintf("the %s %s is missing (make install brings it)", what, name))
	}
	if info, err := os.Stat(j.path(j.Binary)); err != nil || info.Mode()&0o111 == 0 {
		missing("program", j.Binary)
	}
	units, err := systemd.Units(j.Binary)
	if err != nil {
		return append(faults, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if FindUnit(j.Root, name) == "" {
			missing("unit", name)
		}
	}
	if folder, err := ModuleFolder(j.Root); err != nil {
		faults = append(faults, err.Error())
	} else if _, err := os.Stat(filepath.Join(folder, pamstack.Module)); err != nil {
		missing("PAM module", filepath.Join(strings.TrimPrefix(folder, strings.TrimSuffix(j.Root, "/")), pamstack.Module))
	}
	for _, name := range Profiles {
		path := filepath.Join(ProfileFolder, name)
		if _, err := os.Stat(j.path(path)); err != nil && HasPAMAuthUpdate(j.Root) {
			missing("PAM profile", path)
		}
	}
	return faults
}

// FindUnit returns the path of a unit's file beneath root; empty: there is none.
func FindUnit(root, name string) string {
	for _, folder := range UnitFolders {
		path := filepath.Join(folder, name)
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			return path
		}
	}
	return ""
}

func (j *job) missingUnits(ctx context.Context) ([]string, error) {
	var faults []string
	for _, a := range j.config.Applications {
		if j.mounted() {
			if FindUnit(j.Root, a.Unit) == "" {
				faults = append(faults, fmt.Sprintf("there is no unit %s", a.Unit))
			}
			continue
		}
		// Asked of systemd, for a unit may be generated or made at run time.
		state, err := j.bus.Unit(ctx, a.Unit)
		if err != nil {
			return nil, err
		}
		if state.Load != "loaded" {
			faults = append(faults, fmt.Sprintf("the unit %s is %s", a.Unit, state.Load))
		}
	}
	return faults, nil
}

func (j *job) missingAccounts(ctx context.Context) ([]string, error) {
	file := shadowfile.Open(j.Root, shadowfile.ProtectGroups(j.config.Protected.Groups...))
	var faults []string
	for _, a := range j.config.Applications {
		there, err := file.Read(ctx, a.Accounts)
		if err != nil {
			return nil, err
		}
		for _, name := range a.Accounts {
			account, ok := there.Accounts[name]
			if !ok {
				faults = append(faults, fmt.Sprintf("the account %s is not in /etc/passwd and /etc/shadow (accounts of LDAP or sssd are left alone)", name))
				continue
			}
			j.noteProtection(a, name, account.Protected)
		}
	}
	return faults, nil
}

// noteProtection says beforehand what the store will not be able to do.
func (j *job) noteProtection(a config.Application, account, why string) {
	if why != "" && !a.TrustStore {
		j.note("%s (%s) is protected: changes go from the OS to the store, never back, unless trust_store = true", account, why)
	}
}
