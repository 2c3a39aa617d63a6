package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
)

// ErrIncomplete: there is no configuration file, and the flags do not make one.
var ErrIncomplete = errors.New("there is no configuration yet: name the unit and at least one account")

// ContradictionError is a flag that says something else than the file in place.
// The file is kept; it is the administrator's.
type ContradictionError struct {
	Path string
	What []string
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("cannot go on: %s says something else: %s", e.Path, strings.Join(e.What, "; "))
}

// configure takes the configuration in place, or makes the one that the flags ask for.
func (j *job) configure() error {
	if j.Unit != "" && !strings.HasSuffix(j.Unit, ".service") {
		j.Unit += ".service"
	}
	c, err := config.Load(j.Root, j.Config)
	if err == nil {
		j.config = c
		if what := j.contradictions(); len(what) > 0 {
			return &ContradictionError{Path: j.Config, What: what}
		}
		return j.checkStores()
	}
	if !errors.Is(err, config.ErrNotFound) {
		return err
	}
	if j.Unit == "" || len(j.Accounts) == 0 {
		return ErrIncomplete
	}
	j.text = j.newConfiguration()
	if j.config, err = config.Parse(j.text); err != nil {
		return fmt.Errorf("cannot make a configuration of this: %w", err)
	}
	return j.checkStores()
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

// meant is the application that the flags are about.
func (j *job) meant() (config.Application, bool) {
	if j.Unit == "" && len(j.config.Applications) == 1 {
		return j.config.Applications[0], true
	}
	return j.config.Application(j.Unit)
}

const configurationHead = `# Written by "shadowsync setup" for the first time; it is yours now, and setup keeps
# what you change. After a change: systemctl restart shadowsync.service

`

// newConfiguration is the smallest file that says what the flags say.
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
	a := application{Unit: j.Unit, Accounts: slices.Compact(accounts), Store: map[string]any{"driver": "sqlite"}}
	for key, value := range j.Store {
		a.Store[key] = value
	}
	if stem := strings.TrimSuffix(j.Unit, ".service"); !config.PlainName(stem) {
		a.Name = "a" + strings.Map(plainRune, stem)
	}
	text := bytes.NewBufferString(configurationHead)
	encoder := toml.NewEncoder(text)
	encoder.Indent = ""
	// Text, lists of text and tables of both always encode.
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

// hostName is the system's name, if it is one that a prompt can show.
func hostName(root string) string {
	text, err := os.ReadFile(filepath.Join(root, "etc/hostname"))
	name, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	if err != nil || !config.PlainName(name) {
		return ""
	}
	return name
}

func (j *job) configurationDue(context.Context) (bool, error) { return j.text != nil, nil }

func (j *job) writeConfiguration(ctx context.Context) error {
	return j.ledger.write(ctx, j.Config, j.text, 0o600)
}

// unconfigure takes a configuration back that this run has written.
func (j *job) unconfigure(ctx context.Context) error {
	if j.text == nil || j.DryRun {
		return nil
	}
	_, err := j.ledger.takeBack(ctx, j.Config)
	return err
}
