package setup

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/shadowsync/shadowsync/internal/account/directory"
	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/systemd"
)

// CheckError lists what is missing before setup can begin.
type CheckError struct{ Faults []string }

func (e *CheckError) Error() string {
	return "cannot set up: " + strings.Join(e.Faults, "; ")
}

// UnitFolders are the folders that systemd.unit(5) searches for unit files, in this order.
var UnitFolders = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// check looks for everything that setup needs but does not create, and reports all that is missing
// at once.
func (j *job) check(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return &CheckError{Faults: []string{"only root can"}}
	}
	for _, a := range j.config.Applications {
		if why := OtherNames(j.Root, a); why != "" {
			j.note("%s", why)
		}
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
	web, err := j.missingWeb(ctx)
	if err != nil {
		return err
	}
	faults = slices.Concat(faults, web, texts(units), texts(accounts), texts(j.missingServices()), j.openPlaces())
	if len(faults) > 0 {
		return &CheckError{Faults: faults}
	}
	return nil
}

// Missing is a unit, an account or a PAM service that the configuration names and that the system lacks.
type Missing struct {
	Application int    // its index in the configuration; -1: none
	Key         string // that names it, with its tables
	Value       string
	Text        string
}

func texts(missing []Missing) (texts []string) {
	for _, m := range missing {
		texts = append(texts, m.Text)
	}
	return texts
}

// FindMissing looks for what setup would refuse to wire.
func FindMissing(ctx context.Context, root string, c *config.Config) ([]Missing, error) {
	j := newJob(Options{Root: root})
	j.config = c
	units, err := j.missingUnits(ctx)
	if err != nil {
		return nil, err
	}
	accounts, err := j.missingAccounts(ctx)
	return slices.Concat(units, accounts, j.missingServices()), err
}

