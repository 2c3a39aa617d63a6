package socket

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shadowsync/shadowsync/internal/test/eventually"
)

func listen(t *testing.T, path string) *Listener {
	t.Helper()
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connected returns a listener and its end of one connection, whose other end stays open.
func connected(t *testing.T, path string) (*Listener, *Conn) {
	t.Helper()
	l := listen(t, path)
	client, err := Dial(background(t), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := l.Accept(background(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return l, server
}

func TestListenAcceptDial(t *testing.T) {
	keepsDescriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	l, server := connected(t, path)
	peer, err := server.Peer()
	if err != nil {
		t.Fatal(err)
	}
	if peer.PID != os.Getpid() || peer.UID != os.Getuid() || peer.GID != os.Getgid() {
		t.Errorf("peer %+v", peer)
	}
	if peer.Process != nil && !peer.Alive() {
		t.Error("this process is said to be dead")
	}
	peer.Close()
	if peer.Close() != nil || peer.Alive() {
		t.Error("a closed peer proves nothing, and may be closed twice")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// peerPath tells the test program that it is the peer, and where it connects to.
const peerPath = "SHADOWSYNC_TEST_PEER"

func TestPeerDies(t *testing.T) {
	if path := os.Getenv(peerPath); path != "" {
		playPeer(t, path)
		return
	}
	keepsDescriptors(t)
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	cmd := exec.Command(os.Args[0], "-test.run=^TestPeerDies$")
	cmd.Env = append(os.Environ(), peerPath+"="+path)
	cmd.Stdin = theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	c, err := l.Accept(background(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := c.Peer()
	if err != nil || peer.PID != cmd.Process.Pid {
		t.Fatalf("peer %+v, %v", peer, err)
	}
	defer peer.Close()
	if peer.Process == nil {
		t.Skip("needs Linux 6.5")
	}
	if !peer.Alive() {
		t.Error("dead before its time")
	}
	ours.Close()
	eventually.Holds(t, "its death, as a zombie still", func() bool { return !peer.Alive() })
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// playPeer connects, and waits for the end of its input. That is a socket that does not block, so
// that a program which expects a blocking one would end at once.
func playPeer(t *testing.T, path string) {
	c, err := Dial(background(t), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
}

// TestAliveWhileInterrupted: the Go runtime interrupts its threads with signals, to let another
// goroutine run. poll(2) then fails with EINTR even if it need not wait, which is no death.
func TestAliveWhileInterrupted(t *testing.T) {
	_, server := connected(t, filepath.Join(t.TempDir(), "s"))
	peer, err := server.Peer()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if peer.Process == nil {
		t.Skip("needs Linux 6.5")
	}
	runtime.LockOSThread() // the thread that asks is the one that gets the signals
	defer runtime.UnlockOSThread()
	asker, over, interrupted := unix.Gettid(), make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-over:
				interrupted <- n
				return
			default:
				if unix.Tgkill(os.Getpid(), asker, unix.SIGURG) == nil {
					n++
				}
			}
		}
	}()
	dead := 0
	for range 150_000 {
		if !peer.Alive() {
			dead++
		}
	}
	close(over)
	n := <-interrupted
	if dead > 0 || n == 0 {
		t.Errorf("dead %d times, interrupted %d times", dead, n)
	}
}

func TestListenMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	for _, umask := range []int{0, 0o077, 0o777} {
		for _, mode := range []fs.FileMode{0o600, 0o666, 0o660} {
			syscall.Umask(umask)
			path := filepath.Join(t.TempDir(), "s")
			_ = os.Chmod(filepath.Dir(path), 0o700)
			var seen []fs.FileMode
			stop, watched := make(chan struct{}), make(chan struct{})
			go func() { defer close(watched); seen = modes(path, stop) }()
			l, err := Listen(path, mode)
			close(stop)
			<-watched
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode().Perm() != mode {
				t.Errorf("umask %o: mode %v, want %v (%v)", umask, info.Mode(), mode, err)
			}
			for _, m := range seen {
				if m&^mode != 0 {
					t.Errorf("umask %o: was %v for a moment, want %v", umask, m, mode)
				}
			}
			l.Close()
		}
	}
}

// modes collects the permissions that path shows until stop.
func modes(path string, stop <-chan struct{}) (seen []fs.FileMode) {
	for {
		if info, err := os.Lstat(path); err == nil {
			seen = append(seen, info.Mode().Perm())
		}
		select {
		case <-stop:
			return seen
		default:
		}
	}
}

func TestListenReplacesOnlyStaleSockets(t *testing.T) {
	keepsDescriptors(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")

	t.Run("stale", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		listen(t, path)
	})
	t.Run("alive and ours", func(t *testing.T) {
		listen(t, path)
		if _, err := Listen(path, 0o600); !errors.Is(err, ErrInUse) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("alive without the lock, queue full", func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := Listen(path, 0o600); !errors.Is(err, ErrInUse) {
				t.Errorf("got %v", err)
			}
		}
		os.Remove(path)
	})
	for _, kind := range []string{"file", "symlink"} {
		t.Run(kind, func(t *testing.T) {
			if kind == "file" {
				os.WriteFile(path, nil, 0o600)
			} else {
				os.Symlink("elsewhere", path)
			}
			defer os.Remove(path)
			if l, err := Listen(path, 0o600); err == nil {
				l.Close()
				t.Error("was replaced")
			}
			if _, err := os.Lstat(path); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("path too long", func(t *testing.T) {
		if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120)), 0o600); err == nil {
			t.Error("no error")
		}
	})
}

func TestListenRace(t *testing.T) {
	keepsDescriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		results := make(chan *Listener, 4)
		for range cap(results) {
			go func() {
				l, err := Listen(path, 0o600)
				if err != nil && !errors.Is(err, ErrInUse) {
					t.Error(err)
				}
				results <- l
			}()
		}
		var won []*Listener
		for range cap(results) {
			if l := <-results; l != nil {
				won = append(won, l)
			}
		}
		if len(won) != 1 {
			t.Errorf("%d listeners", len(won))
		}
		for _, l := range won {
			// A crash: the socket stays, the lock is gone.
			l.file.Close()
			l.lock.Close()
		}
	}
}

func TestDialEnds(t *testing.T) {
	keepsDescriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	if _, err := Dial(background(t), path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("nobody there: %v", err)
	}
	l := listen(t, path)
	if err := control(l.file, func(fd int) error { return unix.Listen(fd, 0) }); err != nil {
		t.Fatal(err)
	}
	first, err := Dial(background(t), path) // fills the queue
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Dial(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("full queue: %v", err)
	}
	go func() {
		if c, err := l.Accept(background(t)); err == nil {
			c.Close()
		}
	}()
	c, err := Dial(background(t), path)
	if err != nil {
		t.Fatalf("after a place was free: %v", err)
	}
	c.Close()
}
