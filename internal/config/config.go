// Package config reads the configuration file, /etc/shadowsync/shadowsync.toml.
//
// It promises that what it returns is complete and valid: defaults are filled in, unknown keys are
// errors that name the key, and every name can be used as a file name, unit name or account name
// without further checks.
//
//	config.go    Config and its tables
//	read.go      reading the file
//	cut.go       long lists of accounts, read fast
//	keys.go      each key: type, range, default, meaning
//	validate.go  names, paths, and dependencies between keys
//	misfit.go    unknown keys, values of a wrong type
//	fault.go     Fault: what is wrong, and in which line
//	web.go       the page for browsers
//	holders.go   an application with several stores
//	accounts.go  the lists of accounts that operators created
//	kept.go      the last good configuration
package config

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/password/policy"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// DefaultPath is the path of the configuration unless --config gives another.
const DefaultPath = "/etc/shadowsync/shadowsync.toml"

// Config is the whole configuration.
type Config struct {
	Node         Node          `toml:"node"`
	Guard        Guard         `toml:"guard"`
	Settle       Settle        `toml:"settle"`
	Protected    Protected     `toml:"protected"`
	Roles        Roles         `toml:"roles"`
	Sessions     Sessions      `toml:"sessions"`
	Pcli         Pcli          `toml:"pcli"`
	Web          Web           `toml:"web"`
	Users        Users         `toml:"users"`
	Password     Password      `toml:"password"`
	SecondFactor SecondFactor  `toml:"second_factor"`
	Mail         Mail          `toml:"mail"`
	Audit        Audit         `toml:"audit"`
	Notify       Notify        `toml:"notify"`
	Applications []Application `toml:"application"`

	// Revision identifies the content of the file and of the lists of accounts.
	Revision string `toml:"-"`
	// If this is the last good configuration (see Kept), Instead is the reason why the file cannot
	// be used, and KeptAt is when the copy was made. Nil: this is the file's content.
	Instead error     `toml:"-"`
	KeptAt  time.Time `toml:"-"`

	path  string
	text  []byte            // of the file
	lists map[string][]byte // of accounts, by application
}

// Node names this machine for the prompt, as in appliances: user@name.asset.
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

// Protected says which accounts neither a store nor an operator may change.
type Protected struct {
	// Groups are protected in addition to those that amount to root (package protect).
	Groups []string `toml:"groups"`
}

// Password has the settings for new passwords. The rules apply however a password is set, except by
// root's own passwd; the ageing applies if shadowsync or pcli sets it.
type Password struct {
	// ExpiryDays is how long a generated password is valid at most: 1 to 99999 days, default 760.
	ExpiryDays int `toml:"expiry_days"`
	// MinLength and MinClasses apply in addition to the machine's PAM rules: 0 to 511 characters, 0
	// to 4 of the classes upper case, lower case, digits, others.
	MinLength  int `toml:"min_length"`
	MinClasses int `toml:"min_classes"`
	// Reject are texts that no password may contain, in upper or lower case: 8 KiB in all. A
	// dictionary is a matter for pam_pwquality.
	Reject []string `toml:"reject"`
	// History is how many different passwords, including the present one, may not be reused: 0 to
	// 6.
	History int `toml:"history"`
	// MinDays, MaxDays and WarnDays are the ageing of a password set by shadowsync or pcli
	// (shadow(5), fields 4 to 6); 0: the account keeps what it has.
	MinDays  int `toml:"min_days"`
	MaxDays  int `toml:"max_days"`
	WarnDays int `toml:"warn_days"`
}

// Rules returns the rules of this configuration for new passwords.
func (p Password) Rules() policy.Rules {
	return policy.Rules{MinLength: p.MinLength, MinClasses: p.MinClasses, Reject: p.Reject, History: p.History}
}

// HasRules reports whether there are such rules.
func (p Password) HasRules() bool {
	return p.MinLength > 0 || p.MinClasses > 0 || len(p.Reject) > 0 || p.History > 0
}

// Aged returns a credential with the ageing of a new password, and which fields the
// configuration sets.
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

