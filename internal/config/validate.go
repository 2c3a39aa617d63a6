package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The names that get into file names, unit names and prompts are limited to certain characters.
// They are checked by hand: compiling a regular expression at every start would cost more than
// everything else that a hook does.

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// The characters of paths, and of names, of which one configuration may have a hundred thousand.
var (
	nameSet = setOf(alphanumeric + "_.-")
	pathSet = setOf(alphanumeric + "/_.-")
)

func setOf(characters string) (set [256]bool) {
	for i := range len(characters) {
		set[characters[i]] = true
	}
	return set
}

// madeOf reports whether name has 1 to most characters, all of them in the set.
func madeOf(name string, set *[256]bool, most int) bool {
	for i := range len(name) {
		if !set[name[i]] {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// accountName allows what useradd(8) accepts, and a little more ("user.1", "Admin").
func accountName(name string) bool {
	name = strings.TrimSuffix(name, "$")
	return madeOf(name, &nameSet, 256) && name[0] != '-' && name != "." && name != ".."
}

// PlainNameMost is the maximum length of a plain name.
const PlainNameMost = 64

// PlainName allows names that stay one word in a prompt, a unit's name and a path.
func PlainName(name string) bool {
	return madeOf(name, &nameSet, PlainNameMost) && strings.ContainsRune(alphanumeric, rune(name[0]))
}

func (c *Config) validate() error {
	if err := check(c, ""); err != nil {
		return err
	}
	for _, err := range []error{c.Sessions.validate(), c.Password.validate(), c.Mail.validate(), c.SecondFactor.validate(), c.Web.validate()} {
		if err != nil {
			return err
		}
	}
	accounts := 0
	for _, a := range c.Applications {
		accounts += len(a.Accounts)
	}
	managed := make(map[string]struct{}, accounts)
	names, units := map[string]bool{}, map[string]bool{}
	for i := range c.Applications {
		a := &c.Applications[i]
		err := c.validateStores(i)
		if err == nil {
			err = a.validate()
		}
		if err != nil {
			return err
		}
		if names[a.Name] || a.First() && units[a.Unit] {
			return a.fault("unit", "", "name or unit used twice")
		}
		names[a.Name], units[a.Unit] = true, true
		if !a.First() {
			continue
		}
		for _, account := range a.Accounts {
			before := len(managed)
			managed[account] = struct{}{} // one access for each of perhaps a hundred thousand
			if len(managed) == before {
				first, _ := c.Managing(account)
				return a.fault("accounts", account, "account %q is managed by %q already", account, first.Name)
			}
		}
	}
	return nil
}

func (s Sessions) validate() error {
	if slices.Contains(s.EndOn, shadowsync.SeenByWatch) && !slices.Contains(s.EndOn, shadowsync.SeenByPAM) {
		return at("sessions.end_on", "sessions.end_on: watch needs pam too: what passwd does may be seen in the file before PAM reports it")
	}
	return nil
}

func (m Mail) validate() error {
	switch {
	case m.Server != "" && m.From == "":
		return at("mail.server", "mail.server needs mail.from, the sender's address")
	case m.Server == "" && m != Mail{}:
		return at("mail", "[mail] needs server, as host:port")
	case m.PasswordFile != "" && m.Credential != "":
		return at("mail.credential", "mail.credential and mail.password_file: the password comes from one of them")
	case (m.User == "") != (m.PasswordFile == "" && m.Credential == ""):
		return at("mail.user", "mail.user needs mail.password_file or mail.credential, and they need it")
	}
	return nil
}

func (p Password) validate() error {
	if p.MaxDays > 0 && p.MinDays > p.MaxDays {
		return at("password.min_days", "password.min_days = %d: longer than max_days = %d, so that nobody could change a password", p.MinDays, p.MaxDays)
	}
	return nil
}

// pamService allows no dot: copies that editors and packages leave have one, and are no services.
func pamService(name string) bool { return PlainName(name) && !strings.Contains(name, ".") }

// unasking says which PAM services never ask for a second factor, and why: with it they would stop
// working for somebody, or ask for it in a place where nobody can answer.
var unasking = []struct {
	services []string
	why      string
}{
	{[]string{"cron", "crond", "atd", "systemd-user", "runuser", "runuser-l"}, "nobody is there to answer"},
	{[]string{"su", "su-l", "sudo", "sudo-i", "polkit-1"}, "scripts use it without a terminal, and whoever uses it is logged in already"},
	{[]string{"passwd", "chpasswd", "newusers", "chfn", "chsh", "pwupd-passwd", "pwupd-chfn", "pwupd-chsh"}, "it must work whatever else is broken"},
	{[]string{"shadowsync-web"}, "the page for browsers asks for the code itself"},
	{[]string{"other"}, "it stands for every service that has no file"},
	{[]string{
		"i3lock", "swaylock", "gtklock", "hyprlock", "waylock", "xlock", "vlock", "slock", "physlock", "kde", "xscreensaver",
		"mate-screensaver", "cinnamon-screensaver", "gnome-screensaver", "xfce4-screensaver", "light-locker",
	}, "a screen lock cannot ask for a code"},
}

// NeverAsks says why a PAM service must not ask for a second factor; empty: it may.
func NeverAsks(service string) string {
	if strings.HasPrefix(service, "common-") || slices.Contains([]string{"system-auth", "password-auth"}, service) {
		return "other services include it"
	}
	for _, u := range unasking {
		if slices.Contains(u.services, service) {
			return u.why
		}
	}
	return ""
}

func (s SecondFactor) validate() error {
	for _, service := range s.Services {
		if why := NeverAsks(service); why != "" {
			err := fmt.Errorf("second_factor.services: %s never asks for a second factor: %s", service, why)
			return &keyed{application: -1, key: "second_factor.services", value: service, err: err}
		}
	}
	return nil
}

// fault returns an error about a key of the application, or about a value of that key.
func (a *Application) fault(key, value, format string, args ...any) error {
	err := fmt.Errorf("application %q: "+format, append([]any{a.Name}, args...)...)
	return &keyed{application: a.table, store: a.nth, key: "application." + key, value: value, err: err}
}

func (a *Application) validate() error {
	fault := func(key, format string, args ...any) error { return a.fault(key, "", format, args...) }
	if err := shadowsync.CheckUnit(a.Unit); err != nil {
		return fault("unit", "unit = %w", err)
	}
	var wrong *key.Fault
	if err := check(a, inApplication); errors.As(err, &wrong) {
		return a.fault(wrong.Key, wrong.Value, "%w", err)
	}
	if a.Driver() == "" {
		return fault("store.driver", "store.driver must be a string")
	}
	for account := range a.Rules {
		if !slices.Contains(a.Accounts, account) {
			return fault("rules."+account, "rules.%s: no such account among accounts", account)
		}
	}
	return nil
}
