// Package faillock reads and clears the failure counters of pam_faillock(8): one file for each
// account, in a folder owned by root, with a record of 64 bytes for each refused password.
//
// It works on the files and does not run faillock(8), so that it also serves a mounted system that
// is not running.
package faillock

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/password/pamstack"
	"github.com/shadowsync/shadowsync/internal/term/plural"
)

// defaultDir is pam_faillock's default (FAILLOCK_DEFAULT_TALLYDIR of faillock.h).
const defaultDir = "/var/run/faillock"

// The layout of struct tally in faillock.h.
const (
	recordSize   = 64
	statusOffset = 54
	statusValid  = 1
	maxRecords   = 1024 // pam_faillock's MAX_RECORDS
)

// Counters are the failure counters of one system.
type Counters struct {
	root string
	dirs []string
}

// Of finds the counters of the system below root: those of each PAM line of pam_faillock, and those
// that faillock(8) shows.
func Of(root string) *Counters { return &Counters{root, dirsOf(root)} }

// defaultConf is pam_faillock's default (FAILLOCK_DEFAULT_CONF of faillock.h).
const defaultConf = "/etc/security/faillock.conf"

func dirsOf(root string) []string {
	dirs := []string{dirOf(root, nil)}
	for _, l := range pamLines(root) {
		if dir := dirOf(root, l.Args); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// pamLines returns all lines of pam_faillock. It skips a service whose stack cannot be read: PAM
// does not allow logins there and counts nothing.
func pamLines(root string) (found []pamstack.Line) {
	services, err := pamstack.Services(root)
	if err != nil {
		return nil
	}
	for _, service := range services {
		for _, kind := range []pamstack.Kind{pamstack.Auth, "account"} {
			lines, err := pamstack.Read(root, service, kind)
			if err == nil {
				found = append(found, pamstack.All(lines, func(l pamstack.Line) bool { return l.Module == "pam_faillock.so" })...)
			}
		}
	}
	return found
}

// dirOf returns the folder that a line with these arguments uses, as args_parse() of pam_faillock.c
// finds it: the last conf= names the configuration, and the last dir= overrides that file's folder.
// pam_faillock ignores a dir= that is not absolute and uses the one before it.
func dirOf(root string, args []string) string {
	conf, dir := defaultConf, ""
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(arg, "["), "]"), "=")
		switch {
		case name == "conf":
			conf = value
		case name == "dir" && filepath.IsAbs(value):
			dir = value
		}
	}
	return cmp.Or(dir, setting(root, conf), defaultDir)
}

// setting reads "dir = /path" of faillock.conf(5); the last one counts.
func setting(root, name string) (dir string) {
	for line := range lines(root, name) {
		line = strings.TrimSpace(line)
		end := strings.IndexAny(line, "= \t")
		if end < 0 || line[:end] != "dir" {
			continue
		}
		if value := strings.TrimLeft(line[end:], "= \t"); filepath.IsAbs(value) {
			dir = value
		}
	}
	return dir
}

// lines yields a file's lines without comments; none if it cannot be read.
func lines(root, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		f, err := inroot.OpenRegular(root, name, 0)
		if err != nil {
			return
		}
		defer f.Close()
		scanner := bufio.NewScanner(io.LimitReader(f, 1<<20))
		for scanner.Scan() {
			line, _, _ := strings.Cut(scanner.Text(), "#")
			if !yield(line) {
				return
			}
		}
	}
}

// Count returns how many refused passwords count against an account.
func (c *Counters) Count(account string) (int, error) {
	return c.each(account, os.O_RDONLY, func(*os.File) error { return nil })
}

// Clear removes the recorded refused passwords of an account, counts again, and returns how many
// there were. If new ones were recorded meanwhile, it returns an error: the account may still be
// locked.
func (c *Counters) Clear(account string) (int, error) {
	n, err := c.each(account, os.O_RDWR, func(f *os.File) error { return f.Truncate(0) })
	if err != nil {
		return n, err
	}
	left, err := c.Count(account)
	if err == nil && left > 0 {
		err = fmt.Errorf("cannot clear the failure counter of %s: %s %s again", account, plural.Count(left, "refused password"), plural.Form(left, "counts", "count"))
	}
	return n, err
}

// each calls do for an account's file in every folder that has one.
func (c *Counters) each(account string, flags int, do func(*os.File) error) (n int, err error) {
	if account == "" || account != filepath.Base(account) || account == "." || account == ".." {
		return 0, fmt.Errorf("cannot use the failure counter of %q: not a file name", account)
	}
	for _, dir := range c.dirs {
		one, oneErr := use(c.root, filepath.Join(dir, account), flags, do)
		n, err = n+one, errors.Join(err, oneErr)
	}
	return n, err
}

// use counts the records of a file and calls do with it, under the lock that pam_faillock takes.
// The file belongs to its account, the folder to root.
func use(root, path string, flags int, do func(*os.File) error) (int, error) {
	f, err := inroot.OpenRegular(root, path, flags|unix.O_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot open the failure counter: %w", err)
	}
	defer f.Close()
	// Do not wait for the lock: the account may hold one on its own file for ever.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil && err != unix.EWOULDBLOCK {
		return 0, fmt.Errorf("cannot lock the failure counter %s: %w", path, err)
	}
	n, err := valid(io.LimitReader(f, maxRecords*recordSize))
	if err == nil {
		err = do(f)
	}
	if err != nil {
		return n, fmt.Errorf("cannot use the failure counter %s: %w", path, err)
	}
	return n, nil
}

// valid counts the records marked as valid; it ignores a truncated last record.
func valid(r io.Reader) (n int, err error) {
	var record [recordSize]byte
	for {
		_, err := io.ReadFull(r, record[:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if binary.NativeEndian.Uint16(record[statusOffset:])&statusValid != 0 {
			n++
		}
	}
}