// SecondFactor has the settings for second factors.
type SecondFactor struct {
	// Services are the PAM services that ask for one at a login; default none.
	Services []string `toml:"services"`
	// Issuer is the name under which authenticator apps list the account; default: see Config.Issuer.
	Issuer string `toml:"issuer"`
	// KeyCredential is the name of the systemd credential with the key of the secrets; empty: a file.
	KeyCredential string `toml:"key_credential"`
	// Required says whose accounts should have one; default nobody.
	Required Required `toml:"required"`
	// Days is how long they have to enrol one, from when it was required first.
	Days int `toml:"days"`
	// LDAP lets accounts of a directory use pcli; default false.
	LDAP bool `toml:"ldap"`
}

// Mail says how mail about second factors is sent; without a server, none is.
type Mail struct {
	Server string `toml:"server"` // host:port. Port 465: TLS from the start, else STARTTLS
	From   string `toml:"from"`
	CA     string `toml:"ca"` // a file of PEM certificates; default: those that the system trusts
	User   string `toml:"user"`
	// PasswordFile is read by root alone.
	PasswordFile string `toml:"password_file"`
	// Credential is the name under which systemd hands over the password instead.
	Credential string `toml:"credential"`
}

// Required says whose accounts should have a second factor.
type Required string

// Who should have one.
const (
	RequiredNobody    Required = "nobody"
	RequiredAdmins    Required = "admins"
	RequiredEverybody Required = "everybody"
)

// Issuer is the name under which authenticator apps list accounts of this machine.
func (c *Config) Issuer() string {
	return cmp.Or(c.SecondFactor.Issuer, c.Node.Asset, c.Node.Name, "shadowsync")
}

// Roles say what operators may do, by the groups of group(5) that they are in.
type Roles struct {
	// Admin are the groups of administrators; default none, so that only root is one. A managed
	// account in them administers the application that manages it; any other account administers
	// all applications.
	Admin []string `toml:"admin"`
	// User are the groups whose members may use the operators' socket for their own account; empty:
	// every managed account may.
	User []string `toml:"user"`
}

// Sessions say which password changes end the sessions that the old password opened.
type Sessions struct {
	// EndOn are the ways in which a change is made or seen: pam, tool and pcli by default; also
	// possible are watch (without PAM: only a hash) and store. Empty: no change ends sessions.
	EndOn []shadowsync.SeenBy `toml:"end_on"`
	// KeepOwn keeps the session in which the change was made, unless it is a session of pcli;
	// default true.
	KeepOwn bool `toml:"keep_own"`
}

// ending returns the same in the domain's terms.
func (s Sessions) ending() shadowsync.Ending {
	return shadowsync.Ending{On: s.EndOn, Own: !s.KeepOwn}
}

// Pcli is the operator shell's configuration.
type Pcli struct {
	// IdleTimeout is the time without a key press after which the shell ends: 1s to 24h, default
	// 15m; 0s: never.
	IdleTimeout Duration `toml:"idle_timeout"`
	// RemovedShell is the absolute path of the login shell that accounts get when pcli is removed, if
	// none is on record that they had before; default /bin/sh.
	RemovedShell string `toml:"removed_shell"`
}

// Audit has the settings of the audit trail.
type Audit struct {
	// KeepDays is how long a record is kept: 1 to 36500 days; 0, the default: for ever.
	KeepDays int `toml:"keep_days"`
}

// Users limit the accounts that administrators create. Such an account joins the first group of its
// role.
type Users struct {
	Shells []string `toml:"shells"` // allowed shells, the first is the default; default: where make install puts pcli
	Home   string   `toml:"home"`   // the folder of their homes; default /home
}

// Notify says how the administrator learns of pending changes, conflicts and alarms.
type Notify struct {
	// Command is the absolute path of a program that reads the facts as JSON on its standard input;
	// it has ten seconds. Empty: no notification.
	Command string `toml:"command"`
	// User is the account that the program runs as, default nobody.
	User string `toml:"user"`
}

