// Package config reads the configuration file, /etc/shadowsync/shadowsync.toml.
//
// It promises that what it returns is complete and sane: defaults are filled in,
// unknown keys are errors that name the key, and every name can be used as a file
// name, unit name or account name without further checks.
package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// DefaultPath is where the configuration is unless --config says otherwise.
const DefaultPath = "/etc/shadowsync/shadowsync.toml"

// maxSize bounds the file: a hundred thousand account names fit.
const maxSize = 8 << 20

// Config is the whole configuration.
type Config struct {
	Node         Node          `toml:"node"`
	Guard        Guard         `toml:"guard"`
	Settle       Settle        `toml:"settle"`
	Protected    Protected     `toml:"protected"`
	Roles        Roles         `toml:"roles"`
	Sessions     Sessions      `toml:"sessions"`
	Pcli         Pcli          `toml:"pcli"`
	Users        Users         `toml:"users"`
	Password     Password      `toml:"password"`
	Audit        Audit         `toml:"audit"`
	Notify       Notify        `toml:"notify"`
	Applications []Application `toml:"application"`

	// Revision identifies the content of the file and of the lists of accounts.
	Revision string `toml:"-"`

	text []byte // a digest of the file
}

// Node names this machine as an appliance's prompt does: user@name.asset.
type Node struct {
	Name  string `toml:"name"`
	Asset string `toml:"asset"`
}

// Guard is the restart guard's configuration.
type Guard struct {
	// Limit is how long a pending change may hold back a unit: 1s to 24h, default 10m; 0s turns the guard off.
	Limit Duration `toml:"limit"`
}

// Settle is how long after its start an application is watched for writing old values back.
type Settle struct {
	Time Duration `toml:"time"` // 0s to 1h, default 60s
}

// Protected are the groups whose members' OS side a store may not change.
type Protected struct {
	Groups []string `toml:"groups"` // default sudo, wheel
}

// Password is what holds for new passwords: the rules wherever somebody sets one, root's
// own passwd apart, and the ageing where our tools do.
type Password struct {
	// ExpiryDays is how long a generated password holds at most: 1 to 99999 days, default 760.
	ExpiryDays int `toml:"expiry_days"`
	// MinLength and MinClasses are asked for beside what the machine's PAM asks for
	// anyway: 0 to 511 characters, 0 to 4 of the classes upper case, lower case, digits, others.
	MinLength  int `toml:"min_length"`
	MinClasses int `toml:"min_classes"`
	// Reject are texts that no password may contain, whatever their case: 8 KiB in
	// all, for a dictionary is pam_pwquality's.
	Reject []string `toml:"reject"`
	// History is how many different passwords, the present one first, may not come back: 0 to 6.
	History int `toml:"history"`
	// MinDays, MaxDays and WarnDays are the ageing that a password set by our tools
	// gets (shadow(5), fields 4 to 6); 0: what the account has.
	MinDays  int `toml:"min_days"`
	MaxDays  int `toml:"max_days"`
	WarnDays int `toml:"warn_days"`
}

// HasRules tells whether a new password may be refused.
func (p Password) HasRules() bool {
	return p.MinLength > 0 || p.MinClasses > 0 || len(p.Reject) > 0 || p.History > 0
}

// Aged gives a credential the ageing that a new password gets, and names the fields of it
// that the configuration has a word on.
func (p Password) Aged(c shadowsync.Credential) (shadowsync.Credential, shadowsync.Fields) {
	var fields shadowsync.Fields
	set := func(field shadowsync.Fields, to *shadowsync.Day, days int) {
		if days > 0 {
			*to = shadowsync.Day(days)
			fields |= field
		}
	}
	set(shadowsync.FieldMin, &c.Min, p.MinDays)
	set(shadowsync.FieldMax, &c.Max, p.MaxDays)
	set(shadowsync.FieldWarn, &c.Warn, p.WarnDays)
	return c, fields
}

// Roles say what operators may do, by the groups of group(5) that they are in.
type Roles struct {
	// Admin are the groups of administrators; default none, so that only root is one.
	Admin []string `toml:"admin"`
	// User are the groups of those who may use the operators' socket for their own
	// account; empty: every managed account may.
	User []string `toml:"user"`
}

// Sessions say which changes of a password end the sessions that the old one opened.
type Sessions struct {
	// EndOn are the ways a change is made or seen: pam, tool and pcli by default; watch
	// (past PAM: a hash alone) and store besides. Empty: no change ends any.
	EndOn []shadowsync.SeenBy `toml:"end_on"`
	// KeepOwn leaves the session open that the change was made in, unless that is pcli's;
	// default true.
	KeepOwn bool `toml:"keep_own"`
}

// ending is the same in the domain's terms.
func (s Sessions) ending() shadowsync.Ending {
	return shadowsync.Ending{On: s.EndOn, Own: !s.KeepOwn}
}

// Pcli is the operator shell's configuration.
type Pcli struct {
	// IdleTimeout is after how long without a key the shell ends: 1s to 24h, default 15m; 0s: never.
	IdleTimeout Duration `toml:"idle_timeout"`
}

// Audit is what holds for the audit trail.
type Audit struct {
	// KeepDays is how long a record is kept: 1 to 36500 days, default 0: for good.
	KeepDays int `toml:"keep_days"`
}

// Users bound the accounts that administrators create. Their groups are the first of each role's.
type Users struct {
	Shells []string `toml:"shells"` // that they may have, the first by default; default where make install puts pcli
	Home   string   `toml:"home"`   // the folder of their homes; default /home
}

