// Package barrier finds what keeps an account out although its password is right: a lock mark, an
// expiry date, counted refused passwords, its shell, or a nologin file.
//
// It only reads. For each barrier it names the command that removes it or shows its cause.
package barrier

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/account/faillock"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/term/plural"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// Barrier is one reason why an account cannot log in, and the command to run next.
type Barrier struct {
	Reason  string `json:"reason"`
	Command string `json:"command"`
}

func (b Barrier) String() string { return b.Reason + ": " + b.Command }

// Observer looks at one system. It caches /etc/passwd and similar files, for lists of thousands of
// accounts.
type Observer struct {
	root     string
	failures *faillock.Counters
	passwd   []byte
	shells   []byte
	nologin  string // the file that keeps out everybody but root
}

// Of reads what all accounts of the system at root share. A file that cannot be read counts as no
// barrier.
func Of(root string) *Observer { return New(root, faillock.Of(root)) }

// New does the same with known counters; finding them means reading all PAM stacks.
func New(root string, failures *faillock.Counters) *Observer {
	o := &Observer{root: root, failures: failures}
	o.passwd, _ = inroot.ReadFile(root, "/etc/passwd")
	o.shells, _ = inroot.ReadFile(root, "/etc/shells")
	for _, path := range []string{"/etc/nologin", "/run/nologin"} { // as pam_nologin(8)
		if _, err := inroot.Stat(root, path); err == nil {
			o.nologin = path
		}
	}
	return o
}

// Before lists what keeps the account out at the time now.
func (o *Observer) Before(a shadowsync.Account, now time.Time) []Barrier {
	var found []Barrier
	add := func(command, reason string, args ...any) {
		found = append(found, Barrier{fmt.Sprintf(reason, args...), command})
	}
	unlock := "shadowsync user unlock " + a.Name
	if a.Locked {
		add(unlock, "still locked")
	}
	if a.Expire != shadowsync.NoDay && !a.Expire.Time().After(now) {
		add(unlock, "still expired since %s", a.Expire.Time().Format(time.DateOnly))
	}
	if n, err := o.failures.Count(a.Name); err == nil && n > 0 {
		add(unlock, "%s %s against it, which may keep it out (pam_faillock)", plural.Count(n, "refused password"), plural.Form(n, "counts", "count"))
	}
	if reason, command := o.shell(a.Name); reason != "" {
		add(command, "%s", reason)
	}
	if o.nologin != "" && a.UID != 0 { // set by an administrator or by a shutdown; the file says which
		add("cat "+o.nologin, "only root can log in until %s is removed", o.nologin)
	}
	return found
}

// Sharing lists the other accounts with the uid of a. To the kernel they are one user, so a
// password change of one ends the sessions of all.
func (o *Observer) Sharing(a shadowsync.Account) []string {
	var names []string
	for line := range strings.Lines(string(o.passwd)) {
		fields := strings.SplitN(line, ":", 4)
		if len(fields) == 4 && fields[0] != a.Name && fields[2] == strconv.Itoa(a.UID) {
			names = append(names, fields[0])
		}
	}
	return names
}

// shell returns what is wrong with the account's login shell, and the command that fixes it. If the
// shell exists but shells(5) does not list it, the command lists it instead of replacing it: the
// account may be confined to that shell.
func (o *Observer) shell(name string) (reason, command string) {
	_, line, found := bytes.Cut(append([]byte("\n"), o.passwd...), []byte("\n"+name+":"))
	line, _, _ = bytes.Cut(line, []byte("\n"))
	fields := strings.Split(string(line), ":")
	if !found || len(fields) != 6 || fields[5] == "" { // an empty one is /bin/sh
		return "", ""
	}
	shell, another := fields[5], "chsh -s /bin/bash "+name
	switch base := filepath.Base(shell); {
	case base == "nologin", base == "false":
		return "its shell " + shell + " does not allow logins", another
	case o.missing(shell):
		return "its shell " + shell + " does not exist", another
	case len(o.shells) > 0 && !bytes.Contains(append([]byte("\n"), append(o.shells, '\n')...), []byte("\n"+shell+"\n")):
		return "its shell " + shell + " is not in /etc/shells, so that some services refuse it", listing(shell)
	}
	return "", ""
}

// listing returns the command that adds a shell to shells(5).
func listing(shell string) string {
	if strings.ContainsAny(shell, "'\\ ") {
		return "editor /etc/shells"
	}
	return "sed -i '$a " + shell + "' /etc/shells" // sed also ends an unfinished last line
}

func (o *Observer) missing(path string) bool {
	_, err := inroot.Stat(o.root, path)
	return errors.Is(err, fs.ErrNotExist)
}
