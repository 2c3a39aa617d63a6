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

// inPrivateMounts runs do on a thread with a mount namespace of its own, in which
// /etc is a copy that do may change and /run is empty. Programs that do starts live
// there too; when the last has ended, it is gone.
//
// Every file that do opens must be opened on its own goroutine: others see the host.
func inPrivateMounts(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine and takes the namespace along.
		runtime.LockOSThread()
		err := enterPrivateMounts(ctx)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// errNoNamespace: this machine, a container say, lets nobody mount.
var errNoNamespace = errors.New("no private mounts here")

// staging is a folder that every system has; in the namespace it is another one.
const staging = "/tmp"

func enterPrivateMounts(ctx context.Context) error {
	// A thread shares its working folder with the process until told otherwise, and
	// the kernel gives such a thread no mounts of its own (unshare(2)).
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	// Or systemd's shared propagation would show the host what is mounted here.
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

// copyTree copies folders, files and links with their modes and owners. What is
// neither (a socket, a device) has no part in a password change.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
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
