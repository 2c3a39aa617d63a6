package systemd

import (
	"context"
	"os"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// existsFor is how long a unit of the same name may take to go away.
const existsFor = 2 * time.Second

type property = systemd.Property

func prop(name string, value any) property {
	return property{Name: name, Value: dbus.MakeVariant(value)}
}

// transientUnit is a unit that comes along with another one.
type transientUnit struct {
	name       string
	properties []property
}

// The shapes in which D-Bus carries settings of units.
type (
	// command is one ExecStart=: "(sasb)".
	command struct {
		Path          string
		Args          []string // with argument 0
		IgnoreFailure bool
	}
	// timerSpec is one OnActiveSec= or such: "(st)", in microseconds.
	timerSpec struct {
		Base string
		Span uint64
	}
	// filter is SystemCallFilter= or RestrictAddressFamilies=: "(bas)".
	filter struct {
		Allow bool
		Names []string
	}
)

// oneRun are the settings of a program that is given something on its standard input,
// works for a bounded time and leaves nothing behind.
func oneRun(argv []string, stdin *os.File, identifier string, deadline time.Duration) []property {
	return []property{
		prop("Type", "exec"),
		prop("ExecStart", []command{{argv[0], argv, false}}),
		prop("StandardInputFileDescriptor", dbus.UnixFD(stdin.Fd())),
		prop("StandardOutput", "journal"),
		prop("StandardError", "journal"),
		prop("SyslogIdentifier", identifier),
		prop("CollectMode", "inactive-or-failed"),
		prop("RuntimeMaxUSec", uint64(deadline.Microseconds())),
		// Whoever it works for may stop it with SIGSTOP, and other signals would wait for ever.
		prop("KillSignal", int32(syscall.SIGKILL)),
	}
}

// startTransient starts a unit that has no file, and waits until it has started.
// An ended one of the same name may linger for a moment until it is collected.
//
// Mode "fail": a worker binds to the broker, so that its start asks for the broker's
// too, and "replace" would cancel a stop of the broker that an administrator waits for.
func (b *Bus) startTransient(ctx context.Context, name string, props []property, with ...transientUnit) error {
	aux := make([]systemd.PropertyCollection, 0, len(with))
	for _, u := range with {
		aux = append(aux, systemd.PropertyCollection{Name: u.name, Properties: u.properties})
	}
	giveUp := time.Now().Add(existsFor)
	for {
		err := b.job(ctx, "start "+name, func(c *systemd.Conn, done chan<- string) (int, error) {
			return c.StartTransientUnitAux(ctx, name, "fail", props, aux, done)
		})
		if !answered(err, "org.freedesktop.systemd1.UnitExists") || time.Now().After(giveUp) {
			return err
		}
		if sleep(ctx, retryPause) != nil {
			return err
		}
	}
}

// queueTransient has a unit started that has no file, and does not wait for that.
// Its name must be new.
func (b *Bus) queueTransient(ctx context.Context, name string, props []property) error {
	return b.once(ctx, "start "+name, func(c *systemd.Conn) error {
		_, err := c.StartTransientUnitAux(ctx, name, "fail", props, nil, nil)
		return err
	})
}
