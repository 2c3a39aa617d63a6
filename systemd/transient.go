package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// existsFor is how long an old unit of the same name may take to go away.
const existsFor = 2 * time.Second

// unitExists is systemd's error for a name in use.
const unitExists = "org.freedesktop.systemd1.UnitExists"

type property = systemd.Property

func prop(name string, value any) property {
	return property{Name: name, Value: dbus.MakeVariant(value)}
}

// transientUnit is a unit that is created together with another one.
type transientUnit struct {
	name       string
	properties []property
}

// The D-Bus types of unit settings.
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
	// credential is LoadCredentialEncrypted=: "(ss)".
	credential struct{ ID, From string }
	// filter is SystemCallFilter= or RestrictAddressFamilies=: "(bas)".
	filter struct {
		Allow bool
		Names []string
	}
)

// program is what a transient unit runs: it gets its input on standard input, and leaves nothing
// behind.
type program struct {
	name  string // the part of the unit's name that belongs to this run
	argv  []string
	stdin *os.File // systemd takes a copy
	log   string   // its name in the journal
}

func (p program) check() error {
	plain := func(r rune) bool { return isAlnum(r) || r == '-' || r == '_' }
	switch {
	case p.name == "" || len(p.name) > 64 || strings.IndexFunc(p.name, func(r rune) bool { return !plain(r) }) >= 0:
		return fmt.Errorf("%q cannot be part of a unit's name", p.name)
	case p.stdin == nil:
		return errors.New("it has no standard input")
	case !filepath.IsAbs(p.argv[0]):
		return fmt.Errorf("the path of its program, %q, is not absolute", p.argv[0])
	}
	return nil
}

func (p program) properties() []property {
	return []property{
		// The start waits for the exec, so a denial by the sandbox becomes our error.
		prop("Type", "exec"),
		prop("ExecStart", []command{{p.argv[0], p.argv, false}}),
		prop("StandardInputFileDescriptor", dbus.UnixFD(p.stdin.Fd())),
		prop("StandardOutput", "journal"),
		prop("StandardError", "journal"),
		prop("SyslogIdentifier", p.log),
		prop("CollectMode", "inactive-or-failed"),
	}
}

// limitedTo returns the settings of a program that works for a limited time.
func limitedTo(deadline time.Duration) []property {
	return []property{
		prop("RuntimeMaxUSec", uint64(deadline.Microseconds())),
		// The user it works for may stop it with SIGSTOP, and other signals would then wait for
		// ever.
		prop("KillSignal", int32(syscall.SIGKILL)),
	}
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// startTransient starts a unit that has no file, and waits until it has started. An ended unit of
// the same name may exist for a moment until systemd collects it.
//
// Mode "fail": a worker binds to the broker, so its start also asks for the broker's start, and
// "replace" would cancel a stop of the broker that an administrator waits for.
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
		if !answered(err, unitExists) || time.Now().After(giveUp) {
			return err
		}
		if sleep(ctx, retryPause) != nil {
			return err
		}
	}
}

// queueTransient asks systemd to start a unit that has no file, and does not wait for the start.
// The name must be new.
func (b *Bus) queueTransient(ctx context.Context, name string, props []property) error {
	return b.once(ctx, "start "+name, func(c *systemd.Conn) error {
		_, err := c.StartTransientUnitAux(ctx, name, "fail", props, nil, nil)
		return err
	})
}
