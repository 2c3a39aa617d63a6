package safefile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// ErrMoved says that the file is no longer what was read, or its folder no
// longer the one it was read from. Nothing was written.
var ErrMoved = errors.New("the file was changed meanwhile")

// Replace puts a new file with this content in the place of the old one, which
// must still be there as it was read: otherwise ErrMoved. Programs that read the file
// meanwhile see the old or the new one, whole.
func (f *Folder) Replace(old *Content, data []byte) error {
	name, err := f.writeTemporary(data)
	if err == nil {
		err = f.exchange(old, name)
	}
	if err != nil && name != "" {
		_ = unix.Unlinkat(f.fd, name, 0) // the next writer sweeps what stays
	}
	return err
}

// Sync makes durable what was read, in case its writer was killed before it did.
func (f *Folder) Sync(old *Content) error {
	file, stat, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close()
	if !sameState(stat, old.stat) {
		return ErrMoved
	}
	if err := file.Sync(); err != nil {
		return driver.Unavailable(err)
	}
	return f.sync()
}

// exchange is the compare-and-swap.
func (f *Folder) exchange(old *Content, name string) error {
	defer f.keepOthersOut()()
	if err := f.checkInPlace(); err != nil {
		return err
	}
	switch same, err := f.holds(old); {
	case err != nil:
		return err
	case !same:
		return ErrMoved
	}
	err := f.rename(name, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) { // a file system without it, such as NFS
		err = f.rename(name, 0)
	} else if err == nil {
		err = f.dropDisplaced(old, name)
	}
	if err != nil {
		return err
	}
	return f.sync()
}

func (f *Folder) rename(name string, flags uint) error {
	if err := unix.Renameat2(f.fd, name, f.fd, f.place.base(), flags); err != nil {
		return f.unavailable(err)
	}
	return nil
}

// dropDisplaced removes the file that was exchanged for the new one. If that is not the one
// that was read, the application replaced it since the last look, and gets it back.
func (f *Folder) dropDisplaced(old *Content, name string) error {
	var displaced unix.Stat_t
	if err := unix.Fstatat(f.fd, name, &displaced, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return f.unavailable(err)
	}
	// Not the time of the last status change, which the rename moved.
	if !sameFile(displaced, old.stat) || displaced.Mtim != old.stat.Mtim || displaced.Size != old.stat.Size {
		return errors.Join(ErrMoved, f.rename(name, unix.RENAME_EXCHANGE))
	}
	if err := unix.Unlinkat(f.fd, name, 0); err != nil {
		return f.unavailable(err)
	}
	return nil
}

// keepOthersOut makes several of our own processes do their compare-and-swap one after
// another. An application that locks its folder for reasons of its own is not waited for longer.
func (f *Folder) keepOthersOut() (release func()) {
	for range 100 {
		if err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return func() { _ = unix.Flock(f.fd, unix.LOCK_UN) } // Close does it too
}

// checkInPlace finds out whether the path still leads to the open folder.
func (f *Folder) checkInPlace() error {
	fd, err := f.place.openFolder(unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var opened, present unix.Stat_t
	if err := errors.Join(unix.Fstat(f.fd, &opened), unix.Fstat(fd, &present)); err != nil {
		return driver.Unavailable(err)
	}
	if !sameFile(opened, present) {
		return ErrMoved
	}
	return nil
}

func (f *Folder) sync() error {
	_, err := retry(func() (struct{}, error) { return struct{}{}, unix.Fsync(f.fd) })
	if err != nil {
		return driver.Unavailable(fmt.Errorf("cannot sync %s: %w", f.place.folder(), err))
	}
	return nil
}

// writeTemporary makes the new file beside the old one. The name is also given
// together with an error if there is something to remove.
func (f *Folder) writeTemporary(data []byte) (string, error) {
	name := f.temporaryPrefix() + strconv.Itoa(os.Getpid()) + "-" + randomSuffix()
	fd, err := retry(func() (int, error) {
		return unix.Openat(f.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return "", f.unavailable(err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err = file.Write(data); err == nil {
		err = f.keepAttributes(file)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return name, f.unavailable(err)
	}
	return name, nil
}

func randomSuffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
