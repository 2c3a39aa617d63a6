package durable

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// AccessList is the attribute with a POSIX access control list, acl(5).
const AccessList = "system.posix_acl_access"

// OfContent reports whether an attribute describes a file's content or inode, like those of IMA and
// EVM: a copy would be wrong, and the kernel creates its own.
func OfContent(name string) bool { return name == "security.ima" || name == "security.evm" }

// KeepAttributes copies from like to file: the owner, the mode and the extended attributes that
// keep accepts. If one of them cannot be kept, that is an error.
func KeepAttributes(file, like *os.File, keep func(name string) bool) error {
	to, from := int(file.Fd()), int(like.Fd())
	var want unix.Stat_t
	if err := unix.Fstat(from, &want); err != nil {
		return err
	}
	// In this order: chown(2) clears the set-id bits, and an access list that new files inherit
	// from the folder would change the group bits of the mode.
	if err := keepOwner(to, want); err != nil {
		return fmt.Errorf("cannot keep the owner: %w", err)
	}
	if err := dropAccessList(from, to); err != nil {
		return fmt.Errorf("cannot drop an inherited access list: %w", err)
	}
	if err := unix.Fchmod(to, want.Mode&0o7777); err != nil {
		return fmt.Errorf("cannot keep the mode: %w", err)
	}
	names, err := attributes(from)
	if err != nil {
		return fmt.Errorf("cannot list the attributes: %w", err)
	}
	for _, name := range names {
		if !keep(name) {
			continue
		}
		if err := keepAttribute(from, to, name); err != nil {
			return fmt.Errorf("cannot keep the attribute %s: %w", name, err)
		}
	}
	return nil
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
	if value, err := attribute(from, AccessList); err != nil || value != nil {
		return err
	}
	err := unix.Fremovexattr(to, AccessList)
	if absent(err) {
		return nil
	}
	return err
}

func keepAttribute(from, to int, name string) error {
	want, err := attribute(from, name)
	if err != nil || want == nil {
		return err
	}
	if have, err := attribute(to, name); err == nil && bytes.Equal(have, want) {
		return nil // this process may be allowed to have a security label, but not to set it
	}
	return unix.Fsetxattr(to, name, want, 0)
}

// attributes returns the names of a file's extended attributes.
func attributes(fd int) ([]string, error) {
	list, err := sized(func(buffer []byte) (int, error) { return unix.Flistxattr(fd, buffer) })
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }), nil
}

// attribute returns the value of an attribute; nil: the file does not have it.
func attribute(fd int, name string) ([]byte, error) {
	return sized(func(buffer []byte) (int, error) { return unix.Fgetxattr(fd, name, buffer) })
}

// sized asks with a small buffer, then with one of the kernel's maximum size (XATTR_SIZE_MAX and
// XATTR_LIST_MAX are 64 KiB).
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

// absent reports whether the file lacks the attribute, or its file system has no attributes.
func absent(err error) bool { return errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) }
