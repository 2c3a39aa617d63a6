package newcomer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/shadowsync/shadowsync/internal/account/protect"
	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// static are the users and groups that Debian (base-passwd) and Fedora (setup) have on every
// system, and common ones that packages create. A user may be missing here while files still name
// it, or until the next package creates it.
var static = strings.Fields(`
	root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats _apt nobody nogroup
	adm tty disk dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev
	staff users input render sgx kvm crontab netdev messagebus syslog bluetooth lpadmin scanner ssl-cert
	halt shutdown ftp mem kmem wheel lock utempter ssh_keys polkitd dbus tss sshd ssh _ssh cron at atd
	admin administrators google-sudoers wireshark sambashare mysql postgres apache nginx`)

// source is a place where the system gives names a meaning, and the pattern that finds them there.
type source struct {
	folder, suffix string // suffix "": folder is the path of a file
	names          func() *regexp.Regexp
}

// pattern compiles an expression when it is first needed: most processes of this program never
// create an account, and compiling all of these would add half a millisecond to every start.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var (
	quoted  = pattern(`["']([^"'\n]*)["']`)
	policed = pattern(`\b(?:user|group)\s*=\s*["']([^"'\n]+)["']`)
	device  = pattern(`\b(?:GROUP|OWNER)\s*:?=\s*"([^"\n]+)"`)
	service = pattern(`(?m)^\s*(?:User|Group|SupplementaryGroups|SocketUser|SocketGroup)\s*=(.*)$`)
	stack   = pattern(`(?:\bgroup=|ingroup\s+|\buser\s*=\s*|\buser\s+in\s+)(\S+)`)
	server  = pattern(`(?mi)^\s*(?:AllowUsers|AllowGroups|Match)\b(.*)$`)
	line    = pattern(`(?m)^([^#\n][^\n]*)$`)
	created = pattern(`(?m)^\s*[ugm]!?\s+(\S+(?:\s+\S+)?)`)
	crontab = pattern(`(?m)^\s*(?:@\w+|[^#\s=]+(?:\s+[^#\s=]+){4})\s+(\S+)`)
	placed  = pattern(`(?m)^\s*[A-Za-z]\S*\s+(?:"[^"\n]*"|\S+)\s+\S+\s+(\S+(?:\s+\S+)?)`) // tmpfiles.d(5)
	rotated = pattern(`(?m)^\s*(?:su|create|createolddir)\s+(.*)$`)
	dynamic = pattern(`(?m)^\s*DynamicUser\s*=\s*(?i:1|y|yes|t|true|on)\s*$`)
)

var sources = []source{
	{"/usr/share/base-passwd/passwd.master", "", line},
	{"/usr/share/base-passwd/group.master", "", line},
	{"/usr/lib/sysusers.d", ".conf", created},
	{"/usr/local/lib/sysusers.d", ".conf", created},
	{"/etc/sysusers.d", ".conf", created},
	{"/run/sysusers.d", ".conf", created},
	{"/usr/lib/tmpfiles.d", ".conf", placed},
	{"/usr/local/lib/tmpfiles.d", ".conf", placed},
	{"/etc/tmpfiles.d", ".conf", placed},
	{"/run/tmpfiles.d", ".conf", placed},
	{"/etc/sudoers", "", line},
	{"/etc/sudoers.d", "*", line},
	{"/etc/doas.conf", "", line},
	{"/usr/share/polkit-1/rules.d", ".rules", quoted},
	{"/usr/local/share/polkit-1/rules.d", ".rules", quoted},
	{"/etc/polkit-1/rules.d", ".rules", quoted},
	{"/run/polkit-1/rules.d", ".rules", quoted},
	{"/etc/polkit-1/localauthority.conf.d", ".conf", line},
	{"/var/lib/polkit-1/localauthority/10-vendor.d", ".pkla", line},
	{"/usr/lib/udev/rules.d", ".rules", device},
	{"/usr/local/lib/udev/rules.d", ".rules", device},
	{"/etc/udev/rules.d", ".rules", device},
	{"/run/udev/rules.d", ".rules", device},
	{"/usr/share/dbus-1/system.d", ".conf", policed},
	{"/etc/dbus-1/system.d", ".conf", policed},
	{"/usr/share/dbus-1/system-services", ".service", service},
	{"/usr/lib/systemd/system", ".service", service},
	{"/usr/lib/systemd/system", ".socket", service},
	{"/usr/local/lib/systemd/system", ".service", service},
	{"/usr/local/lib/systemd/system", ".socket", service},
	{"/etc/systemd/system", ".service", service},
	{"/etc/systemd/system", ".socket", service},
	{"/run/systemd/system", ".service", service},
	{"/run/systemd/system", ".socket", service},
	{"/etc/crontab", "", crontab},
	{"/etc/cron.d", "*", crontab},
	{"/etc/cron.allow", "", line},
	{"/etc/at.allow", "", line},
	{"/etc/logrotate.conf", "", rotated},
	{"/etc/logrotate.d", "*", rotated},
	{"/usr/lib/pam.d", "*", stack},
	{"/etc/pam.d", "*", stack},
	{"/etc/security", ".conf", line},
	{"/etc/ssh/sshd_config", "", server},
	{"/etc/ssh/sshd_config.d", ".conf", server},
}

