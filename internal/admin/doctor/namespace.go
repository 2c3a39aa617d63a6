package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inPrivateMounts runs do on a thread in its own mount namespace, where /etc is a copy that do may
// change and /run is empty. Programs started by do are in it too; the namespace disappears when the
// last one has ended.
//
// do must open every file on its own goroutine, because other threads see the host's files.
func inPrivateMounts(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the namespace with the thread.
		runtime.LockOSThread()
		err := enterPrivateMounts(ctx)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// errNoNamespace: this machine, such as a container, does not allow mounts.
var errNoNamespace = errors.New("no private mounts here")

// staging is a folder that every system has; in the namespace a new tmpfs covers it.
const staging = "/tmp"

func enterPrivateMounts(ctx context.Context) error {
	// By default a thread shares its working folder with the process, and unshare(2) refuses a new
	// mount namespace to such a thread.
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	// Otherwise systemd's shared propagation would mount the following on the host too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	for _, folder := range []string{staging, "/run"} {
		if err := unix.Mount("tmpfs", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
			return fmt.Errorf("%w: %w", errNoNamespace, err)
		}
	}
	copied := filepath.Join(staging, "etc")
	if err := copyTree(ctx, "/etc", copied); err != nil {
		return fmt.Errorf("cannot copy /etc: %w", err)
	}
	if err := unix.Mount(copied, "/etc", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	return nil
}

// copyTree copies folders, files and links with their modes and owners. It skips sockets and
// devices, which a password change does not need.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		target := to + path[len(from):]
		info, err := d.Info()
		if err == nil {
			err = copyEntry(path, target, info)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func copyEntry(path, target string, info fs.FileInfo) error {
	var err error
	switch {
	case info.Mode().IsRegular():
		err = copyFile(path, target)
	case info.IsDir():
		err = os.Mkdir(target, 0o700)
	case info.Mode()&fs.ModeSymlink != 0:
		var to string
		if to, err = os.Readlink(path); err == nil {
			return os.Symlink(to, target)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	return errors.Join(os.Chown(target, int(st.Uid), int(st.Gid)), os.Chmod(target, info.Mode()))
}

func copyFile(path, target string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
