package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/systemd"
)

// ErrIncomplete: there is no configuration file, and the flags do not describe one.
var ErrIncomplete = errors.New("there is no configuration yet: name the unit and at least one account")

// NoStoreError: an application that is not wired yet has no credential store in its configuration.
// The default, the embedded store, would take every password, but the application would read none
// of them.
type NoStoreError struct {
	Unit     string
	Accounts []string
	File     string // the incomplete configuration file; empty: there is none yet
}

func (e *NoStoreError) Error() string {
	where := "--store is missing"
	if e.File != "" {
		where = e.File + " has no store.driver for " + e.Unit
	}
	return "cannot set up: " + where + `: where does the application keep its passwords? "json" is a file of its own, "sqlite" a database of ours that it must be made to read`
}

// Is makes NoStoreError match ErrIncomplete.
func (e *NoStoreError) Is(target error) bool { return target == ErrIncomplete }

// ContradictionError: a flag contradicts the existing file. Setup keeps the file, because it
// belongs to the administrator.
type ContradictionError struct {
	Path string
	What []string
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("cannot go on: %s says something else: %s", e.Path, strings.Join(e.What, "; "))
}

// OtherFileError: the configuration is not the one that daemon and hooks read, so that the wiring would
// not do what it says.
type OtherFileError struct{ Path, Read string }

func (e *OtherFileError) Error() string {
	return fmt.Sprintf("cannot set up with %s: the daemon and the hooks read only %s", e.Path, e.Read)
}

// LostError: the configuration file of a wired machine is gone. A copy of its last good content
// exists.
type LostError struct{ Path, Kept string }

func (e *LostError) Error() string {
	return fmt.Sprintf("cannot go on: there is no %s any more; its last good content is in %s", e.Path, e.Kept)
}

func (j *job) exists(path string) bool {
	_, err := inroot.Stat(j.Root, path)
	return err == nil
}

// configure uses the existing configuration, or makes one from the flags.
func (j *job) configure() error {
	if j.Unit != "" && !strings.HasSuffix(j.Unit, ".service") {
		j.Unit += ".service"
	}
	if filepath.Clean(j.Config) != config.DefaultPath {
		return &OtherFileError{Path: inroot.Shown(j.Root, j.Config), Read: inroot.Shown(j.Root, config.DefaultPath)}
	}
	c, err := engine.CheckConfig(j.Root, j.Config)
	if err == nil {
		j.config = c
		if what := j.contradictions(); len(what) > 0 {
			return &ContradictionError{Path: j.Config, What: what}
		}
		if err := j.unnamedStore(); err != nil {
			return err
		}
		return j.choosePage()
	}
	if !errors.Is(err, config.ErrNotFound) {
		return err
	}
	if j.Unit == "" || len(j.Accounts) == 0 {
		if kept := config.KeptPath(engine.StateDir, j.Config); j.exists(kept) {
			return &LostError{Path: inroot.Shown(j.Root, j.Config), Kept: inroot.Shown(j.Root, kept)}
		}
		return ErrIncomplete
	}
	if j.Store["driver"] == nil {
		return &NoStoreError{Unit: j.Unit, Accounts: j.Accounts}
	}
	if j.text = j.newConfiguration(); j.Page == PageOn {
		j.text = append(j.text, webTable...)
	}
	if j.config, err = config.Parse(j.text); err != nil {
		return fmt.Errorf("cannot make a configuration of this: %w", err)
	}
	return j.checkStores()
}

// unnamedStore refuses a file that names no store, except for an application that is already wired
// with the embedded store.
func (j *job) unnamedStore() error {
	for _, a := range j.config.Applications {
		if a.Unnamed && !j.exists(systemd.DropInPath("/etc", a.Unit)) {
			return &NoStoreError{Unit: a.Unit, Accounts: a.Accounts, File: inroot.Shown(j.Root, j.Config)}
		}
	}
	return nil
}

func (j *job) checkStores() error {
	for _, a := range j.config.Applications {
		if _, err := store.Parse(a.Store); err != nil {
			return fmt.Errorf("cannot use the credential store of %s: %w", a.Name, err)
		}
	}
	return nil
}

func (j *job) contradictions() []string {
	if j.Unit == "" && len(j.Accounts) == 0 && len(j.Store) == 0 {
		return nil
	}
	a, ok := j.meant()
	if !ok {
		return []string{fmt.Sprintf("it has no application with the unit %q", j.Unit)}
	}
	var what []string
	given, there := slices.Sorted(slices.Values(j.Accounts)), slices.Sorted(slices.Values(a.Accounts))
	if len(given) > 0 && !slices.Equal(slices.Compact(given), there) {
		what = append(what, fmt.Sprintf("the accounts of %s are %s", a.Unit, strings.Join(there, ", ")))
	}
	for key, value := range j.Store {
		if fmt.Sprint(a.Store[key]) != fmt.Sprint(value) {
			what = append(what, fmt.Sprintf("store.%s of %s is %v", key, a.Unit, a.Store[key]))
		}
	}
	return slices.Sorted(slices.Values(what))
}

