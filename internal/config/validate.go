package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// The names that reach file names, unit names and prompts, by the characters that
// they may have. They are checked by hand: a regular expression compiled at every
// start would cost more than all else that a hook does.

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// madeOf tells whether name has 1 to most characters out of set.
func madeOf(name, set string, most int) bool {
	return name != "" && len(name) <= most && strings.Trim(name, set) == ""
}

// accountName allows what useradd(8) takes, and a little more ("user.1", "Admin").
func accountName(name string) bool {
	name = strings.TrimSuffix(name, "$")
	return madeOf(name, alphanumeric+"_.-", 256) && name[0] != '-' && name != "." && name != ".."
}

// unitName allows the names of service units in systemd.unit(5).
func unitName(name string) bool {
	stem, ok := strings.CutSuffix(name, ".service")
	return ok && madeOf(stem, alphanumeric+`:_.\@-`, 247)
}

// PlainName allows what stays one word in a prompt, a unit's name and a path.
func PlainName(name string) bool {
	return madeOf(name, alphanumeric+"_.-", 64) && strings.ContainsRune(alphanumeric, rune(name[0]))
}

func (c *Config) validate() error {
	if limit := time.Duration(c.Guard.Limit); limit != 0 && (limit < time.Second || limit > 24*time.Hour) {
		return fmt.Errorf("guard.limit = %q: must be 0s or from 1s to 24h", limit)
	}
	if settle := time.Duration(c.Settle.Time); settle < 0 || settle > time.Hour {
		return fmt.Errorf("settle.time = %q: must be from 0s to 1h", settle)
	}
	if err := c.Password.validate(); err != nil {
		return err
	}
	if idle := time.Duration(c.Pcli.IdleTimeout); idle != 0 && (idle < time.Second || idle > 24*time.Hour) {
		return fmt.Errorf("pcli.idle_timeout = %q: must be 0s or from 1s to 24h", idle)
	}
	if err := c.Sessions.validate(); err != nil {
		return err
	}
	for _, path := range append([]string{c.Users.Home}, c.Users.Shells...) {
		if !strings.HasPrefix(path, "/") || !madeOf(path, alphanumeric+"/_.-", 256) {
			return fmt.Errorf("users: %q is not an absolute path of plain characters", path)
		}
	}
	for _, name := range slices.Concat(c.Roles.Admin, c.Roles.User) {
		if !accountName(name) {
			return fmt.Errorf("roles: %q is not the name of a group", name)
		}
	}
	if n := c.Notify; n.Command != "" && (!filepath.IsAbs(n.Command) || !accountName(n.User)) {
		return fmt.Errorf("notify: command = %q must be an absolute path, and user = %q an account", n.Command, n.User)
	}
	if days := c.Audit.KeepDays; days < 0 || days > 36500 {
		return fmt.Errorf("audit.keep_days = %d: must be from 1 to 36500, or 0 to keep everything", days)
	}
	for _, name := range []string{c.Node.Name, c.Node.Asset} {
		if name != "" && !PlainName(name) {
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

// maxReject bounds what is handed to a worker with each question, in one packet.
const maxReject = 8 << 10

func (s Sessions) validate() error {
	for _, seen := range s.EndOn {
		switch seen {
		case shadowsync.SeenByPAM, shadowsync.SeenByTool, shadowsync.SeenByPcli, shadowsync.SeenByWatch, shadowsync.SeenByStore:
		default:
			return fmt.Errorf("sessions.end_on: %q is none of pam, tool, pcli, watch, store", seen)
		}
	}
	if slices.Contains(s.EndOn, shadowsync.SeenByWatch) && !slices.Contains(s.EndOn, shadowsync.SeenByPAM) {
		return errors.New("sessions.end_on: watch without pam: the watch may see what passwd does before PAM tells of it")
	}
	return nil
}

func (p Password) validate() error {
	for _, limit := range []struct {
		key             string
		value           int
		lowest, highest int
	}{
		{"expiry_days", p.ExpiryDays, 1, 99999},
		{"min_length", p.MinLength, 0, 511},
		{"min_classes", p.MinClasses, 0, 4},
		{"history", p.History, 0, shadowsync.RecordEntries + 1},
		{"min_days", p.MinDays, 0, 99999},
		{"max_days", p.MaxDays, 0, 99999},
		{"warn_days", p.WarnDays, 0, 99999},
	} {
		if limit.value < limit.lowest || limit.value > limit.highest {
			return fmt.Errorf("password.%s = %d: must be from %d to %d", limit.key, limit.value, limit.lowest, limit.highest)
		}
	}
	if p.MaxDays > 0 && p.MinDays > p.MaxDays {
		return fmt.Errorf("password.min_days = %d: longer than max_days = %d, so that nobody could change a password", p.MinDays, p.MaxDays)
	}
	if slices.Contains(p.Reject, "") {
		return fmt.Errorf("password.reject: an empty text is in every password")
	}
	if n := len(strings.Join(p.Reject, "")); n > maxReject {
		return fmt.Errorf("password.reject: %d bytes in all, %d are the most", n, maxReject)
	}
	return nil
}

func (a Application) validate(managed map[string]string) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("application %q: "+format, append([]any{a.Name}, args...)...)
	}
	switch {
	case !PlainName(a.Name):
		return fault("the name must be of letters, digits, dots, dashes and underscores")
	case !unitName(a.Unit):
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
		if !accountName(account) {
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
