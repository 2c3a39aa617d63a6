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
	// dialLimit bounds each attempt to connect.
	dialLimit = time.Second
	// retryPause is the time between retries of a call that systemd's re-execution interrupted.
	retryPause = 50 * time.Millisecond
	// retryFor is how long systemd may need to come back.
	retryFor = 5 * time.Second
	// reloadLimit bounds a daemon-reload, which cannot be cancelled.
	reloadLimit = time.Minute

	// privateSocket is PID 1's own socket for root, which systemctl uses too.
	privateSocket = "unix:path=/run/systemd/private"
)

// Bus gives access to PID 1: over systemd's private socket or, if that fails, over the system bus.
// The zero value is ready. A process should use one Bus, because it coalesces reloads.
type Bus struct {
	reloads Reloads
	mu      sync.Mutex
	stuck   map[string]int // by store worker: how many of its units cannot be collected
}

// Reload makes systemd read its unit files again (daemon-reload). Calls that arrive while one waits
// for its turn share it.
func (b *Bus) Reload(ctx context.Context) error {
	r := b.reloads.Join(reloadLimit, func(ctx context.Context) error {
		return b.again(ctx, "reload systemd", func(c *systemd.Conn) error { return c.ReloadContext(ctx) })
	})
	over, err := r.Wait(ctx)
	if !over {
		return fmt.Errorf("cannot reload systemd: %w", ctx.Err())
	}
	return err
}

// once runs a call on its own connection.
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

// again repeats an idempotent call until it is answered: systemd drops its connections when it
// re-executes itself, and is off the bus for a moment.
func (b *Bus) again(ctx context.Context, what string, call func(*systemd.Conn) error) error {
	giveUp := time.Now().Add(retryFor)
	for {
		err := b.once(ctx, what, call)
		if err == nil || !cutOff(err) || time.Now().After(giveUp) || sleep(ctx, retryPause) != nil {
			return err
		}
	}
}

// cutOff reports whether a call failed because systemd was not there to answer it.
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

// connect connects to PID 1. For root it uses systemctl's way, which does not depend on the
// dbus-daemon, even if that hangs. The connection ends with ctx or with hangUp.
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
	// godbus closes the connection when its context ends; that also ends a dial that hangs.
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

// dialSystemBus connects to the system bus until ctx ends.
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

// dialPrivate connects to PID 1 directly, which is not a bus and takes no Hello.
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

// authenticate gives the uid as a number, because a name would be looked up in passwd(5).
func authenticate(conn *dbus.Conn) error {
	return conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
}

// answered reports whether err is the D-Bus error of that name, returned by systemd or logind.
func answered(err error, name string) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == name
}
