package config

import (
	"net"
	"net/mail"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/password/crypt/format"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// The required forms of strings in the configuration.
var (
	nameForm      = key.Form{Says: "a name of up to 64 letters, digits, dots, dashes and underscores", Is: PlainName}
	groupForm     = key.Form{Says: "the name of a group", Is: accountName}
	accountForm   = key.Form{Says: "an account name", Is: accountName}
	serviceForm   = key.Form{Says: "the name of a service, which ends in .service"} // see shadowsync.CheckUnit
	pathForm      = key.Form{Says: "an absolute path", Is: func(s string) bool { return strings.HasPrefix(s, "/") }}
	plainPathForm = key.Form{Says: "an absolute path of letters, digits, dots, dashes and underscores", Is: func(s string) bool {
		return strings.HasPrefix(s, "/") && madeOf(s, &pathSet, 256)
	}}
	pamServiceForm = key.Form{Says: "the name of a file in /etc/pam.d, without a dot", Is: pamService}

	issuerForm  = key.Form{Says: "up to 64 printable characters without a colon", Is: issuerName}
	serverForm  = key.Form{Says: "host:port", Is: hostPort}
	addressForm = key.Form{Says: "an address of the form name@domain", Is: func(s string) bool {
		a, err := mail.ParseAddress(s)
		return err == nil && a.Address == s
	}}
	listenForm     = key.Form{Says: "host:port, where host is an IP address or localhost", Is: func(s string) bool { _, is := listenAddress(s); return is }}
	credentialForm = key.Form{Says: "an absolute path of letters, digits, dots, dashes and underscores, or the name of a systemd credential", Is: credentialOrPath}
	proxyForm      = key.Form{Says: "an IP address, or a prefix such as 10.0.0.0/8", Is: isAddressOrPrefix}

	textForm = key.Form{Says: "a text that is not empty", Is: func(s string) bool { return s != "" }}
)

// issuerName reports whether an authenticator app can show the name: a colon separates it from the
// account in an otpauth address.
func issuerName(s string) bool {
	return utf8.RuneCountInString(s) <= 64 && !strings.Contains(s, ":") && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// hostPort reports whether the text names a port of a host.
func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0 && host != "" && !strings.ContainsAny(host, " /\\@\"'")
}

// maxReject bounds the reject list, because a worker gets it with each question in one packet.
const maxReject = 8 << 10

var conflictRules = key.Of(string(shadowsync.RuleOS), string(shadowsync.RuleStore), string(shadowsync.RuleNewest), string(shadowsync.RuleHold))

// keys are all keys outside [application.store], in the order of shadowsync.toml(5).
var keys = []key.Key{
	{Name: "node.name", Kind: key.Text, Form: nameForm, Doc: "The name of this machine, in the prompt of pcli (`user@name.asset`) and in `status`."},
	{Name: "node.asset", Kind: key.Text, Form: nameForm, Doc: "What this machine belongs to, in the prompt of pcli and in `status`."},

	{Name: "guard.limit", Kind: key.Duration, Min: int64(time.Second), Max: int64(24 * time.Hour), Zero: "no guard", Doc: "How long a pending change may hold back a stop or restart of the unit."},
	{Name: "settle.time", Kind: key.Duration, Max: int64(time.Hour), Doc: "How long after its start an application is expected to write old values back. A hook watches for that long."},

	{Name: "protected.groups", Kind: key.Texts, Form: groupForm, Doc: "Groups whose members are protected, besides the groups that amount to root. You cannot remove any of those: see [Protected accounts](operators-shell.md#protected-accounts)."},

	{Name: "password.expiry_days", Kind: key.Number, Min: 1, Max: 99999, Unit: "days", Doc: "How long a generated password holds at most."},
	{Name: "password.min_length", Kind: key.Number, Max: 511, Unit: "characters", Doc: "How long a new password must be. [passwords.md](passwords.md) says when this and the next three keys apply."},
	{Name: "password.min_classes", Kind: key.Number, Max: 4, Doc: "How many of these a new password must have: upper case, lower case, digits, others."},
	{Name: "password.reject", Kind: key.Texts, Form: textForm, Max: maxReject, Doc: "Texts that no new password may contain, whatever their case: 8 KiB in all."},
	{Name: "password.history", Kind: key.Number, Max: shadowsync.RecordEntries + 1, Doc: "How many different passwords may not come back, the present one first. Our tool may set that one again."},
	{Name: "password.min_days", Kind: key.Number, Max: 99999, Unit: "days", Zero: "as the account has it", Doc: "The minimum age that a new password gets from our tools and pcli. Not above `max_days`."},
	{Name: "password.max_days", Kind: key.Number, Max: 99999, Unit: "days", Zero: "as the account has it", Doc: "The maximum age that a new password gets from our tools and pcli."},
	{Name: "password.warn_days", Kind: key.Number, Max: 99999, Unit: "days", Zero: "as the account has it", Doc: "How long before that age the user is warned."},

	{Name: "second_factor.services", Kind: key.Texts, Form: pamServiceForm, Doc: "The PAM services that ask accounts with a second factor for a code: `[\"sshd\", \"login\"]`. `setup` puts the lines into their files in /etc/pam.d: see [At ssh and login](second-factors.md#at-ssh-and-login)."},
	{Name: "second_factor.issuer", Kind: key.Text, Form: issuerForm, Default: "`node.asset`, else `node.name`", Doc: "The name under which authenticator apps list an account of this machine."},
	{Name: "second_factor.key_credential", Kind: key.Text, Form: nameForm, Default: "the file /var/lib/shadowsync/factor.key", Doc: "The name of a credential in /etc/credstore.encrypted with the key of the second factors, as systemd-creds(1) encrypts it. See [Secrets as credentials](second-factors.md#secrets-as-credentials)."},
	{Name: "second_factor.required", Kind: key.Text, OneOf: key.Of(string(RequiredNobody), string(RequiredAdmins), string(RequiredEverybody)), Doc: "Which accounts of the applications must have a second factor: see [Required](second-factors.md#required). `doctor` names those that have none."},
	{Name: "second_factor.days", Kind: key.Number, Max: 3650, Unit: "days", Doc: "How long these have to enrol one, from when `required` asks for it first."},
	{Name: "second_factor.ldap", Kind: key.Flag, Doc: "`true`: accounts of a directory may use pcli, for themselves: show, change their password there, and enrol a second factor. See [Accounts of a directory](second-factors.md#accounts-of-a-directory)."},

	{Name: "mail.server", Kind: key.Text, Form: serverForm, Default: "no mail is sent", Doc: "The mail server, as `host:port`. On port 465 the connection is TLS from its start, on others by STARTTLS; the server's certificate is checked. Only a server on a loopback address may do without. With `mail.server`, pcli takes `lost` at the prompt for a code: see [The user's own way](second-factors.md#the-users-own-way)."},
	{Name: "mail.from", Kind: key.Text, Form: addressForm, Doc: "The sender's address."},
	{Name: "mail.ca", Kind: key.Text, Form: pathForm, Default: "what the system trusts", Doc: "A file with the certificates, in PEM, that the server's must be signed by."},
	{Name: "mail.user", Kind: key.Text, Form: textForm, Doc: "The name to log in to the server with. Without it nobody logs in."},
	{Name: "mail.credential", Kind: key.Text, Form: nameForm, Doc: "Instead of `password_file`: the name of a credential in /etc/credstore.encrypted, as systemd-creds(1) encrypts it. See [Secrets as credentials](second-factors.md#secrets-as-credentials)."},
	{Name: "mail.password_file", Kind: key.Text, Form: pathForm, Doc: "A file with the password for that, in its first line. It must belong to root, and nobody else may read it."},

	{Name: "roles.admin", Kind: key.Texts, Form: groupForm, Doc: "OS groups whose members are administrators in pcli. A managed account administers the application that manages it; any other account administers all of them."},
	{Name: "roles.user", Kind: key.Texts, Form: groupForm, Default: "every managed account is a user", Doc: "OS groups whose members may use pcli for their own account."},

	{Name: "sessions.end_on", Kind: key.Texts, OneOf: seenByText, Doc: "Which changes of a password end the sessions that the old one opened: by PAM, by our tool, in pcli (or at a page), past PAM (`watch`: a hash alone), or from the store. `watch` needs `pam`."},
	{Name: "sessions.keep_own", Kind: key.Flag, Doc: "`true`: the session in which the change was made stays, unless that is pcli's."},

	{Name: "pcli.idle_timeout", Kind: key.Duration, Min: int64(time.Second), Max: int64(24 * time.Hour), Zero: "never", Doc: "When a shell ends in which nobody types."},
	{Name: "pcli.removed_shell", Kind: key.Text, Form: plainPathForm, Doc: "The login shell that accounts with pcli get when it is removed, unless they had another one before: without a shell nobody could log in."},

	{Name: "web.listen", Kind: key.Text, Form: listenForm, Default: "`\"" + DefaultListen + "\"`", Doc: "Where the page for browsers listens. Without `[web]` there is no page. After a change of `[web]` run `setup`."},
	{Name: "web.certificate", Kind: key.Text, Form: credentialForm, Default: "plain HTTP, for a proxy on this machine", Doc: "A file with the page's certificate and what it was signed by, in PEM, or the name of a systemd credential."},
	{Name: "web.key", Kind: key.Text, Form: credentialForm, Doc: "The same for the certificate's private key. The file must belong to root, and nobody else may read it."},
	{Name: "web.proxies", Kind: key.Texts, Form: proxyForm, Doc: "The proxies whose `X-Forwarded-For` is believed. `[]` says that there is none: on a loopback address, visitors are on this machine then."},
	{Name: "web.idle", Kind: key.Duration, Min: int64(time.Second), Max: int64(24 * time.Hour), Doc: "When a session ends in which nobody asks for a page."},
	{Name: "web.total", Kind: key.Duration, Min: int64(time.Second), Max: int64(168 * time.Hour), Doc: "When a session ends in any case."},

	{Name: "users.shells", Kind: key.Texts, Form: plainPathForm, Doc: "The login shells that an account created in pcli may have. The first is the default."},
	{Name: "users.home", Kind: key.Text, Required: true, Form: plainPathForm, Doc: "The folder of the homes of accounts created in pcli."},

	{Name: "audit.keep_days", Kind: key.Number, Min: 1, Max: 36500, Unit: "days", Zero: "for good", Doc: "How long `audit trim` and the daemon keep a record of the audit trail."},

	{Name: "notify.command", Kind: key.Text, Form: pathForm, Doc: "A program that is told of pending changes, conflicts and alarms: JSON on its standard input. It has ten seconds: see [below](#the-program-of-notifycommand)."},
	{Name: "notify.user", Kind: key.Text, Required: true, Form: accountForm, Doc: "The account that the program runs as."},

	{Name: "application.unit", Kind: key.Text, Required: true, Form: serviceForm, Doc: "The systemd unit of the application. No two applications may have the same."},
	{Name: "application.accounts", Kind: key.Texts, Required: true, Form: accountForm, Doc: "The OS accounts that the application manages. Each belongs to one application."},
	{Name: "application.name", Kind: key.Text, Required: true, Form: nameForm, Default: "the unit without `.service`", Doc: "The name of the application in messages. No two applications may have the same."},
	{Name: "application.conflict", Kind: key.Text, OneOf: conflictRules, Default: "`os` if the change came by PAM or our tool, else `hold`", Doc: "Which side wins if both changed to different values. `newest`: the later one, where both sides have a time. `hold`: a person decides."},
	{Name: "application.rules", Kind: key.TextByName, OneOf: conflictRules, Doc: "The rule `conflict` for single accounts: `rules = {admin = \"os\"}`. Each must be among `accounts`."},
	{Name: "application.changed", Kind: key.Text, OneOf: key.Of(string(shadowsync.ChangedLeave), string(shadowsync.ChangedLock), string(shadowsync.ChangedExpire)), Default: "`leave`", Doc: "What happens to an account once a login has shown that its password was changed in the application, for stores with a `scheme`: `leave` records it, `lock` locks the account as `user lock` does, and `expire` asks for a new password at the next login. Protected accounts are left alone."},
	{Name: "application.rollback", Kind: key.Text, OneOf: key.Of(string(shadowsync.RuleNewest), string(shadowsync.RuleOS), string(shadowsync.RuleHold)), Default: "`newest`", Doc: "Which side wins if, at boot, an older state was restored as a whole."},
	{Name: "application.start", Kind: key.Text, OneOf: key.Of(string(StartAnyway), string(StartRefuse)), Doc: "What happens to a start of the application while a change cannot be merged. `refuse`: the application does not start where that could bring a lost password back."},
	{Name: "application.admins", Kind: key.Texts, Form: groupForm, Doc: "OS groups whose members administer this application, whichever application manages them."},
	{Name: "application.trust_store", Kind: key.Flag, Doc: "`true`: the store may change protected accounts, uid 0 and administrators too."},
	{Name: "application.weak_formats", Kind: key.Texts, OneOf: weakFormats, Doc: "Weak hash formats that the OS takes from the store all the same."},
}

func seenByText() []string {
	return []string{string(shadowsync.SeenByPAM), string(shadowsync.SeenByTool), string(shadowsync.SeenByPcli), string(shadowsync.SeenByWatch), string(shadowsync.SeenByStore)}
}

// weakFormats returns the weak formats that can be allowed.
func weakFormats() (names []string) {
	for _, f := range format.Formats() {
		if f.Weak() && f.ForOS() {
			names = append(names, f.String())
		}
	}
	return names
}

// Keys returns all keys outside [application.store], whose keys belong to the store drivers. Each
// has its default, in Markdown; empty: none.
func Keys() []key.Key {
	plain, err := Parse([]byte("[[application]]\nunit = \"default.service\"\naccounts = [\"default\"]\n"))
	if err != nil {
		panic(err) // cannot happen: the text above is constant
	}
	all := slices.Clone(keys)
	for i := range all {
		k := &all[i]
		of, name := reflect.ValueOf(plain).Elem(), k.Name
		if inside, isInside := strings.CutPrefix(name, inApplication); isInside {
			of, name = reflect.ValueOf(&plain.Applications[0]).Elem(), inside
		}
		if isGiven := name == "unit" || name == "accounts"; k.Default == "" && !isGiven {
			k.Default = code(k.Written(valueOf(of, name).Interface()))
		}
	}
	return all
}

// code formats text as code in Markdown.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

const inApplication = "application."

// valueOf finds the field of a key by its name within a struct.
func valueOf(v reflect.Value, name string) (found reflect.Value) {
	_ = eachField(v, "", func(of string, value reflect.Value) error { // it returns only errors of this function, which returns nil
		if of == name {
			found = value
		}
		return nil
	})
	return found
}

// eachField calls do with the fields of a struct that have a key, and with those of nested structs,
// until do returns an error. It does not enter a list of tables.
func eachField(v reflect.Value, table string, do func(name string, value reflect.Value) error) error {
	of := v.Type()
	for i := range of.NumField() {
		name := of.Field(i).Tag.Get("toml")
		if name == "" || name == "-" {
			continue
		}
		var err error
		if field := v.Field(i); field.Kind() == reflect.Struct {
			err = eachField(field, table+name+".", do)
		} else {
			err = do(table+name, field)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var byName = sync.OnceValue(func() map[string]key.Key {
	all := make(map[string]key.Key, len(keys))
	for _, k := range keys {
		all[k.Name] = k
	}
	return all
})

// check checks the keys of a struct by their descriptions: of an application, or of everything
// else. A key that is not in the file and has no default is not checked.
func check(of any, table string) error {
	return eachField(reflect.ValueOf(of).Elem(), "", func(name string, value reflect.Value) error {
		k, described := byName()[table+name]
		if !described || value.IsZero() && !k.Required && k.Kind != key.Number && k.Kind != key.Duration {
			return nil
		}
		k.Name = name
		return k.Check(value.Interface())
	})
}

// names returns the names of all keys and of their tables.
func names() []string {
	all := []string{"application", "application.store"}
	for _, k := range keys {
		table := k.Name[:strings.LastIndexByte(k.Name, '.')]
		if !slices.Contains(all, table) {
			all = append(all, table)
		}
		all = append(all, k.Name)
	}
	return all
}
