// Package base builds and caches the base trees that test machines boot from: folders that contain
// an installed Debian system of one release and that never change once built.
//
// It promises that every tree it returns is complete (it is built under another name and then
// renamed), that two processes never build the same tree at the same time, that a changed package
// list or preparation gives a new tree, and that a tree in use is not removed.
//
//	base.go    the cache: find, lock, build once, prune
//	build.go   debootstrap and what is prepared after it
//	mirror.go  which Debian archive this host is configured for
package base

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Release is a Debian release by its code name.
type Release string

// The releases that machines are tested on.
const (
	Bookworm Release = "bookworm" // Debian 12: systemd 252, Linux-PAM 1.5, shadow 4.13
	Trixie   Release = "trixie"   // Debian 13: systemd 257, Linux-PAM 1.7, shadow 4.17
)

// defaultCache is used unless SHADOWSYNC_MACHINE_CACHE names another folder.
const defaultCache = "/var/cache/shadowsync-machines"

// A Tree is an installed system that is not pruned before Close.
type Tree struct {
	Path string
	lock *os.File
}

// Close releases the tree.
func (t *Tree) Close() error { return t.lock.Close() }

// A Kind is the content of a tree: a release, and packages that only a few machines need.
type Kind struct {
	Release  Release
	Packages []string
}

// name is the start of the names of a kind's trees; the key of the contents follows.
func (k Kind) name() string {
	return strings.Join(append([]string{string(k.Release)}, k.Packages...), "+")
}

// Open returns the tree of a kind. It builds a missing one, which takes about half a minute and 300
// MB and is reported on progress. It needs root.
func Open(ctx context.Context, kind Kind, progress io.Writer) (*Tree, error) {
	cache := Cache()
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the machine cache: %w", err)
	}
	path := filepath.Join(cache, key(kind))
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock of a base tree: %w", err)
	}
	if err := openLocked(ctx, lock, path, kind, progress); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return &Tree{Path: path, lock: lock}, nil
}

// openLocked returns with a shared lock on an existing tree. Converting an exclusive flock(2) into
// a shared one is not atomic, so after a build it checks again: the tree may have been pruned.
func openLocked(ctx context.Context, lock *os.File, path string, kind Kind, progress io.Writer) error {
	for {
		if err := flock(ctx, lock, unix.LOCK_SH, progress); err != nil {
			return err
		}
		if exists(path) {
			return nil
		}
		if err := flock(ctx, lock, unix.LOCK_EX, progress); err != nil {
			return err
		}
		if exists(path) {
			continue
		}
		if err := build(ctx, path, kind, progress); err != nil {
			return err
		}
		prune(filepath.Dir(path), kind)
	}
}

// Cache is the folder of the trees.
func Cache() string {
	if folder := os.Getenv("SHADOWSYNC_MACHINE_CACHE"); folder != "" {
		return folder
	}
	return defaultCache
}

// flock polls, because a blocking flock(2) cannot be cancelled by a context.
func flock(ctx context.Context, file *os.File, how int, progress io.Writer) error {
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return fmt.Errorf("cannot lock %s: %w", file.Name(), err)
		}
		if !told {
			fmt.Fprintf(progress, "machine: another process builds %s, waiting\n", strings.TrimSuffix(file.Name(), ".lock"))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot lock %s: %w", file.Name(), ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// prune removes trees of a kind that belong to an older package list and that no machine uses. It
// keeps the lock files: if it removed one, two processes could hold locks on two different files of
// that name.
func prune(cache string, kind Kind) {
	trees, _ := filepath.Glob(filepath.Join(cache, kind.name()+"-*"))
	for _, tree := range trees {
		if filepath.Base(tree) == key(kind) || strings.Contains(filepath.Base(tree), ".") {
			continue
		}
		pruneOne(tree)
	}
}

func pruneOne(tree string) {
	lock, err := os.OpenFile(tree+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		_ = os.RemoveAll(tree)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
