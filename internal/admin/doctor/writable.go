package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqlite"
)

// rehearsalTime limits the wait for the locks of the account files.
const rehearsalTime = 5 * time.Second

// checkWritable replaces each file that a password change replaces (the shadow file and each store)
// by the same content, and writes to the state in place. A readable file with the right owner may
// still have an attribute, a mount point or a quota that prevents its replacement.
func checkWritable(ctx context.Context, e *exam) verdict {
	found := []verdict{rehearse(shadowPath, func() error {
		short, cancel := context.WithTimeout(ctx, rehearsalTime)
		defer cancel()
		return shadowfile.Open("/").Rehearse(short)
	})}
	if e.state == nil {
		return join("", append(found, notChecked("the state cannot be opened"))...)
	}
	found = append(found, rehearse(statePath, func() error { return e.state.Rehearse(ctx) }))
	engine, err := openEngine(ctx, e)
	if err != nil {
		return join("", append(found, fail("%v", err))...)
	}
	defer engine.Close()
	for _, a := range e.config.Applications {
		found = append(found, rehearse(storePath(a), func() error {
			if s, ok := engine.Reconciler(a.Name).Store.(driver.Rehearser); ok {
				return s.Rehearse(ctx)
			}
			return nil
		}))
	}
	return join("the shadow file, the state and each store take a change", found...)
}

// storePath is the file of an application's store.
func storePath(a config.Application) string {
	o, err := store.Parse(a.Store)
	if err != nil || o.Path == "" {
		return sqlite.DefaultPath
	}
	return o.Path
}

func rehearse(path string, try func() error) verdict {
	err := try()
	if err == nil {
		return pass("")
	}
	why, command := obstacle(path, err)
	return fail("%s cannot be written: %s", path, why).by(command, nil)
}

// obstacle finds what prevents the replacement of a file, and the command to remove it. Only the
// administrator knows why it exists.
func obstacle(path string, err error) (why, command string) {
	for _, name := range []string{path, filepath.Dir(path)} {
		var st unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, 0, &st) != nil {
			continue
		}
		switch {
		case st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0:
			return name + " is immutable", "chattr -i " + name
		case st.Attributes&unix.STATX_ATTR_APPEND != 0:
			return name + " is append-only", "chattr -a " + name
		case name == path && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0:
			return name + " is a mount point", "umount --lazy " + name // a process may be reading it
		}
	}
	folder := filepath.Dir(path)
	var fs unix.Statfs_t
	switch statErr := unix.Statfs(folder, &fs); {
	case statErr == nil && fs.Flags&unix.ST_RDONLY != 0:
		mount := mountOf(folder)
		return mount + " is mounted read-only", "mount -o remount,rw " + mount
	case hasText(err, unix.EROFS):
		return folder + " is read-only, as a subvolume may be", "findmnt -T " + folder
	case hasText(err, unix.EDQUOT):
		return "the quota of its owner is used up", "repquota -a"
	case hasText(err, unix.ENOSPC), strings.Contains(err.Error(), sqliteFull):
		return mountOf(folder) + " is full", "df -h " + folder
	case hasText(err, unix.EIO), strings.Contains(err.Error(), sqliteIO):
		return "the disk below " + folder + " returns I/O errors", "journalctl -k -p warning"
	case hasText(err, unix.EACCES):
		return fmt.Sprintf("its owner may not write to %s", folder), "namei -l " + path
	}
	return err.Error(), "namei -l " + path
}

// SQLite's own words for a full disk and for an I/O error.
const (
	sqliteFull = "database or disk is full"
	sqliteIO   = "disk I/O error"
)

// hasText finds an errno also in an error of a worker, which only reports text.
func hasText(err error, errno unix.Errno) bool {
	return errors.Is(err, errno) || strings.Contains(err.Error(), errno.Error())
}

// mountOf is the mount point of a folder.
func mountOf(folder string) string {
	for ; folder != "/"; folder = filepath.Dir(folder) {
		var at unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, folder, 0, 0, &at) == nil && at.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
			break
		}
	}
	return folder
}
