package safefile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/durable"
	"github.com/shadowsync/shadowsync/internal/store/driver"
)

// ErrMoved means that the file is no longer what was read, or that its folder was replaced. Nothing
// was written.
var ErrMoved = errors.New("the file was changed meanwhile")

// Replace replaces the old file by a new one with this content. The old one must still be as it was
// read: otherwise the error is ErrMoved. Programs that read the file meanwhile see either the whole
// old or the whole new one.
func (f *Folder) Replace(old *Content, data []byte) error {
	temp, err := f.prepare(data)
	if err != nil {
		return err
	}
	if err := f.exchange(old, temp); err != nil {
		_ = temp.Discard() // the next writer sweeps what is left
		return err
	}
	return nil
}

// Rehearse replaces the file by a copy of itself. It leaves a file with a second name alone: that
// name would keep the old file.
func (f *Folder) Rehearse(old *Content) error {
	if old.stat.Nlink > 1 {
		return nil
	}
	return f.Replace(old, old.Data)
}

// Sync makes durable what was read, in case its writer was killed before doing so.
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
func (f *Folder) exchange(old *Content, temp *durable.New) error {
	letIn := f.keepOthersOut()
	defer letIn()
	if err := f.checkInPlace(); err != nil {
		return err
	}
	switch same, err := f.holds(old); {
	case err != nil:
		return err
	case !same:
		return ErrMoved
	}
	ours, err := f.temporary(temp)
	if err != nil {
		return err
	}
	err = f.put(temp, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) { // the file system does not support it, as NFS
		err = f.put(temp, 0)
	} else if err == nil {
		err = f.dropDisplaced(old, temp, ours)
	}
	if err != nil {
		return err
	}
	return f.sync()
}

func (f *Folder) put(temp *durable.New, flags uint) error {
	if err := temp.Place(f.place.base(), flags); err != nil {
		return f.unavailable(err)
	}
	return nil
}

// dropDisplaced removes the file that was exchanged for the new one. If that is not the file that
// was read, the application has replaced it since the last check, and gets it back. So does one that
// had opened it before and has written to it since. ours is the new one.
func (f *Folder) dropDisplaced(old *Content, temp *durable.New, ours unix.Stat_t) error {
	same, err := f.displaced(old, temp)
	if err == nil && same && f.place.Linger > 0 {
		time.Sleep(f.place.Linger)
		same, err = f.displaced(old, temp)
	}
	switch {
	case err != nil:
		return err
	case !same:
		return errors.Join(ErrMoved, f.giveBack(temp, ours))
	}
	if err := temp.Discard(); err != nil {
		return f.unavailable(err)
	}
	return nil
}

// displaced reports whether the file that was exchanged is still what was read.
func (f *Folder) displaced(old *Content, temp *durable.New) (same bool, err error) {
	now, err := f.temporary(temp)
	if err != nil {
		return false, err
	}
	// Not the time of the last status change, which the rename changes.
	return sameFile(now, old.stat) && now.Mtim == old.stat.Mtim && now.Size == old.stat.Size, nil
}

// giveBack puts what was displaced into its place again, in exchange for what must be there. An application that
// saves twice in a row has put its next file there meanwhile: then that one is the last, and goes back.
func (f *Folder) giveBack(temp *durable.New, expected unix.Stat_t) error {
	for range 10 {
		given, err := f.temporary(temp)
		if err == nil {
			err = f.put(temp, unix.RENAME_EXCHANGE)
		}
		if err != nil {
			return err
		}
		switch got, err := f.temporary(temp); {
		case err != nil:
			return err
		case sameFile(got, expected):
			return nil
		}
		expected = given
	}
	return nil
}

// temporary is the file that has the temporary name now.
func (f *Folder) temporary(temp *durable.New) (now unix.Stat_t, err error) {
	if err := unix.Fstatat(f.fd, temp.Name(), &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return now, f.unavailable(err)
	}
	return now, nil
}

// keepOthersOut makes our processes do their compare-and-swap one after another. The wait is short,
// because an application may lock its folder for its own reasons.
func (f *Folder) keepOthersOut() (release func()) {
	for range 100 {
		if err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	return func() { _ = unix.Flock(f.fd, unix.LOCK_UN) } // Close does it too
}

// checkInPlace checks that the path still leads to the open folder.
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
	if err := durable.SyncFolder(f.fd); err != nil {
		return driver.Unavailable(fmt.Errorf("cannot sync %s: %w", f.place.folder(), err))
	}
	return nil
}

// prepare creates the new file beside the old one.
func (f *Folder) prepare(data []byte) (*durable.New, error) {
	temp, err := durable.Create(f.fd, f.temporaryPrefix()+strconv.Itoa(os.Getpid())+"-"+randomSuffix())
	if err != nil {
		return nil, f.unavailable(err)
	}
	if err := temp.Settle(f.fill(temp, data)); err != nil {
		_ = temp.Discard() // the next writer sweeps what is left
		return nil, f.unavailable(err)
	}
	return temp, nil
}

// fill gives the new file the attributes of the present one, and the new content.
func (f *Folder) fill(temp *durable.New, data []byte) error {
	now, stat, err := f.open()
	if err != nil {
		return err
	}
	defer now.Close()
	if err := durable.KeepAttributes(temp.File, now, keeps); err != nil {
		return err
	}
	if _, err := temp.Write(data); err != nil {
		return err
	}
	return f.date(temp, stat.Mtim.Sec)
}

// maxAhead is how many seconds the time of a file may be ahead of the clock because it was replaced as often.
// One that is more than that is from before the clock was set back.
const maxAhead = 60

// date gives the new file a time in another second than the present one has. dovecot and FreeRADIUS look at nothing
// else to see that a file was replaced by one of the same size.
func (f *Folder) date(temp *durable.New, present int64) error {
	if ahead := present - time.Now().Unix(); ahead < 0 || ahead > maxAhead {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: present + 1}}
	return unix.UtimesNanoAt(f.fd, temp.Name(), times, unix.AT_SYMLINK_NOFOLLOW)
}

// keeps reports whether an attribute belongs to the file as such. Others (security.ima,
// security.capability) belong to its content, or are not visible to us.
func keeps(name string) bool {
	return strings.HasPrefix(name, "user.") || slices.Contains([]string{durable.AccessList, "security.selinux", "security.SMACK64"}, name)
}

func randomSuffix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
