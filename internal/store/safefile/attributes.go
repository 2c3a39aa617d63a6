package safefile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const accessList = "system.posix_acl_access"

// keepAttributes gives the new file what the present one has: owner, mode,
// access list, security label and user attributes. A file that would lose one of
// them is not put in place.
func (f *Folder) keepAttributes(file *os.File) error {
	now, stat, err := f.open()
	if err != nil {
		return err
	}
	defer now.Close()
	from, to := int(now.Fd()), int(file.Fd())
	// In this order: chown(2) takes the set-id bits, and an access list that the
	// folder gives to new files would take the group bits of the mode.
	if err := keepOwner(to, stat); err != nil {
		return fmt.Errorf("cannot keep the owner: %w", err)
	}
	if err := dropAccessList(from, to); err != nil {
		return fmt.Errorf("cannot drop an inherited access list: %w", err)
	}
	if err := unix.Fchmod(to, stat.Mode&0o7777); err != nil {
		return fmt.Errorf("cannot keep the mode: %w", err)
	}
	return keepExtended(from, to)
}

func keepOwner(to int, want unix.Stat_t) error {
	var have unix.Stat_t
	if err := unix.Fstat(to, &have); err != nil {
		return err
	}
	if have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return unix.Fchown(to, int(want.Uid), int(want.Gid))
}

func dropAccessList(from, to int) error {
	if value, err := extended(from, accessList); err != nil || value != nil {
		return err
	}
	err := unix.Fremovexattr(to, accessList)
	if absent(err) {
		return nil
	}
	return err
}

func keepExtended(from, to int) error {
	names, err := extendedNames(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := keepOne(from, to, name); err != nil {
			return fmt.Errorf("cannot keep the attribute %s: %w", name, err)
		}
	}
	return nil
}

func keepOne(from, to int, name string) error {
	want, err := extended(from, name)
	if err != nil || want == nil {
		return err
	}
	if have, err := extended(to, name); err == nil && bytes.Equal(have, want) {
		return nil // a security label may be ours to have and not ours to set
	}
	return unix.Fsetxattr(to, name, want, 0)
}

// extendedNames lists the attributes that belong to the file as such. The
// others (security.ima, security.capability) belong to its content, or are not for
// us to see.
func extendedNames(fd int) ([]string, error) {
	list, err := sized(func(buffer []byte) (int, error) { return unix.Flistxattr(fd, buffer) })
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if strings.HasPrefix(name, "user.") || name == accessList || name == "security.selinux" || name == "security.SMACK64" {
			names = append(names, name)
		}
	}
	return names, nil
}

// extended returns an attribute; nil: the file does not have it.
func extended(fd int, name string) ([]byte, error) {
	return sized(func(buffer []byte) (int, error) { return unix.Fgetxattr(fd, name, buffer) })
}

// sized asks with a small buffer, then with one of the kernel's own bound (XATTR_SIZE_MAX).
func sized(ask func([]byte) (int, error)) ([]byte, error) {
	buffer := make([]byte, 256)
	n, err := ask(buffer)
	if errors.Is(err, unix.ERANGE) {
		buffer = make([]byte, 64<<10)
		n, err = ask(buffer)
	}
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return buffer[:n], nil
}

// absent: the file does not have the attribute, or its file system has none.
func absent(err error) bool { return errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) }
