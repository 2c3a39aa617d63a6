package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/shadowsync/web"
	"github.com/shadowsync/shadowsync/systemd"
)

// Page says whether the page for browsers is to be switched on or off.
type Page int

// The choices.
const (
	PageAsConfigured Page = iota
	PageOn                // the configuration gets [web] if it lacks it
	PageOff               // it loses the [web] that setup has added
)

// WebAccount is the system account of the page, and the group of those who may reach the broker's web.sock.
const WebAccount = "shadowsync-web"

// WebUnits are enabled and started besides OurUnits where there is a page.
var WebUnits = []string{systemd.PagesSocketUnit, systemd.WebSocketUnit}

// WebServiceDropIn hands the certificate to the page.
var WebServiceDropIn = filepath.Join(systemUnits, systemd.WebUnit+".d", webDropIn)

// webDropIn is another name than that of the drop-ins around applications.
const webDropIn = "50-web.conf"

var (
	webSocketDropIn = filepath.Join(systemUnits, systemd.WebSocketUnit+".d", webDropIn)
	webService      = serviceFile(WebAccount) // of PAM

	webPaths = []string{webService, webSocketDropIn, WebServiceDropIn}
)

// sysusers is systemd's tool, and the file of sysusers.d(5) that describes the account.
const (
	sysusers     = "systemd-sysusers"
	sysusersFile = "shadowsync-web.conf"
)

// sysusersFolders are the folders that the tool searches for it.
var sysusersFolders = []string{"/etc/sysusers.d", "/run/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"}

// webTable is what PageOn puts at the end of a configuration. The line before tells it from an
// administrator's own.
const webTable = `
# Added by "shadowsync setup --web". The keys that may follow are in shadowsync.toml(5).
[web]
`

const webHead = "# Written by \"shadowsync setup\"; \"shadowsync remove\" takes it away again.\n"

// WebFiles returns what setup writes for the page, by path; nothing without one.
func WebFiles(root string, w config.Web) (map[string]string, error) {
	if !w.On() {
		return nil, nil
	}
	stack, err := webStack(root)
	if err != nil {
		return nil, err
	}
	files := map[string]string{webService: stack, webSocketDropIn: socketText(w)}
	if w.TLS() {
		files[WebServiceDropIn] = webHead + "[Service]\n" + credential(root, "web.crt", w.Certificate) + credential(root, "web.key", w.Key)
	}
	return files, nil
}

// socketText replaces the address of the unit itself. An address that the machine does not have yet, at
// boot, is no reason to fail.
func socketText(w config.Web) string {
	text := webHead + "[Socket]\nListenStream=\nListenStream=" + w.Address().String() + "\n"
	if a := w.Address().Addr(); !a.IsLoopback() && !a.IsUnspecified() {
		text += "FreeBind=yes\n"
	}
	return text
}

// credential hands a file to the page, or one of systemd's own credentials. Where that cannot be read,
// the page still starts, so that it can say why it does not serve.
func credential(root, id, from string) string {
	load := "LoadCredential="
	if _, err := inroot.Stat(root, filepath.Join(encryptedStore, from)); err == nil && !filepath.IsAbs(from) {
		load = "LoadCredentialEncrypted="
	}
	return load + id + ":" + from + "\nSetCredential=" + id + ":unreadable\n"
}

// The stacks of PAM for the page: who proves the password there has no session. The broker itself asks for
// the second factor.
var webStacks = []struct{ needs, text string }{
	{"common-auth", webHead + "# PAM service of the page for browsers: the password of who signs in.\n@include common-auth\n@include common-account\n"},
	{"password-auth", "#%PAM-1.0\n" + webHead + "# PAM service of the page for browsers: the password of who signs in.\nauth     include password-auth\naccount  include password-auth\n"},
}

