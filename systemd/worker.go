package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// Bounds of a store worker.
const (
	workerMemory = 256 << 20              // bytes
	workerTasks  = 32                     // processes and threads
	workerStop   = 500 * time.Millisecond // it keeps nothing: a hung one must not delay its successor
)

// WorkerUnit describes a store worker: a process that runs one driver as the owner
// of its store, and answers the broker on its standard input.
type WorkerUnit struct {
	Name     string // of the store: letters, digits, "-" and "_"
	UID, GID int    // must be in passwd(5) and group(5): systemd looks them up
	Binary   string
	Args     []string // without argument 0
	Stdin    *os.File // a connected socket; systemd takes a copy
}

// StartWorker starts a store worker in a transient unit with a sandbox of its own,
// and waits until its program runs. A worker of that name which runs is stopped
// first. The unit ends with the broker's, and leaves nothing behind.
func (b *Bus) StartWorker(ctx context.Context, w WorkerUnit) error {
	if err := w.check(); err != nil {
		return fmt.Errorf("cannot start a store worker: %w", err)
	}
	if err := b.StopWorker(ctx, w.Name); err != nil {
		return err
	}
	return b.startTransient(ctx, workerName(w.Name), w.properties())
}

// StopWorker stops a store worker; one that does not run is stopped.
func (b *Bus) StopWorker(ctx context.Context, name string) error {
	return b.Stop(ctx, workerName(name))
}

func workerName(name string) string { return "shadowsync-store-" + name + ".service" }

func (w WorkerUnit) check() error {
	plain := func(r rune) bool { return isAlnum(r) || r == '-' || r == '_' }
	if w.Name == "" || len(w.Name) > 64 || strings.IndexFunc(w.Name, func(r rune) bool { return !plain(r) }) >= 0 {
		return fmt.Errorf("%q is not fit for the name of a unit", w.Name)
	}
	if w.Stdin == nil {
		return errors.New("it has no standard input")
	}
	if !filepath.IsAbs(w.Binary) {
		return fmt.Errorf("the path of its program, %q, is not absolute", w.Binary)
	}
	return nil
}

func (w WorkerUnit) properties() []property {
	return append(w.service(), sandbox()...)
}

func (w WorkerUnit) service() []property {
	return []property{
		prop("Description", "Credential store worker "+w.Name+" (shadowsync)"),
		// Its start waits for the exec, so that what the sandbox denies is our error.
		prop("Type", "exec"),
		prop("ExecStart", []command{{w.Binary, append([]string{w.Binary}, w.Args...), false}}),
		prop("StandardInputFileDescriptor", dbus.UnixFD(w.Stdin.Fd())),
		prop("StandardOutput", "journal"),
		prop("StandardError", "journal"),
		prop("SyslogIdentifier", "shadowsync-store-"+w.Name),
		prop("CollectMode", "inactive-or-failed"),
		// No After=: the broker may start its workers before it is ready itself.
		prop("BindsTo", []string{BrokerUnit}),
		prop("PartOf", []string{BrokerUnit}),
		prop("TimeoutStopUSec", uint64(workerStop.Microseconds())),
		prop("User", strconv.Itoa(w.UID)),
		prop("Group", strconv.Itoa(w.GID)),
	}
}

// sandbox is everything that a driver can do without, and nothing that would give
// it mounts of its own (ProtectSystem= and its like do): a mount made over the
// store's folder later would be hidden from it, and a password persisted where no
// application looks. What files it may open, the worker limits itself, by Landlock.
func sandbox() []property {
	return append(limits(),
		prop("RestrictAddressFamilies", filter{true, []string{"AF_UNIX"}}),
		prop("RestrictNamespaces", uint64(0)), // a set of allowed ones: none
		prop("RestrictRealtime", true),
		prop("RestrictSUIDSGID", true),
		prop("LockPersonality", true),
		prop("MemoryDenyWriteExecute", true),
		prop("NoNewPrivileges", true),
		prop("CapabilityBoundingSet", uint64(0)),
		prop("AmbientCapabilities", uint64(0)),
		prop("KeyringMode", "private"),
		prop("RemoveIPC", false), // the uid is the application's, and so is its IPC
		prop("SystemCallArchitectures", []string{"native"}),
		prop("SystemCallFilter", filter{true, []string{"@system-service", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}}),
		prop("SystemCallFilter", filter{false, []string{"@privileged", "@resources"}}),
		prop("SystemCallErrorNumber", int32(syscall.EPERM)),
		prop("UMask", uint32(0o077)),
	)
}

// limits keep clear text out of cores and swap, and a hostile store in bounds.
func limits() []property {
	return []property{
		prop("LimitCORE", uint64(0)),
		prop("LimitCORESoft", uint64(0)),
		prop("MemorySwapMax", uint64(0)),
		prop("MemoryMax", uint64(workerMemory)),
		prop("TasksMax", uint64(workerTasks)),
	}
}
