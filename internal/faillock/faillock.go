// Package faillock reads and clears the failure counters of pam_faillock(8): one
// file an account, in a folder of root's, with a record of 64 bytes for each
// refused password.
//
// It works on the files and not through faillock(8), so that it also serves a
// system that is mounted and not running.
package faillock

import (
	"bufio"
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

	"github.com/shadowsync/shadowsync/internal/inroot"
)

// defaultDir is pam_faillock's own (FAILLOCK_DEFAULT_TALLYDIR of faillock.h).
const defaultDir = "/var/run/faillock"

// The layout of struct tally in faillock.h.
const (
	recordSize   = 64
	statusOffset = 54
	statusValid  = 1
	maxRecords   = 1024 // pam_faillock's MAX_RECORDS
)

// Counters are those of one system.
type Counters struct {
	root string
	dirs []string
}

// Of finds the counters of the system below root: the folder of faillock.conf(5),
// or the default, and those that a PAM line names.
func Of(root string) *Counters { return &Counters{root, dirsOf(root)} }

func dirsOf(root string) []string {
	dirs := []string{defaultDir}
	if dir := setting(root, "etc/security/faillock.conf"); dir != "" {
		dirs[0] = dir
	}
	stacks, _ := fs.Glob(os.DirFS(root), "etc/pam.d/*") // the pattern is good
	for _, name := range stacks {
		for line := range lines(root, name) {
			if _, options, ours := strings.Cut(line, "pam_faillock.so"); ours {
				for word := range strings.FieldsSeq(options) {
					if dir, ok := strings.CutPrefix(word, "dir="); ok && !slices.Contains(dirs, dir) {
						dirs = append(dirs, dir)
					}
				}
			}
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool { return !filepath.IsAbs(dir) })
}

// setting reads "dir = /path" of faillock.conf(5); the last one counts.
func setting(root, name string) (dir string) {
	for line := range lines(root, name) {
		if key, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "dir" {
			dir = strings.TrimSpace(value)
		}
	}
	return dir
}

// lines yields a file's lines without comments; none if it cannot be read.
func lines(root, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		f, err := inroot.Open(root, name, os.O_RDONLY)
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

// Count tells how many refused passwords count against an account.
func (c *Counters) Count(account string) (int, error) {
	return c.each(account, os.O_RDONLY, func(*os.File) error { return nil })
}

// Clear forgets the refused passwords of an account, and tells how many there were.
func (c *Counters) Clear(account string) (int, error) {
	return c.each(account, os.O_RDWR, func(f *os.File) error { return f.Truncate(0) })
}

// each looks at an account's file in every folder that has one.
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

// use counts the records of a file and does something with it, under the lock that
// pam_faillock takes. The file belongs to its account, and the folder to root.
func use(root, path string, flags int, do func(*os.File) error) (int, error) {
	f, err := inroot.Open(root, path, flags|unix.O_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot open the failure counter: %w", err)
	}
	defer f.Close()
	// Not to be waited for: the account may hold a lock on its own file for ever.
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

// valid counts the records that count; an end in the middle of one is the end.
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
