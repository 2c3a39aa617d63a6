package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// HelperUnit describes a helper: a short-lived process that does, as root and outside
// the broker's sandbox, one thing that cannot be done inside it. It
// answers on its standard input.
type HelperUnit struct {
	Name     string // of the unit: letters, digits, "-" and "_"
	What     string // for people: "Password change of an operator"
	Binary   string
	Args     []string // without argument 0
	Stdin    *os.File // a connected socket; systemd takes a copy
	Deadline time.Duration
}

// StartHelper has a helper started. It does not wait for the program to run, whose
// socket takes its question already, and tells by its end if nobody reads there. systemd kills it at
// its deadline, whether or not the broker lives; it is not the broker's
// child, for its work is better finished than cut off when the broker dies.
func (b *Bus) StartHelper(ctx context.Context, h HelperUnit) error {
	if err := h.check(); err != nil {
		return fmt.Errorf("cannot start a helper: %w", err)
	}
	return b.queueTransient(ctx, HelperName(h.Name), h.properties())
}

// StopHelper kills a helper; one that has ended is stopped.
func (b *Bus) StopHelper(ctx context.Context, name string) error {
	return b.Stop(ctx, HelperName(name))
}

// HelperName is the name of a helper's unit.
func HelperName(name string) string { return "shadowsync-helper-" + name + ".service" }

func (h HelperUnit) check() error {
	plain := func(r rune) bool { return isAlnum(r) || r == '-' || r == '_' }
	switch {
	case h.Name == "" || len(h.Name) > 64 || strings.IndexFunc(h.Name, func(r rune) bool { return !plain(r) }) >= 0:
		return fmt.Errorf("%q is not fit for the name of a unit", h.Name)
	case h.Stdin == nil:
		return errors.New("it has no standard input")
	case !filepath.IsAbs(h.Binary):
		return fmt.Errorf("the path of its program, %q, is not absolute", h.Binary)
	case h.Deadline <= 0:
		return errors.New("it has no deadline")
	}
	return nil
}

func (h HelperUnit) properties() []property {
	return slices.Concat(limits(), oneRun(append([]string{h.Binary}, h.Args...), h.Stdin, "shadowsync-helper", h.Deadline), []property{
		prop("Description", h.What+" (shadowsync)"),
		prop("KeyringMode", "private"),
	})
}