// reserved returns what gives a name a meaning. It treats a word as a name wherever it may be one:
// refusing a harmless name costs little, since another is easily found.
func reserved(root, name string) (string, error) {
	if slices.Contains(protect.Groups, name) || slices.Contains(static, name) {
		return fmt.Sprintf("%s is the name of a user or group of the system", name), nil
	}
	for _, s := range sources {
		files, err := s.files(root)
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := content(root, file)
			if err != nil {
				return "", err
			}
			if s.gives(text, name) || dynamic().MatchString(text) && unitOf(file) == name {
				return fmt.Sprintf("%s is named in %s: only root may create it", name, file), nil
			}
		}
	}
	return "", nil
}

func (s source) files(root string) (files []string, err error) {
	if s.suffix == "" {
		return []string{s.folder}, nil
	}
	list, err := entries(root, s.folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range list {
		switch path := filepath.Join(s.folder, entry.Name); {
		case !entry.Dir && (s.suffix == "*" || strings.HasSuffix(entry.Name, s.suffix)):
			files = append(files, path)
		case entry.Dir && strings.HasSuffix("."+entry.Name, s.suffix+".d"): // drop-ins of a unit, or of all
			more, err := source{path, ".conf", s.names}.files(root)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
	}
	return files, nil
}

// unitOf returns the user name that systemd derives from the file of a unit with DynamicUser=, or
// of its drop-in. An account of that name would be that user, with everything it owns.
func unitOf(file string) string {
	name := filepath.Base(file)
	if folder, ok := strings.CutSuffix(filepath.Base(filepath.Dir(file)), ".d"); ok {
		name = folder
	}
	name, _, _ = strings.Cut(strings.TrimSuffix(name, ".service"), "@")
	return name
}

// content reads a file. A missing file, or one masked by a link to /dev/null, has no content.
func content(root, file string) (string, error) {
	info, err := inroot.Stat(root, file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeCharDevice != 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := inroot.ReadFile(root, file)
	return string(text), err
}

// gives reports whether the name is a word in what the source's pattern matches.
func (s source) gives(text, name string) bool {
	if !strings.Contains(text, name) {
		return false
	}
	for _, found := range s.names().FindAllStringSubmatch(text, -1) {
		if slices.Contains(strings.FieldsFunc(found[1], apart), name) {
			return true
		}
	}
	return false
}

// apart reports whether a character separates names. A path is one word, and no name.
func apart(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./", r)
}

// groupOf returns why an existing group of that name is in the way: useradd creates a private
// group.
func groupOf(census shadowfile.Census, name string) string {
	for _, g := range census.Groups {
		if g.Name == name {
			return fmt.Sprintf("there is a group %s", name)
		}
	}
	return ""
}
