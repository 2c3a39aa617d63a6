package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

// runFolder contains, for each machine, the file NAME.lock, which its owner keeps locked while it
// lives, and the folder NAME, where the machine's tmpfs is mounted.
const runFolder = "/run/shadowsync-machines"

// A disk is a machine's root: an overlay of a base tree and a tmpfs.
type disk struct {
	name string
	home string // the tmpfs: upper and work folder, copied layers, the overlay, console and notify socket
	root string
	tree *base.Tree
	lock *os.File
}

// newDisk makes an empty disk, or one with the layers that copied makes in the folder that it is called with.
func newDisk(tree *base.Tree, release Release, copied func(home string) error) (*disk, error) {
	name, lock, err := claimName(release)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(runFolder, name)
	d := &disk{name: name, home: home, root: filepath.Join(home, "root"), tree: tree, lock: lock}
	if err := d.mount(copied); err != nil {
		return nil, errors.Join(err, d.unmount())
	}
	return d, nil
}

// claimName creates a folder, and the lock that shows that its owner lives. The global lock keeps a
// sweep from seeing one without the other.
func claimName(release Release) (string, *os.File, error) {
	unlock, err := lockRunFolder()
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	home, err := os.MkdirTemp(runFolder, string(release)+"-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a machine's folder: %w", err)
	}
	lock, err := os.OpenFile(home+".lock", os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("cannot make a machine's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return "", nil, fmt.Errorf("cannot lock a new machine: %w", err)
	}
	return filepath.Base(home), lock, nil
}

// mount mounts the overlay. With an exportable index its files have handles like those of a disk's
// own file system, which fanotify(7) and name_to_handle_at(2) require. What is copied from another
// disk is a layer between: that index knows only files of its own disk.
func (d *disk) mount(copied func(home string) error) error {
	if err := unix.Mount("tmpfs", d.home, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("cannot mount a machine's tmpfs: %w", err)
	}
	upper, work := filepath.Join(d.home, "upper"), filepath.Join(d.home, "work")
	for _, folder := range []string{upper, work, d.root} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return fmt.Errorf("cannot prepare a machine's disk: %w", err)
		}
	}
	if copied != nil {
		if err := copied(d.home); err != nil {
			return err
		}
	}
	lower := strings.Join(append(d.copied(), d.tree.Lower()), ":")
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,index=on,nfs_export=on,redirect_dir=nofollow", lower, upper, work)
	if err := unix.Mount("overlay", d.root, "overlay", 0, layers); err != nil {
		return fmt.Errorf("cannot mount a machine's root: %w", err)
	}
	return nil
}

// copied are the layers from another disk, the uppermost first.
func (d *disk) copied() []string {
	layers, _ := filepath.Glob(filepath.Join(d.home, "copied.*")) // the pattern is well-formed
	return layers
}

// setHostname also makes the name resolve, because sudo(8) otherwise waits for a resolver.
func (d *disk) setHostname(name string) error {
	hosts := "127.0.0.1\tlocalhost\n127.0.1.1\t" + name + "\n::1\tlocalhost\n"
	return errors.Join(
		os.WriteFile(filepath.Join(d.root, "etc/hostname"), []byte(name+"\n"), 0o644),
		os.WriteFile(filepath.Join(d.root, "etc/hosts"), []byte(hosts), 0o644))
}

func (d *disk) remove() error { return errors.Join(d.unmount(), d.tree.Close()) }

func (d *disk) unmount() error {
	return errors.Join(unmountMachine(d.home), d.lock.Close())
}

// unmountMachine frees a machine's folder. It removes single names, never a tree, so that nothing
// under a failed unmount is deleted.
func unmountMachine(home string) error {
	for _, point := range []string{filepath.Join(home, "root"), home} {
		// Detached, because a dying mount namespace may keep the old root a little longer.
		err := unix.Unmount(point, unix.MNT_DETACH)
		if err != nil && err != unix.EINVAL && err != unix.ENOENT {
			return fmt.Errorf("cannot unmount %s: %w", point, err)
		}
	}
	for _, name := range []string{home, home + ".lock"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove what a machine left: %w", err)
		}
	}
	return nil
}

// console returns the end of the machine's last console output, for error messages.
func (d *disk) console() string {
	text, _ := os.ReadFile(filepath.Join(d.home, "console"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