func webStack(root string) (string, error) {
	for _, s := range webStacks {
		if _, err := inroot.Stat(root, serviceFile(s.needs)); err == nil {
			return s.text, nil
		}
	}
	return "", fmt.Errorf("cannot write %s: there is neither %s nor %s to include", webService, serviceFile(webStacks[0].needs), serviceFile(webStacks[1].needs))
}

// OursFor returns the units that are enabled and started for a configuration: the sockets first, so that
// the broker inherits them.
func OursFor(c *config.Config) []string {
	if c == nil || !c.Web.On() {
		return OurUnits
	}
	return slices.Concat(WebUnits, OurUnits)
}

// Spared reports whether a unit need not be installed: those of the page are of no use without one.
func Spared(c *config.Config, unit string) bool {
	return (unit == systemd.WebSocketUnit || unit == systemd.WebUnit) && (c == nil || !c.Web.On())
}

func (j *job) ours() []string { return OursFor(j.config) }

// web returns the step that makes what the page needs, or takes it away.
func (j *job) web() step {
	if j.config.Web.On() {
		return step{name: StepWeb, what: "page for browsers on " + j.config.Web.Listen + ": account, PAM service, address", due: j.webDue, do: j.makeWeb, live: true}
	}
	return step{name: StepWeb, what: "no page for browsers", will: "take the page for browsers away", due: j.webOnDue, do: j.takeWeb, live: true}
}

// needsWeb reports whether there is anything to say about a page.
func (j *job) needsWeb(ctx context.Context) bool {
	on, err := j.webOnDue(ctx)
	return j.config.Web.On() || on || err != nil
}

func (j *job) webDue(ctx context.Context) (bool, error) {
	account, err := HasWebAccount(ctx, j.Root)
	if err != nil || !account {
		return true, err
	}
	due, err := j.webFilesDue(ctx)
	return len(due) > 0, err
}

// webFilesDue returns the paths of the page's files that are to be written or taken away. The PAM service
// is the administrator's once it is there.
func (j *job) webFilesDue(ctx context.Context) (due []string, err error) {
	files, err := WebFiles(j.Root, j.config.Web)
	if err != nil {
		return nil, err
	}
	for _, path := range webPaths {
		text, wanted := files[path]
		_, known, err := j.ledger.find(ctx, path)
		if err != nil {
			return nil, err
		}
		changed, err := j.ledger.changed(ctx, path)
		if err != nil {
			return nil, err
		}
		kept := path == webService && changed
		if wanted && !kept && (!known || !inroot.Holds(j.Root, path, []byte(text))) || !wanted && known {
			due = append(due, path)
		}
	}
	return due, nil
}