// meant returns the application that the flags refer to.
func (j *job) meant() (config.Application, bool) {
	if all := j.config.Firsts(); j.Unit == "" && len(all) == 1 {
		return all[0], true
	}
	return j.config.Application(j.Unit)
}

const configurationHead = `# Written by "shadowsync setup" for the first time; it is yours now, and setup keeps
# what you change. After a change: systemctl restart shadowsync.service

`

// newConfiguration is the smallest file that contains what the flags say.
func (j *job) newConfiguration() []byte {
	type node struct {
		Name string `toml:"name,omitempty"`
	}
	type application struct {
		Name     string         `toml:"name,omitempty"`
		Unit     string         `toml:"unit"`
		Accounts []string       `toml:"accounts"`
		Store    map[string]any `toml:"store"`
	}
	accounts := slices.Clone(j.Accounts)
	slices.Sort(accounts)
	a := application{Unit: j.Unit, Accounts: slices.Compact(accounts), Store: j.Store}
	if stem := strings.TrimSuffix(j.Unit, ".service"); !config.PlainName(stem) {
		a.Name = "a" + strings.Map(plainRune, stem)
		a.Name = a.Name[:min(len(a.Name), config.PlainNameMost)]
	}
	text := bytes.NewBufferString(configurationHead)
	encoder := toml.NewEncoder(text)
	encoder.Indent = ""
	// These types, text and lists and tables of it, always encode.
	_ = encoder.Encode(struct {
		Node        node          `toml:"node"`
		Application []application `toml:"application"`
	}{node{hostName(j.Root)}, []application{a}})
	return text.Bytes()
}

func plainRune(r rune) rune {
	if r < 0x80 && config.PlainName("a"+string(r)) {
		return r
	}
	return '-'
}

// hostName is the system's host name, if a prompt can show it.
func hostName(root string) string {
	text, err := inroot.ReadFile(root, "etc/hostname")
	name, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	if err != nil || !config.PlainName(name) {
		return ""
	}
	return name
}

func (j *job) configurationDue(context.Context) (bool, error) { return j.text != nil, nil }

func (j *job) writeConfiguration(ctx context.Context) error {
	if j.former == nil {
		return j.ledger.write(ctx, j.Config, j.text, 0o600)
	}
	return j.rewriteConfiguration(ctx, j.text)
}

// rewriteConfiguration changes the text of an existing file. If setup wrote that, it still has it on record.
func (j *job) rewriteConfiguration(ctx context.Context, text []byte) error {
	_, known, err := j.ledger.find(ctx, j.Config)
	if err != nil {
		return err
	}
	changed, err := j.ledger.changed(ctx, j.Config)
	if err != nil {
		return err
	}
	if known && !changed {
		if err := j.ledger.put(ctx, state.SetupFile{Path: j.Config, Wrote: digest(text)}); err != nil {
			return err
		}
	}
	return inroot.Rewrite(j.Root, j.Config, text)
}

// choosePage adds [web] to an existing configuration, or takes away what it added. It changes nothing that
// the administrator wrote.
func (j *job) choosePage() error {
	on := j.config.Web.On()
	if j.Page == PageAsConfigured || j.Page == PageOn == on {
		return nil
	}
	text, err := inroot.ReadFile(j.Root, j.Config)
	if err != nil {
		return err
	}
	if j.former = text; j.Page == PageOn {
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(bytes.Clone(text), '\n')
		}
		j.text, j.config.Web.Listen = append(bytes.Clone(text), webTable...), config.DefaultListen
		return nil
	}
	plain, ours := bytes.CutSuffix(text, []byte(webTable))
	if !ours {
		return &ContradictionError{Path: j.Config, What: []string{"it has [web]: delete that table"}}
	}
	j.text, j.config.Web = plain, config.Web{}
	return nil
}

// unconfigure takes back what this run has written.
func (j *job) unconfigure(ctx context.Context) error {
	if j.text == nil || j.DryRun {
		return nil
	}
	i := slices.IndexFunc(j.result.Steps, func(o Outcome) bool { return o.Step == StepConfiguration && o.State == Done })
	how := "it is removed again"
	var err error
	switch {
	case j.former == nil:
		_, err = j.ledger.takeBack(ctx, j.Config)
	case i >= 0:
		how, err = "it is as it was", j.rewriteConfiguration(ctx, j.former)
	}
	if err == nil && i >= 0 {
		j.result.Steps[i].State, j.result.Steps[i].Reason = TakenBack, how+", because what follows failed"
	}
	return err
}
