package config

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// The names that reach file names, unit names and prompts. Account names are
// what useradd(8) takes, and a little wider (appliances have "t128", "user.1");
// unit names are systemd.unit(5)'s characters.
var (
	accountName = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,255}\$?$`)
	unitName    = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]{1,247}\.service$`)
	plainName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)
)

func (c *Config) validate() error {
	if limit := time.Duration(c.Guard.Limit); limit != 0 && (limit < time.Second || limit > 24*time.Hour) {
		return fmt.Errorf("guard.limit = %q: must be 0s or from 1s to 24h", limit)
	}
	if settle := time.Duration(c.Settle.Time); settle < 0 || settle > time.Hour {
		return fmt.Errorf("settle.time = %q: must be from 0s to 1h", settle)
	}
	for _, name := range []string{c.Node.Name, c.Node.Asset} {
		if name != "" && !plainName.MatchString(name) {
			return fmt.Errorf("node: %q is not a name of letters, digits, dots, dashes and underscores", name)
		}
	}
	managed := map[string]string{}
	names, units := map[string]bool{}, map[string]bool{}
	for _, a := range c.Applications {
		if err := a.validate(managed); err != nil {
			return err
		}
		if names[a.Name] || units[a.Unit] {
			return fmt.Errorf("application %q: name or unit used twice", a.Name)
		}
		names[a.Name], units[a.Unit] = true, true
	}
	return nil
}

func (a Application) validate(managed map[string]string) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("application %q: "+format, append([]any{a.Name}, args...)...)
	}
	switch {
	case !plainName.MatchString(a.Name):
		return fault("the name must be of letters, digits, dots, dashes and underscores")
	case !unitName.MatchString(a.Unit):
		return fault("unit = %q is not the name of a service unit", a.Unit)
	case len(a.Accounts) == 0:
		return fault("accounts names nobody")
	case a.Start != StartAnyway && a.Start != StartRefuse:
		return fault("start = %q: must be start or refuse", a.Start)
	case !conflictRule(a.Conflict):
		return fault("conflict = %q: must be os, store, newest or hold", a.Conflict)
	case a.Rollback != "" && a.Rollback != shadowsync.RuleNewest && a.Rollback != shadowsync.RuleOS && a.Rollback != shadowsync.RuleHold:
		return fault("rollback = %q: must be newest, os or hold", a.Rollback)
	case a.Driver() == "":
		return fault("store.driver must be a text")
	}
	for _, account := range a.Accounts {
		if !accountName.MatchString(account) {
			return fault("%q is not an account name", account)
		}
		if other, twice := managed[account]; twice {
			return fault("account %q is managed by %q already", account, other)
		}
		managed[account] = a.Name
	}
	for account, rule := range a.Rules {
		if !conflictRule(shadowsync.Rule(rule)) || rule == "" {
			return fault("rules.%s = %q: must be os, store, newest or hold", account, rule)
		}
		if !slices.Contains(a.Accounts, account) {
			return fault("rules.%s: no such account among accounts", account)
		}
	}
	return nil
}

func conflictRule(r shadowsync.Rule) bool {
	switch r {
	case shadowsync.RuleDefault, shadowsync.RuleOS, shadowsync.RuleStore, shadowsync.RuleNewest, shadowsync.RuleHold:
		return true
	}
	return false
}
