package accountworker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
)

// A home that a former user left becomes a folder in the new home. There no program looks for its
// keys, start-up files or units.

const (
	// HomeBefore is the name of that folder in the new home.
	HomeBefore = "home-before"
	// aside, with the account's name appended, names the old home while the new one is created
	// beside it.
	aside = ".shadowsync-home-before-"

	mostEntries = 50_000 // in a home: a worker has no time for more
	mostDepth   = 64     // of nested folders: each costs an open descriptor
)

// ids are a user id and a group id.
type ids struct{ uid, gid int }

// takeError says why a home cannot be taken over.
type takeError struct{ why string }

func (e *takeError) Error() string { return e.why }

// setAside moves the account's home out of the way and returns its owner; nil: there was no home.
// All of the home must belong to one user who no longer exists.
func (a Arrival) setAside(ctx context.Context) (*ids, error) {
	if err := a.putBack(); err != nil { // a worker that was killed may have left it aside
		return nil, err
	}
	home, err := openIn(unix.AT_FDCWD, a.Home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &takeError{fmt.Sprintf("cannot look at %s: %v", a.Home, err)}
	}
	defer home.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(home.Fd()), &st); err != nil {
		return nil, fmt.Errorf("cannot look at %s: %w", a.Home, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil, &takeError{a.Home + " is not a folder"}
	}
	owner := ids{int(st.Uid), int(st.Gid)}
	if err := ownerIsGone(ctx, a.Home, owner.uid); err != nil {
		return nil, err
	}
	if err := each(home, func(int, unix.Stat_t) error { return nil }, owner.uid); err != nil {
		return nil, err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, a.Home, unix.AT_FDCWD, a.besideHome(), unix.RENAME_NOREPLACE); err != nil {
		return nil, &takeError{fmt.Sprintf("cannot move %s: %v", a.Home, err)}
	}
	return &owner, nil
}

func (a Arrival) besideHome() string { return filepath.Join(filepath.Dir(a.Home), aside+a.Name) }

// putBack undoes setAside.
func (a Arrival) putBack() error {
	err := unix.Renameat2(unix.AT_FDCWD, a.besideHome(), unix.AT_FDCWD, a.Home, unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot put %s back from %s: %w", a.Home, a.besideHome(), err)
	}
	return nil
}

// ownerIsGone makes sure that no account and no running process has the uid.
func ownerIsGone(ctx context.Context, home string, uid int) error {
	people, err := shadowfile.People(ctx, "/")
	if err != nil {
		return err
	}
	for name, p := range people {
		if p.UID == uid {
			return &takeError{fmt.Sprintf("%s belongs to %s", home, name)}
		}
	}
	running, err := origin.UIDs()
	if err != nil {
		return err
	}
	if running[uid] {
		return &takeError{fmt.Sprintf("%s belongs to uid %d, whose processes are running", home, uid)}
	}
	return nil
}

// moveIn changes the old home's owner to the account and moves it into the new home.
func (a Arrival) moveIn(from, to ids) error {
	old, err := openIn(unix.AT_FDCWD, a.besideHome())
	if err != nil {
		return err
	}
	defer old.Close()
	if err := hand(old, from, to); err != nil {
		return errors.Join(err, hand(old, to, from))
	}
	into := filepath.Join(a.Home, HomeBefore)
	if err := unix.Renameat2(unix.AT_FDCWD, a.besideHome(), unix.AT_FDCWD, into, unix.RENAME_NOREPLACE); err != nil {
		return errors.Join(fmt.Errorf("cannot move the old home to %s: %w", into, err), hand(old, to, from))
	}
	return nil
}

// moveOut undoes moveIn.
func (a Arrival) moveOut(from, to ids) error {
	inside := filepath.Join(a.Home, HomeBefore)
	err := unix.Renameat2(unix.AT_FDCWD, inside, unix.AT_FDCWD, a.besideHome(), unix.RENAME_NOREPLACE)
	if err != nil {
		return fmt.Errorf("cannot move %s out again: %w", inside, err)
	}
	old, err := openIn(unix.AT_FDCWD, a.besideHome())
	if err != nil {
		return err
	}
	defer old.Close()
	return hand(old, to, from)
}

// hand changes owner and group of a folder and its content. It keeps a group that is not the former
// owner's own, and skips files that already have another owner.
func hand(folder *os.File, from, to ids) error {
	return each(folder, func(fd int, st unix.Stat_t) error {
		if int(st.Uid) != from.uid {
			return nil
		}
		gid := int(st.Gid)
		if gid == from.gid {
			gid = to.gid
		}
		if err := unix.Fchownat(fd, "", to.uid, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("cannot change an owner in the old home: %w", err)
		}
		return nil
	}, from.uid, to.uid)
}

// each calls do for a folder and for everything in it. Each entry is pinned by a descriptor, so
// that do changes exactly what was checked. Every entry must belong to one of the uids, be on the
// folder's file system, and have no hard link elsewhere.
func each(folder *os.File, do func(fd int, st unix.Stat_t) error, uids ...int) error {
	w := walk{do: do, uids: uids, left: mostEntries}
	return w.visit(folder, mostDepth)
}

type walk struct {
	do   func(fd int, st unix.Stat_t) error
	uids []int
	left int
}

func (w *walk) visit(f *os.File, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("cannot look into the old home: %w", err)
	}
	if w.left--; w.left < 0 || depth == 0 {
		return &takeError{"the old home holds too many files to be taken over here"}
	}
	if err := w.check(f.Name(), st); err != nil {
		return err
	}
	if err := w.do(int(f.Fd()), st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	return w.enter(f, depth-1)
}

func (w *walk) check(name string, st unix.Stat_t) error {
	owned := false
	for _, uid := range w.uids {
		owned = owned || int(st.Uid) == uid
	}
	kind := st.Mode & unix.S_IFMT
	switch {
	case !owned:
		return &takeError{fmt.Sprintf("%s is not the former owner's: it belongs to uid %d", name, st.Uid)}
	case kind == unix.S_IFBLK || kind == unix.S_IFCHR:
		return &takeError{name + " is a device"}
	case kind != unix.S_IFDIR && st.Nlink > 1:
		return &takeError{name + " has another name (a hard link)"}
	}
	return nil
}

// enter visits the entries of a folder that was opened with O_PATH.
func (w *walk) enter(f *os.File, depth int) error {
	fd, err := unix.Openat(int(f.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot read the old home: %w", err)
	}
	list := os.NewFile(uintptr(fd), f.Name())
	defer list.Close()
	for {
		names, err := list.Readdirnames(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read the old home: %w", err)
		}
		for _, name := range names {
			if err := w.below(f, name, depth); err != nil {
				return err
			}
		}
	}
}

func (w *walk) below(f *os.File, name string, depth int) error {
	entry, err := openIn(int(f.Fd()), name)
	if errors.Is(err, unix.EXDEV) {
		return &takeError{filepath.Join(f.Name(), name) + " is on another file system"}
	}
	if err != nil {
		return fmt.Errorf("cannot look into the old home: %w", err)
	}
	defer entry.Close()
	return w.visit(entry, depth)
}

// openIn opens a path with O_PATH. It follows no link and, below a folder, enters no mount.
func openIn(folder int, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	if folder != unix.AT_FDCWD {
		how.Resolve |= unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV
	}
	fd, err := unix.Openat2(folder, name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
