package shadowfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// tempName is the temporary's name in the etc folder: the one of shadow-utils,
// so that its tools overwrite what a killed writer of ours left.
const tempName = shadowName + "+"

// replace puts a file of these lines in the place of old. After an error the
// old file stands and the temporary is gone; only an error that the folder could
// not be synced comes after the rename.
func (l *lock) replace(old *os.File, lines []string) error {
	etc := int(l.tree.etc.Fd())
	temp, err := l.createTemp()
	if err != nil {
		return err
	}
	err = errors.Join(fill(temp, old, lines), temp.Close())
	if err == nil {
		err = unix.Renameat(etc, tempName, etc, shadowName)
	}
	if err != nil {
		_ = unix.Unlinkat(etc, tempName, 0)
		return failed("replace", old.Name(), err)
	}
	if err := l.tree.etc.Sync(); err != nil {
		return fmt.Errorf("cannot make the replacement of %s durable: %w", old.Name(), err)
	}
	return nil
}

// createTemp makes the temporary. Under the lock one that exists is a killed writer's.
func (l *lock) createTemp() (*os.File, error) {
	etc, path := int(l.tree.etc.Fd()), l.tree.path(tempName)
	if err := unix.Unlinkat(etc, tempName, 0); err != nil && err != unix.ENOENT {
		return nil, failed("remove stale file", path, err)
	}
	fd, err := unix.Openat(etc, tempName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, failed("create", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// fill makes temp a durable file with old's attributes and these lines. The
// attributes come first, so that no byte is ever under looser rights than old's.
func fill(temp, old *os.File, lines []string) error {
	if err := copyAttributes(temp, old); err != nil {
		return err
	}
	w := bufio.NewWriterSize(temp, 64<<10)
	for _, line := range lines {
		if _, err := w.WriteString(line); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return temp.Sync()
}

// copyAttributes gives temp the owner, mode and extended attributes of old. The
// owner comes first because chown(2) clears mode bits and capabilities.
func copyAttributes(temp, old *os.File) error {
	st, err := stat(old)
	if err != nil {
		return err
	}
	if err := temp.Chown(int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(temp.Fd()), st.Mode&0o7777); err != nil {
		return failed("chmod", temp.Name(), err)
	}
	names, err := listAttributes(old)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyAttribute(temp, old, name); err != nil {
			return failed("keep attribute "+name+" of", old.Name(), err)
		}
	}
	return nil
}

// listAttributes names the extended attributes that describe the file. The SELinux
// label and ACLs are among them. What IMA and EVM hold describes the content and
// the inode instead: a copy would be wrong, and the kernel makes its own.
func listAttributes(file *os.File) ([]string, error) {
	list, err := readAttribute(func(b []byte) (int, error) { return unix.Flistxattr(int(file.Fd()), b) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("list attributes of", file.Name(), err)
	}
	var names []string
	for name := range strings.SplitSeq(string(list), "\x00") {
		if name != "" && name != "security.ima" && name != "security.evm" {
			names = append(names, name)
		}
	}
	return names, nil
}

func copyAttribute(temp, old *os.File, name string) error {
	value, err := readAttribute(func(b []byte) (int, error) { return unix.Fgetxattr(int(old.Fd()), name, b) })
	if err != nil {
		return err
	}
	return unix.Fsetxattr(int(temp.Fd()), name, value, 0)
}

// readAttribute calls read with room for the largest value the kernel gives out
// (XATTR_SIZE_MAX and XATTR_LIST_MAX are 64 KiB).
func readAttribute(read func([]byte) (int, error)) ([]byte, error) {
	buffer := make([]byte, 64<<10)
	n, err := read(buffer)
	return buffer[:max(n, 0)], err
}
