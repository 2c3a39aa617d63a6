package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	// dialLimit bounds each of the ways there.
	dialLimit = time.Second
	// retryPause is between the tries of a call that systemd's re-execution cut off.
	retryPause = 50 * time.Millisecond
	// retryFor is how long systemd may need to come back.
	retryFor = 5 * time.Second
	// reloadLimit bounds a daemon-reload, which nobody can call back.
	reloadLimit = time.Minute

	// privateSocket is PID 1's own, for root: what systemctl itself uses.
	privateSocket = "unix:path=/run/systemd/private"
)

// Bus gives access to PID 1: over systemd's private socket, or over the system bus
// where that is not to be had. The zero value is ready; one Bus serves a process,
// for it coalesces reloads.
type Bus struct {
	mu      sync.Mutex
	next    *reload    // the reload that has not begun yet
	reloads sync.Mutex // held while a reload runs
}

type reload struct {
	done chan struct{}
	err  error
}

// Reload makes systemd read its unit files again (daemon-reload). Calls that come
// while one waits for its turn share it.
func (b *Bus) Reload(ctx context.Context) error {
	r := b.joinReload()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("cannot reload systemd: %w", ctx.Err())
	}
}

func (b *Bus) joinReload() *reload {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = &reload{done: make(chan struct{})}
		go b.runReload(b.next)
	}
	return b.next
}

// runReload has a time limit of its own: others than the first caller wait for it.
func (b *Bus) runReload(r *reload) {
	b.reloads.Lock()
	defer b.reloads.Unlock()
	b.mu.Lock()
	b.next = nil // what is written from now on needs the reload after this one
	b.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), reloadLimit)
	defer cancel()
	r.err = b.again(ctx, "reload systemd", func(c *systemd.Conn) error { return c.ReloadContext(ctx) })
	close(r.done)
}

// once runs a call on a connection of its own.
func (b *Bus) once(ctx context.Context, what string, call func(*systemd.Conn) error) error {
	conn, hangUp, err := connect(ctx)
	if err == nil {
		defer hangUp()
		err = call(conn)
	}
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return nil
}

// again runs an idempotent call until it was answered: systemd that re-executes
// itself drops its connections and is off the bus for a moment.
func (b *Bus) again(ctx context.Context, what string, call func(*systemd.Conn) error) error {
	giveUp := time.Now().Add(retryFor)
	for {
		err := b.once(ctx, what, call)
		if err == nil || !cutOff(err) || time.Now().After(giveUp) || sleep(ctx, retryPause) != nil {
			return err
		}
	}
}

// cutOff tells whether a call failed because nobody was there to answer it.
func cutOff(err error) bool {
	var answer dbus.Error
	if errors.As(err, &answer) {
		switch answer.Name {
		case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Disconnected",
			"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
			"org.freedesktop.systemd1.NoSuchManager", "org.freedesktop.DBus.Error.Spawn.ChildExited":
			return true
		}
		return false
	}
	return errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}

// connect finds PID 1, for root where systemctl does: a dbus-daemon that hangs or is
// gone costs nothing there. The connection ends with ctx or with hangUp.
func connect(ctx context.Context) (conn *systemd.Conn, hangUp func(), err error) {
	if os.Geteuid() != 0 {
		return connectTo(ctx, dialSystemBus)
	}
	conn, hangUp, err = connectTo(ctx, dialPrivate)
	if err == nil || ctx.Err() != nil {
		return conn, hangUp, err
	}
	conn, hangUp, over := connectTo(ctx, dialSystemBus)
	if over != nil {
		return nil, nil, errors.Join(err, over)
	}
	return conn, hangUp, nil
}

func connectTo(ctx context.Context, dial func(context.Context) (*dbus.Conn, error)) (*systemd.Conn, func(), error) {
	life, end := context.WithCancel(ctx)
	// godbus closes the connection with its context, which also ends a dial that hangs.
	tooLong := time.AfterFunc(dialLimit, end)
	conn, err := systemd.NewConnection(func() (*dbus.Conn, error) { return dial(life) })
	if !tooLong.Stop() && err == nil {
		conn.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return conn, func() { conn.Close(); end() }, nil
}

// dialSystemBus connects to the system bus for as long as ctx lives.
func dialSystemBus(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.SystemBusPrivate(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot reach the system bus: %w", err)
	}
	if err = authenticate(conn); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("cannot reach the system bus: %w", err)
	}
	return conn, nil
}

// dialPrivate connects to PID 1 itself, which is no bus and takes no Hello.
func dialPrivate(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.Dial(privateSocket, dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot reach systemd: %w", err)
	}
	if err := authenticate(conn); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("cannot reach systemd: %w", err)
	}
	return conn, nil
}

// authenticate names the uid as a number: a name would be looked up in passwd(5).
func authenticate(conn *dbus.Conn) error {
	return conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
}

// answered tells whether err is the error of that name, as systemd or logind gave it.
func answered(err error, name string) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == name
}
