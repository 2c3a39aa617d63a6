package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// A command that we suggest must act on the same system: an administrator who rescues a mounted one
// copies it from the screen, and the host has accounts with the same names.

// ours matches a command of this tool in a text for people.
var ours = regexp.MustCompile(`\bshadowsync (audit|backup|config|doctor|guard|history|remove|restore|setup|status|sync|user)\b`)

// runningOnly matches the commands that work only on the running system. For a mounted one, status
// is suggested instead.
var runningOnly = regexp.MustCompile(`\bshadowsync doctor( --fix)?`)

// edited matches a file that the administrator should edit or make writable for root only, or its
// folder, by its path within the mounted system.
var edited = regexp.MustCompile(`\b(edit(?:or)? (?:\+\d+ )?|chown root |chmod go-w |ls -la )(/[^\s,]+)`)

// named adds this run's global options to our commands in a text.
func (a *app) named(text string) string {
	if a.mounted() {
		text = runningOnly.ReplaceAllString(text, "shadowsync status")
		text = strings.ReplaceAll(text, "journalctl ", "journalctl --root="+shellWord(a.root)+" ")
		text = strings.NewReplacer(
			"vipw -s", "vipw -R "+shellWord(a.root)+" -s", "chsh -s ", "chsh -R "+shellWord(a.root)+" -s ",
			"cat /etc/nologin", "cat "+shellWord(inroot.Shown(a.root, "/etc/nologin")), "cat /run/nologin", "cat "+shellWord(inroot.Shown(a.root, "/run/nologin")),
			"' /etc/shells", "' "+shellWord(inroot.Shown(a.root, "/etc/shells")),
		).Replace(text)
		text = edited.ReplaceAllStringFunc(text, func(edit string) string {
			part := edited.FindStringSubmatch(edit)
			return part[1] + shellWord(inroot.Shown(a.root, part[2]))
		})
	}
	return ours.ReplaceAllString(text, "shadowsync"+strings.ReplaceAll(a.globals(), "$", "$$")+" $1")
}

// globals returns the options that select the system and the configuration.
func (a *app) globals() string {
	var options string
	if a.mounted() {
		options += " --root " + shellWord(a.root)
	}
	if a.config != "" && a.config != config.DefaultPath {
		options += " --config " + shellWord(a.config)
	}
	return options
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// shellWord quotes a word for a POSIX shell if necessary.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// notSystemError is a folder given with --root that is not a system to work on.
type notSystemError struct {
	root, why string
	running   bool // it is the running system itself
}

func (e *notSystemError) Error() string {
	return fmt.Sprintf("cannot use --root %s: %s", e.root, e.why)
}
func (e *notSystemError) Unwrap() error { return errUsage }

func (e *notSystemError) hint() string {
	if e.running {
		return "leave out --root"
	}
	return "findmnt --real lists where file systems are mounted; name the folder that holds etc/passwd"
}

// checkSystem makes sure that a system is mounted at a folder. On a mistyped folder, changes would
// be useless and everything would be reported as missing.
func checkSystem(root string) error {
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &notSystemError{root: root, why: "there is no such folder"}
	case err != nil:
		return fmt.Errorf("cannot use --root: %w", err)
	case !info.IsDir():
		return &notSystemError{root: root, why: "not a folder"}
	}
	if host, err := os.Stat("/"); err == nil && os.SameFile(info, host) {
		return &notSystemError{root, "it is the running system", true}
	}
	account, err := inroot.Stat(root, "etc/passwd")
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && !account.Mode().IsRegular():
		return &notSystemError{root: root, why: "no system is mounted there: it has no etc/passwd"}
	case err != nil && !errors.Is(err, os.ErrPermission): // the command itself tells a user that it needs root
		return fmt.Errorf("cannot use --root %s: %w", root, err)
	}
	return nil
}
