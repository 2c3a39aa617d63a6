package storeworker

import (
	"errors"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/safefile"
)

// Rights are what a worker needs for its store: a uid and gid and, if Folder is set, the
// capabilities with which uid 0 replaces another user's file.
type Rights struct {
	safefile.Identity
	Folder bool
}

// LookCapabilities are what a worker has that finds its store's owner in a folder that not even root may
// enter without them, and becomes that user.
func LookCapabilities() []uintptr {
	return []uintptr{unix.CAP_DAC_READ_SEARCH, unix.CAP_SETUID, unix.CAP_SETGID}
}

// Needs returns the rights that a worker for this store must have: the uid and gid of the store
// file's owner, or of its folder's while the file is missing. See driver.FolderWorker for the
// exception.
func Needs(o store.Options) (Rights, error) {
	owner, folder, err := safefile.Place{Root: o.Root, Path: o.Path}.Owner()
	if err != nil {
		return Rights{}, err
	}
	d, err := store.Find(o.Driver)
	if err != nil {
		return Rights{}, err
	}
	if d.Placement(o) != driver.FolderWorker || owner.UID == 0 || folder.UID != 0 || writes(owner, folder) {
		return Rights{Identity: owner}, nil
	}
	if err := ofRoots(o); err != nil {
		return Rights{}, err
	}
	return Rights{Folder: true}, nil
}

// writes reports whether the mode of root's folder lets a user write.
func writes(user safefile.Identity, folder safefile.Owned) bool {
	return folder.Mode&0o002 != 0 || folder.Mode&0o020 != 0 && folder.GID == user.GID
}

// shared are folders that hold files of others too. A worker that may write there could do more
// than its driver.
var shared = []string{"/", "/etc", "/usr", "/var", "/var/lib", "/home", "/root", "/boot", "/run"}

// ofRoots returns why the capabilities cannot be given for a store's folder. If another user could
// replace a folder on the way, that user could choose which folder they are used in.
func ofRoots(o store.Options) error {
	path := filepath.Dir(o.Path)
	if slices.Contains(shared, path) {
		return driver.Malformed("%s belongs to another user than root: it must be in a folder of its own, and not in %s", o.Path, path)
	}
	folder, err := rootonly.Folder(o.Root, path)
	if others := (*rootonly.Error)(nil); errors.As(err, &others) {
		return driver.Malformed("%s can be replaced neither by its owner nor safely by root: %s", o.Path, others)
	}
	if err != nil {
		return driver.Unavailable(err)
	}
	return folder.Close()
}