// makeWeb stops the page before it writes, so that an interrupted setup leaves no socket at a former
// address: it is started again later.
func (j *job) makeWeb(ctx context.Context) error {
	if err := j.makeWebAccount(ctx); err != nil {
		return err
	}
	due, err := j.webFilesDue(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(due, webSocketDropIn) || slices.Contains(due, WebServiceDropIn) {
		if err := j.stopUnits(ctx, systemd.WebSocketUnit, systemd.WebUnit); err != nil {
			return err
		}
	}
	files, err := WebFiles(j.Root, j.config.Web)
	if err != nil {
		return err
	}
	for _, path := range due {
		text, wanted := files[path]
		if wanted {
			err = j.ledger.write(ctx, path, []byte(text), 0o644)
		} else {
			err = j.takeBack(ctx, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// makeWebAccount lets systemd's tool make the account, by the file that make install brings or by the
// administrator's own in /etc/sysusers.d.
func (j *job) makeWebAccount(ctx context.Context) error {
	there, err := HasWebAccount(ctx, j.Root)
	if err != nil || there {
		return err
	}
	cmd := exec.CommandContext(ctx, sysusers, j.sysusersPath())
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot make the account %s: %s: %w: %s", WebAccount, sysusers, err, bytes.TrimSpace(said))
	}
	if there, err = HasWebAccount(ctx, j.Root); err == nil && !there {
		err = fmt.Errorf("cannot make the account %s: %s %s made none", WebAccount, sysusers, sysusersFile)
	}
	if err != nil {
		return err
	}
	// What ran with the gid of a former account is started again later.
	return j.stopUnits(ctx, systemd.WebSocketUnit, systemd.WebUnit, systemd.PagesSocketUnit)
}

// sysusersPath is the file's name if the tool finds it by that, or its path beside a program that make
// install put elsewhere; empty: there is none.
func (j *job) sysusersPath() string {
	for _, folder := range sysusersFolders {
		if j.exists(filepath.Join(folder, sysusersFile)) {
			return sysusersFile
		}
	}
	if path := filepath.Join(filepath.Dir(filepath.Dir(j.Binary)), "lib/sysusers.d", sysusersFile); j.exists(path) {
		return path
	}
	return ""
}

// HasWebAccount reports whether the page's account and its group exist.
func HasWebAccount(ctx context.Context, root string) (bool, error) {
	c, err := shadowfile.Count(ctx, root)
	account := slices.ContainsFunc(c.Logins, func(l shadowfile.Login) bool { return l.Name == WebAccount })
	group := slices.ContainsFunc(c.Groups, func(g shadowfile.Group) bool { return g.Name == WebAccount && !g.Shadowed })
	return account && group, err
}

// webOnDue reports whether anything of a page is there that must go.
func (j *job) webOnDue(ctx context.Context) (bool, error) {
	for _, path := range webPaths {
		if _, known, err := j.ledger.find(ctx, path); err != nil || known {
			return true, err
		}
	}
	for _, unit := range WebUnits {
		if enabled, err := Enabled(j.Root, unit); err != nil || enabled {
			return true, err
		}
		if j.still() != "" {
			continue
		}
		if state, err := j.bus.Unit(ctx, unit); err != nil || state.Active == "active" {
			return true, err
		}
	}
	return false, nil
}

// takeWeb leaves the account: a later one must not get its uid.
func (j *job) takeWeb(ctx context.Context) error {
	if j.still() == "" {
		if err := j.stopUnits(ctx, systemd.WebSocketUnit, systemd.WebUnit, systemd.PagesSocketUnit); err != nil {
			return err
		}
	}
	if err := j.disableUnits(ctx, WebUnits); err != nil {
		return err
	}
	for _, path := range webPaths {
		if err := j.takeBack(ctx, path); err != nil {
			return err
		}
	}
	if err := inroot.Remove(j.Root, web.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if there, err := HasWebAccount(ctx, j.Root); err == nil && there {
		j.note("the system account %s is kept, without a password (userdel %[1]s removes it)", WebAccount)
	}
	return nil
}

func (j *job) stopUnits(ctx context.Context, units ...string) error {
	for _, unit := range units {
		if err := j.bus.Stop(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

// disableUnits passes over units that are not installed.
func (j *job) disableUnits(ctx context.Context, units []string) error {
	units = slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return FindUnit(j.Root, unit) == "" })
	if len(units) == 0 {
		return nil
	}
	if j.still() == "" {
		return j.bus.Disable(ctx, units...)
	}
	for _, unit := range units {
		if err := disableIn(j.Root, unit); err != nil {
			return fmt.Errorf("cannot disable %s: %w", unit, err)
		}
	}
	return nil
}

// noWeb is the step of remove. A mounted system is possible too.
func (r *removal) noWeb() step {
	return step{name: StepWeb, what: "no page for browsers", will: "take the page for browsers away", due: r.webLeftDue, do: r.takeLeftWeb}
}

func (r *removal) webLeftDue(ctx context.Context) (bool, error) {
	if slices.ContainsFunc(webPaths, func(path string) bool { return slices.Contains(r.files, path) }) {
		return true, nil
	}
	if text, err := inroot.ReadFile(r.Root, r.Config); err == nil && !r.keepConfig && strings.HasSuffix(string(text), webTable) && !slices.Contains(r.files, r.Config) {
		return true, nil
	}
	return r.webOnDue(ctx)
}

// withoutWeb has systemd forget the page's drop-ins, for a removal that has no later step for that.
func (r *removal) withoutWeb() step {
	s := step{name: StepReload, what: "unit files read by systemd", due: r.webOutdated, do: r.bus.Reload}
	s.leaveOut = r.still()
	return s
}

func (r *removal) webOutdated(ctx context.Context) (bool, error) {
	for _, unit := range []string{systemd.PagesSocketUnit, systemd.WebSocketUnit, systemd.WebUnit} {
		if w, err := r.bus.Wiring(ctx, unit); err != nil || w.Outdated {
			return true, err
		}
	}
	return false, nil
}

// noteConfiguredPage: a later setup fails, or brings the page back.
func (r *removal) noteConfiguredPage() {
	if c, err := engine.LoadConfig(r.Root, r.Config); err == nil && c.Web.On() {
		r.note("%s still has [web]: with the page's program there, shadowsync setup brings the page back", r.Config)
	}
}

// takeLeftWeb also takes our [web] out of a configuration that stays.
func (r *removal) takeLeftWeb(ctx context.Context) error {
	if err := r.takeWeb(ctx); err != nil || r.keepConfig {
		return err
	}
	text, err := inroot.ReadFile(r.Root, r.Config)
	if err != nil {
		return nil //nolint:nilerr // without a file there is nothing in it
	}
	plain, ours := strings.CutSuffix(string(text), webTable)
	if changed, err := r.ledger.changed(ctx, r.Config); err != nil || !ours || slices.Contains(r.files, r.Config) && !changed {
		return err // a file of ours goes as a whole
	}
	return inroot.Rewrite(r.Root, r.Config, []byte(plain))
}

// recogniseWeb finds the page's files without their record, as recognise does.
func (l *ledger) recogniseWeb(entries []state.SetupFile) (found []state.SetupFile) {
	c, err := engine.LoadConfig(l.root, config.DefaultPath)
	if err != nil {
		return nil
	}
	files, err := WebFiles(l.root, c.Web)
	if err != nil {
		return nil
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if slices.ContainsFunc(entries, func(f state.SetupFile) bool { return f.Path == path }) || !inroot.Holds(l.root, path, []byte(files[path])) {
			continue
		}
		found = append(found, state.SetupFile{Path: path, Wrote: digest([]byte(files[path]))})
		if beside, err := inroot.ReadDir(l.root, filepath.Dir(path)); path != webService && err == nil && len(beside) == 1 {
			found = append(found, state.SetupFile{Path: filepath.Dir(path) + "/", Wrote: folderMark})
		}
	}
	return found
}

// missingWeb lists what the page needs and setup does not make.
func (j *job) missingWeb(ctx context.Context) (faults []string, err error) {
	w := j.config.Web
	if !w.On() {
		return nil, nil
	}
	if info, err := inroot.Stat(j.Root, j.Binary+"-web"); err != nil || info.Mode()&0o111 == 0 {
		faults = append(faults, fmt.Sprintf("the program %s-web is missing, and %s has [web] (the package shadowsync-web or make install brings it)", j.Binary, j.Config))
	}
	if _, err := webStack(j.Root); err != nil {
		faults = append(faults, err.Error())
	}
	account, err := HasWebAccount(ctx, j.Root)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(sysusers); !account && err != nil {
		faults = append(faults, fmt.Sprintf("%s is missing, which makes the account %s: install it, or make the account and its group of that name by other means", sysusers, WebAccount))
	}
	if !account && j.sysusersPath() == "" {
		faults = append(faults, fmt.Sprintf("the file %s of sysusers.d(5) is missing (make install brings it)", sysusersFile))
	}
	if w.TLS() {
		var wrong *CertificateError
		leaf, err := Certificate(j.Root, w)
		if errors.As(err, &wrong) {
			faults = append(faults, err.Error())
		}
		if leaf != nil {
			j.noteCertificate(leaf)
		}
	}
	return faults, nil
}