// Application is a systemd unit, its store and the accounts it manages. With several stores, each has
// an entry of its own: see holders.go.
type Application struct {
	// Name is the application's name for its first store, and "APPLICATION.STORE" for the others.
	Name     string   `toml:"name"`
	Unit     string   `toml:"unit"`
	Accounts []string `toml:"accounts"`
	// Admins are groups whose members administer this application, whichever application manages
	// them.
	Admins   []string        `toml:"admins"`
	Conflict shadowsync.Rule `toml:"conflict"`
	Rollback shadowsync.Rule `toml:"rollback"`
	// Changed says what follows if a password was changed in the application itself.
	Changed    shadowsync.ChangedRule `toml:"changed"`
	Start      StartPolicy            `toml:"start"`
	TrustStore bool                   `toml:"trust_store"`
	// WeakFormats are formats of crypt(5) that the OS accepts from the store although they are
	// weak.
	WeakFormats []string          `toml:"weak_formats"`
	Rules       map[string]string `toml:"rules"` // account -> conflict rule
	Stores      stores            `toml:"store"` // as the decoder reads them; nil afterwards

	// Store is the table of the entry's store, and StoreName the store's own name, which the first
	// one may lack.
	Store     map[string]any `toml:"-"`
	StoreName string         `toml:"-"`
	// Listed are those of Accounts that operators created: see AddAccount.
	Listed []string `toml:"-"`
	// Unnamed: the file names no driver, so the embedded store is used.
	Unnamed bool `toml:"-"`
	// Kept are those of Accounts that the configuration no longer has: see Keeping.
	Kept []string `toml:"-"`

	of         string // the name of the application
	shares     string // the store_name of the store whose values this one has, too
	table, nth int    // which [[application]] of the file this is, and which store of it; from 0
}

// StartPolicy says what happens if the application starts while a change cannot be merged.
type StartPolicy string

// The start policies. The default is start: an appliance that stays down over a password is worse.
const (
	StartAnyway StartPolicy = "start"
	StartRefuse StartPolicy = "refuse"
)

// AdminGroups returns the groups of administrators of any application.
func (c *Config) AdminGroups() []string {
	groups := slices.Clone(c.Roles.Admin)
	for _, a := range c.Applications {
		groups = append(groups, a.Admins...)
	}
	return groups
}

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

// Path returns where the configuration was read, or "" if it was not read from a file.
func (c *Config) Path() string { return c.path }

// Driver returns the name of the application's store driver.
func (a Application) Driver() string {
	name, _ := a.Store["driver"].(string)
	return name
}

// StoreFile returns the path of the store's own file; "" if the store is not a file.
func (a Application) StoreFile() string {
	path, _ := a.Store["path"].(string)
	return path
}

// NameStore adds the store's own file to the reason of a fault of the whole store. The reason
// itself has only the cause, because it is printed inside passwd, where the file is of no use.
func (a Application) NameStore(reason string) string {
	reason = strings.TrimPrefix(reason, "store: ")
	path := a.StoreFile()
	switch {
	case path == "" || strings.Contains(reason, path):
		return reason
	case strings.HasPrefix(reason, "line "):
		return "cannot parse " + path + ", " + reason
	}
	return path + ": " + reason
}

// Domain returns an application of the configuration in the domain's terms.
func (c *Config) Domain(a Application) shadowsync.Application {
	policy := shadowsync.Policy{Conflict: a.Conflict, Rollback: a.Rollback}
	d := shadowsync.Application{
		Name: a.Name, Unit: a.Unit, Accounts: a.Accounts, Policy: policy, Changed: a.Changed, TrustStore: a.TrustStore, Ending: c.Sessions.ending(), Judged: c.Password.HasRules(), Revision: c.Revision,
		Settle: time.Duration(c.Settle.Time),
	}
	for _, h := range c.Holders(a) {
		d.Stores = append(d.Stores, h.Name)
	}
	if lender, lent := c.Lender(a); lent {
		d.Lender = lender.Name
	}
	if !a.First() { // the first holder deals with what happens once per change
		d.Store, d.Judged, d.Ending = a.StoreName, false, shadowsync.Ending{On: []shadowsync.SeenBy{}}
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

// Named finds an application by its name or its unit, as people write it. With several stores, the
// unit stands for the first one.
func (c *Config) Named(name string) (Application, bool) {
	for _, a := range c.Applications {
		if a.Name == name {
			return a, true
		}
	}
	return c.Application(name)
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
