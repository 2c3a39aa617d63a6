package notes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Prepare makes the folder and its spare links in the existing home folder of the system at root,
// and removes the access of others.
func Prepare(root string) error {
	home, err := inroot.Open(root, filepath.Dir(Dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("cannot prepare the folder of notes: %w", err)
	}
	defer home.Close()
	if err := prepare(home); err != nil {
		return fmt.Errorf("cannot prepare the folder of notes %s: %w", Dir, err)
	}
	return nil
}

func prepare(home *os.File) error {
	base := filepath.Base(Dir)
	err := unix.Mkdirat(int(home.Fd()), base, 0o700)
	switch {
	case err == nil:
		err = home.Sync()
	case errors.Is(err, unix.EEXIST):
		err = nil
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(int(home.Fd()), base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := &Folder{os.NewFile(uintptr(fd), Dir)}
	defer f.Close()
	if err := f.own(); err != nil {
		return err
	}
	return f.fill()
}

// own makes the folder accessible to root alone. Its content is root's: its parent belongs to root
// alone.
func (f *Folder) own() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd(), &st); err != nil {
		return err
	}
	if !ours(st.Uid) {
		return fmt.Errorf("it belongs to uid %d", st.Uid)
	}
	if st.Mode&0o7777 == 0o700 {
		return nil
	}
	return unix.Fchmod(f.fd(), 0o700)
}

// fill makes the missing spare links. The broker calls it after each reconcile, so it does not try
// to make those that are there.
func (f *Folder) fill() error {
	there, err := f.sweep(time.Now())
	if err != nil {
		return err
	}
	made := false
	for i := range spares {
		name := spare + strconv.Itoa(i)
		if slices.Contains(there, name) {
			continue
		}
		err := unix.Symlinkat(spareTarget, f.fd(), name)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		made = made || err == nil
	}
	if !made {
		return nil
	}
	return f.dir.Sync()
}

// sweep removes links that did not become notes. Some may have been spare links. It returns the
// names that it found.
func (f *Folder) sweep(now time.Time) (names []string, err error) {
	names, err = f.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var st unix.Stat_t
		if !strings.HasPrefix(name, making) || unix.Fstatat(f.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if now.Sub(time.Unix(st.Ctim.Unix())) < madeWithin {
			continue
		}
		if err := unix.Unlinkat(f.fd(), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	return names, nil
}