// Notify is how the administrator hears of changes that wait, conflicts and alarms.
type Notify struct {
	// Command is the absolute path of a program that reads the facts as JSON on its
	// standard input; it has ten seconds. Empty: nobody is told.
	Command string `toml:"command"`
	// User is whom it runs as, default nobody.
	User string `toml:"user"`
}

// Application is a systemd unit, its store and the accounts it manages.
type Application struct {
	Name       string            `toml:"name"`
	Unit       string            `toml:"unit"`
	Accounts   []string          `toml:"accounts"`
	Conflict   shadowsync.Rule   `toml:"conflict"`
	Rollback   shadowsync.Rule   `toml:"rollback"`
	Start      StartPolicy       `toml:"start"`
	TrustStore bool              `toml:"trust_store"`
	Rules      map[string]string `toml:"rules"` // account -> conflict rule
	Store      map[string]any    `toml:"store"`

	// Listed are those of Accounts that operators created: see AddAccount.
	Listed []string `toml:"-"`
}

// StartPolicy says what happens to a start while a change cannot be merged.
type StartPolicy string

// The start policies: an appliance that stays down over a password is worse, so start is the default.
const (
	StartAnyway StartPolicy = "start"
	StartRefuse StartPolicy = "refuse"
)

// Duration is a time.Duration written as "10m" or "60s".
type Duration time.Duration

// UnmarshalText reads a duration as time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// ErrNotFound: there is no configuration file.
var ErrNotFound = errors.New("no configuration")

// Load reads the file at path beneath the root directory. The file must belong
// to root and be writable by nobody else: it says whose passwords go where.
func Load(root, path string) (*Config, error) {
	full := filepath.Join(root, path)
	data, err := read(full)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s: %w", path, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	c, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	c.text = sum[:]
	return c, c.takeLists(root, path)
}

func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, errors.New("not a regular file")
	case st.Uid != uint32(os.Geteuid()) && st.Uid != 0, st.Mode&0o022 != 0:
		return nil, errors.New("must belong to root and be writable by nobody else")
	case st.Size > maxSize:
		return nil, fmt.Errorf("larger than %d MiB", maxSize>>20)
	}
	return io.ReadAll(io.LimitReader(f, maxSize))
}

// shell is where make install puts the operators' shell. The linker sets it.
var shell = "/usr/bin/pcli"

// Parse reads a configuration from its text, without the accounts that operators created.
func Parse(data []byte) (*Config, error) {
	c, err := decode(data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	c.Revision = hex.EncodeToString(sum[:])
	return c, c.validate()
}

// decode reads the text, whose sense is still to be checked.
func decode(data []byte) (*Config, error) {
	c := Config{
		Guard:     Guard{Limit: Duration(10 * time.Minute)},
		Settle:    Settle{Time: Duration(time.Minute)},
		Protected: Protected{Groups: []string{"sudo", "wheel"}},
		Sessions:  Sessions{EndOn: []shadowsync.SeenBy{shadowsync.SeenByPAM, shadowsync.SeenByTool, shadowsync.SeenByPcli}, KeepOwn: true},
		Pcli:      Pcli{IdleTimeout: Duration(15 * time.Minute)},
		Users:     Users{Shells: []string{shell}, Home: "/home"},
		Password:  Password{ExpiryDays: 760},
		Notify:    Notify{User: "nobody"},
	}
	meta, err := toml.NewDecoder(bytes.NewReader(data)).Decode(&c)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("line %d: %s", pe.Position.Line, pe.Message)
		}
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown key %q", unknown[0])
	}
	for i := range c.Applications {
		c.Applications[i].fill()
	}
	return &c, nil
}

func (a *Application) fill() {
	if a.Name == "" {
		a.Name = strings.TrimSuffix(a.Unit, ".service")
	}
	if a.Start == "" {
		a.Start = StartAnyway
	}
	if a.Store == nil {
		a.Store = map[string]any{}
	}
	if _, ok := a.Store["driver"]; !ok {
		a.Store["driver"] = "sqlite"
	}
}

// Driver is the name of the application's store driver.
func (a Application) Driver() string {
	name, _ := a.Store["driver"].(string)
	return name
}

// Domain is an application of the configuration in the domain's terms.
func (c *Config) Domain(a Application) shadowsync.Application {
	policy := shadowsync.Policy{Conflict: a.Conflict, Rollback: a.Rollback}
	d := shadowsync.Application{
		Name: a.Name, Unit: a.Unit, Accounts: a.Accounts, Policy: policy, TrustStore: a.TrustStore, Ending: c.Sessions.ending(), Judged: c.Password.HasRules(), Revision: c.Revision,
	}
	if len(a.Rules) > 0 {
		d.Policies = make(map[string]shadowsync.Policy, len(a.Rules))
	}
	for account, rule := range a.Rules {
		p := policy
		p.Conflict = shadowsync.Rule(rule)
		d.Policies[account] = p
	}
	return d
}

// Application finds an application by its unit, with or without ".service".
func (c *Config) Application(unit string) (Application, bool) {
	for _, a := range c.Applications {
		if a.Unit == unit || a.Unit == unit+".service" {
			return a, true
		}
	}
	return Application{}, false
}

// Managing finds the application that manages an account.
func (c *Config) Managing(account string) (Application, bool) {
	for _, a := range c.Applications {
		for _, name := range a.Accounts {
			if name == account {
				return a, true
			}
		}
	}
	return Application{}, false
}
