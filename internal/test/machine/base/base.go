// Package base builds and caches the trees that test machines boot from: folders that contain an
// installed Debian system of one release, or a layer of packages on top of one, and that never
// change once built.
//
// It promises that every tree it returns is complete (it is built under another name and then
// renamed), that two processes never build the same tree at the same time, that a changed package
// list or preparation gives a new tree, and that a tree in use is not removed.
//
//	base.go    the cache: find, lock, build once, prune
//	build.go   debootstrap and what is prepared after it
//	layer.go   the layers, and how apt-get makes one
//	inside.go  commands that run in a tree
//	mirror.go  which Debian archive this host is configured for
package base

import (
	"context"
	"errors"
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
	folders []string // the layer, if there is one, and the base below it
	locks   []*os.File
}

// Lower is the tree as overlayfs wants it: the option lowerdir.
func (t *Tree) Lower() string { return strings.Join(t.folders, ":") }

// Close releases the tree.
func (t *Tree) Close() error {
	var errs []error
	for _, lock := range t.locks {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// A Kind is the content of a tree: a release and the layer on top of it.
type Kind struct {
	Release Release
	Layer   Layer
}

// Kinds are all trees that tests need, each base before its layers.
var Kinds = []Kind{
	{Release: Bookworm},
	{Release: Trixie},
	{Bookworm, Apps},
	{Trixie, WordPress},
	{Bookworm, Directory},
	{Bookworm, Mail},
	{Bookworm, Peers},
	{Bookworm, Browser},
	{Bookworm, Compilers},
	{Bookworm, Examiners},
	{Bookworm, Cockpit},
	{Trixie, Cockpit},
	{Bookworm, Tester},
	{Trixie, Tester},
	{Trixie, Authselect},
	{Bookworm, Tracer},
}

// Name is the start of the names of a kind's trees; the key of the contents follows.
func (k Kind) Name() string {
	if k.Layer == Bare {
		return string(k.Release)
	}
	return string(k.Release) + "+" + string(k.Layer)
}

// told says before the building what it costs.
func (k Kind) told() string {
	if k.Layer == Bare {
		return "about half a minute and 220 MB"
	}
	return layers[k.Layer].told
}

// Open returns the tree of a kind. It builds what is missing, says on progress what that costs, and
// reports it there. It needs root.
func Open(ctx context.Context, kind Kind, progress io.Writer) (*Tree, error) {
	if err := os.MkdirAll(Cache(), 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the machine cache: %w", err)
	}
	tree := &Tree{}
	err := tree.add(ctx, Kind{Release: kind.Release}, progress)
	if err == nil && kind.Layer != Bare {
		err = tree.add(ctx, kind, progress)
	}
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	return tree, nil
}

// add puts the folder of a kind on top of the tree.
func (t *Tree) add(ctx context.Context, kind Kind, progress io.Writer) error {
	key, below := baseKey(kind.Release), t.Lower()
	if kind.Layer != Bare {
		var err error
		if key, err = layerKey(kind, below); err != nil {
			return err
		}
	}
	path := filepath.Join(Cache(), key)
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the lock of a tree: %w", err)
	}
	t.locks = append(t.locks, lock)
	t.folders = append([]string{path}, t.folders...)
	return openLocked(ctx, lock, path, below, kind, progress)
}

// openLocked returns with a shared lock on an existing tree. Converting an exclusive flock(2) into
// a shared one is not atomic, so after a build it checks again: the tree may have been pruned.
func openLocked(ctx context.Context, lock *os.File, path, below string, kind Kind, progress io.Writer) error {
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
		if err := build(ctx, path, below, kind, progress); err != nil {
			return err
		}
		prune(path, kind)
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

// prune removes the older trees of the kind that was built, unless a machine uses them. It
// keeps the lock files: if it removed one, two processes could hold locks on two different files of
// that name.
func prune(built string, kind Kind) {
	trees, _ := filepath.Glob(filepath.Join(filepath.Dir(built), kind.Name()+"-*"))
	for _, tree := range trees {
		if tree == built || strings.Contains(filepath.Base(tree), ".") {
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