// missingParts lists missing parts that make install installs.
func (j *job) missingParts() []string {
	var faults []string
	missing := func(what, name string) {
		faults = append(faults, fmt.Sprintf("the %s %s is missing (make install brings it)", what, name))
	}
	if info, err := inroot.Stat(j.Root, j.Binary); err != nil || info.Mode()&0o111 == 0 {
		missing("program", j.Binary)
	}
	units, err := systemd.Units(j.Binary)
	if err != nil {
		return append(faults, err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if FindUnit(j.Root, name) == "" && !Spared(j.config, name) {
			missing("unit", name)
		}
	}
	if folder, err := ModuleFolder(j.Root); err != nil {
		faults = append(faults, err.Error())
	} else if _, err := inroot.Stat(j.Root, filepath.Join(folder, pamstack.Module)); err != nil {
		missing("PAM module", filepath.Join(folder, pamstack.Module))
	}
	for _, name := range Profiles {
		path := filepath.Join(ProfileFolder, name)
		if _, err := inroot.Stat(j.Root, path); err != nil && HasPAMAuthUpdate(j.Root) {
			missing("PAM profile", path)
		}
	}
	return faults
}

// FindUnit returns the path of a unit's file under root, or "" if it has none.
func FindUnit(root, name string) string {
	for _, folder := range UnitFolders {
		path := filepath.Join(folder, name)
		if _, err := inroot.Lstat(root, path); err == nil {
			return path
		}
	}
	return ""
}

func (j *job) missingUnits(ctx context.Context) ([]Missing, error) {
	var faults []Missing
	missing := func(application int, texts ...string) {
		for _, text := range texts {
			faults = append(faults, Missing{application, "application.unit", "", text})
		}
	}
	for i, a := range j.config.Applications {
		if !a.First() {
			continue // another store of the same unit and accounts
		}
		if j.mounted() {
			if FindUnit(j.Root, a.Unit) == "" {
				missing(i, fmt.Sprintf("there is no unit %s", a.Unit))
			}
			continue
		}
		// systemd is asked because a unit may be generated or created at run time.
		w, err := j.bus.Wiring(ctx, a.Unit)
		if err != nil {
			return nil, err
		}
		if w.Load == "bad-setting" && j.exists(systemd.DropInPath("/etc", a.Unit)) {
			continue // the cause may be our drop-in, which this run rewrites
		}
		missing(i, unhookable(a.Unit, w)...)
	}
	return faults, nil
}

// unhookable says why our hooks cannot be attached to a unit.
func unhookable(unit string, w systemd.Wiring) []string {
	switch {
	case w.Load == "not-found":
		return []string{"there is no unit " + unit}
	case w.Load != "loaded":
		return []string{fmt.Sprintf("the unit %s is %s", unit, w.Load)}
	case w.ID != unit: // hooks receive the main name
		return []string{fmt.Sprintf("the unit %s is another name of %s: name that one", unit, w.ID)}
	case w.Jobs == systemd.Jobs{}:
		return []string{"this systemd has no OnSuccess=; version 249 or newer is needed"}
	}
	return nil
}

func (j *job) missingAccounts(ctx context.Context) ([]Missing, error) {
	file := shadowfile.Open(j.Root)
	protected := protect.New(protect.Options{Root: j.Root, Groups: j.config.Protected.Groups, Admins: j.config.AdminGroups()})
	var faults []Missing
	for i, a := range j.config.Applications {
		if !a.First() {
			continue
		}
		standings := protected.Glance(ctx, a.Accounts...)
		there, err := file.Read(ctx, a.Accounts)
		if err != nil {
			return nil, err
		}
		both := j.inDirectory(ctx, a.Accounts)
		for _, name := range a.Accounts {
			if _, ok := there.Accounts[name]; !ok {
				text := fmt.Sprintf("the account %s is not in /etc/passwd and /etc/shadow (accounts of LDAP or sssd are left alone)", name)
				faults = append(faults, Missing{i, "application.accounts", name, text})
				continue
			}
			j.noteProtection(a, name, standings[name].AgainstStores())
			if service := both[name]; service != "" {
				j.note("%s is in /etc/shadow and in the directory (%s): the directory's password opens the local account, too", name, service)
			}
		}
	}
	return faults, nil
}

// inDirectory returns which of the accounts a directory has, too. If it does not answer, doctor says so.
func (j *job) inDirectory(ctx context.Context, names []string) map[string]string {
	if !inroot.Live(j.Root) {
		return nil
	}
	both, _ := directory.Known(ctx, names)
	return both
}

// openPlaces reports folders of embedded stores that users other than root can change: they could
// replace the database.
func (j *job) openPlaces() []string {
	var faults []string
	for _, a := range j.config.Applications {
		if err := StorePlace(j.Root, a); err != nil {
			faults = append(faults, fmt.Sprintf("the credential store of %s is in a folder that is not root's alone: %v (choose another path, or: chown root FOLDER && chmod go-w FOLDER)", a.Name, err))
		}
	}
	return faults
}

// StorePlace reports what is wrong with the place of an application's store if only root may write
// there.
func StorePlace(root string, a config.Application) error {
	options, err := store.Parse(a.Store)
	if err != nil {
		return err
	}
	driver, err := store.Find(options.Driver)
	if err != nil || driver.Place == nil {
		return err
	}
	options.Root = root
	return driver.Place(options)
}

// OtherNames reports that a store's file has several hard links: rename(2) replaces only one of
// them, and the others keep the old content from the first change on.
func OtherNames(root string, a config.Application) string {
	path, _ := a.Store["path"].(string)
	if path == "" {
		return ""
	}
	info, err := inroot.Lstat(root, path)
	if err != nil || !info.Mode().IsRegular() {
		return "" // the store's own check reports it
	}
	st, known := info.Sys().(*syscall.Stat_t)
	if !known || st.Nlink < 2 {
		return ""
	}
	return fmt.Sprintf("%s, the store of %s, has %d names (hard links): a change replaces the file under this name only", path, a.Name, st.Nlink)
}

// noteProtection says beforehand what the store will not be able to change.
func (j *job) noteProtection(a config.Application, account, why string) {
	if why != "" && !a.TrustStore {
		j.note("%s (%s) is protected: changes go from the OS to the store, never back, unless trust_store = true", account, why)
	}
}
