package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// backlog is the number of connections the kernel queues before a connect waits.
const backlog = 128

// ErrInUse means that another process listens at the path.
var ErrInUse = errors.New("the socket is in use")

// Listener accepts connections.
type Listener struct {
	file *os.File
	in   direction
	path string   // to remove on Close; empty for a socket from systemd
	lock *os.File // held while this Listener owns the socket at path
}

// Listen creates a socket at path with exactly mode, whatever the umask, and never with a wider
// mode for a moment. It removes an old socket after proving that nobody listens on it; if somebody
// does, the error is [ErrInUse]; anything else at path is an error, too. Its folder must not be
// writable for others.
//
// The lock on path+".lock", a file that stays behind, makes "prove, remove, bind" one step between
// processes that use this function.
func Listen(path string, mode fs.FileMode) (*Listener, error) {
	lock, err := lockPath(path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	l, err := listenLocked(path, mode)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("cannot listen at %s: %w", path, err)
	}
	l.path, l.lock = path, lock
	return l, nil
}

func lockPath(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = control(lock, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func listenLocked(path string, mode fs.FileMode) (*Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, flags, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	if err := bind(file, path, mode); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return newListener(file)
}

// bind sets the socket's mode before it has a name: the kernel creates the file with the mode of
// the socket's own inode, less the umask, so it is never wider than requested. It restores what the
// umask removed before anybody can connect.
func bind(file *os.File, path string, mode fs.FileMode) error {
	return control(file, func(fd int) error {
		if err := unix.Fchmod(fd, uint32(mode.Perm())); err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		if err := os.Chmod(path, mode.Perm()); err != nil {
			return err
		}
		return unix.Listen(fd, backlog)
	})
}

// removeStale removes a socket that nobody listens on. Only ECONNREFUSED proves that.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file that is not a socket")
	}
	fd, err := unix.Socket(unix.AF_UNIX, flags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if !errors.Is(err, unix.ECONNREFUSED) {
		return ErrInUse // connected, queue full, another type of socket, not allowed
	}
	return os.Remove(path)
}

// FromSystemd returns the listeners that systemd passed to this process (sd_listen_fds(3)), by
// name: FileDescriptorName= of the socket unit, or the unit's name. It is empty for a process
// started by hand. Only the first call returns them. A duplicate name, or another kind of socket,
// is an error.
func FromSystemd() (map[string]*Listener, error) {
	listeners := make(map[string]*Listener)
	files := activation.Files(true)
	defer CloseAll(files) // the listeners have their own descriptors
	for _, f := range files {
		if err := addListener(listeners, f); err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return nil, fmt.Errorf("cannot use socket %s of systemd: %w", f.Name(), err)
		}
	}
	return listeners, nil
}

func addListener(listeners map[string]*Listener, f *os.File) error {
	if listeners[f.Name()] != nil {
		return errors.New("the name came twice")
	}
	own, err := adopt(f, true)
	if err != nil {
		return err
	}
	listeners[f.Name()], err = newListener(own)
	return err
}

func newListener(f *os.File) (*Listener, error) {
	in, _, err := directions(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Listener{file: f, in: in}, nil
}

// Accept waits for a connection.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	var accepted int
	err := l.in.do(ctx, func(fd int) (err error) {
		accepted, _, err = unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot accept a connection: %w", err)
	}
	return newConn(os.NewFile(uintptr(accepted), "accepted"))
}

// Close stops listening. It removes a socket that [Listen] created; a socket from systemd stays,
// and systemd still listens on it.
func (l *Listener) Close() error {
	if l.lock == nil {
		return l.file.Close()
	}
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close(), l.lock.Close())
}
