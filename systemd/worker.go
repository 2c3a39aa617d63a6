package systemd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of a store worker.
const (
	workerMemory = 256 << 20              // bytes
	workerTasks  = 32                     // processes and threads
	workerStop   = 500 * time.Millisecond // it keeps no state: if it hangs, it must not delay its successor
)

// WorkerUnit describes a store worker: a process that runs one driver, mostly with the uid of the
// store's owner, and answers the broker on its standard input.
type WorkerUnit struct {
	Name     string // of the store: letters, digits, "-" and "_"
	UID, GID int    // must be in passwd(5) and group(5): systemd looks them up
	// Capabilities, of capabilities(7), are all that uid 0 keeps; another uid has none.
	Capabilities []uintptr
	Network      *Network // nil: it has none. Else a user that exists only for it takes the place of UID
	// Credential is the name of a credential that systemd decrypts for it (systemd-creds(1)); empty: none.
	Credential string
	Binary     string
	Args       []string // without argument 0
	Stdin      *os.File // a connected socket; systemd takes a copy
}

// StartWorker starts a store worker in a transient unit with its own sandbox, and waits until its
// program runs. First it stops a running worker of that name. The unit ends with the broker's, and
// leaves nothing behind.
//
// A process that hangs in the kernel cannot be killed, so its unit is not collected. Then the
// successor gets another unit name: in this call or, if its time is up, in the next.
func (b *Bus) StartWorker(ctx context.Context, w WorkerUnit) error {
	if err := w.check(); err != nil {
		return fmt.Errorf("cannot start a store worker: %w", err)
	}
	unit := b.workerUnit(w.Name)
	if err := b.Stop(ctx, unit); err != nil && ctx.Err() != nil {
		return err
	} else if err == nil {
		if err = b.startTransient(ctx, unit, w.properties()); !answered(err, unitExists) {
			return err
		}
	}
	b.supersede(w.Name, unit)
	return b.startTransient(ctx, b.workerUnit(w.Name), w.properties())
}

// StopWorker stops a store worker. If it does not run, that is no error.
func (b *Bus) StopWorker(ctx context.Context, name string) error {
	return b.Stop(ctx, b.workerUnit(name))
}

// workerUnit is the present unit name of a worker.
func (b *Bus) workerUnit(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return workerName(name, b.stuck[name])
}

// supersede gives the worker's successor another unit name than unit.
func (b *Bus) supersede(name, unit string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stuck == nil {
		b.stuck = map[string]int{}
	}
	if workerName(name, b.stuck[name]) == unit {
		b.stuck[name]++
	}
}

// workerName is a worker's unit name when so many earlier units are stuck. Worker names have no
// colon.
func workerName(name string, stuck int) string {
	if stuck > 0 {
		name += ":" + strconv.Itoa(stuck+1)
	}
	return "shadowsync-store-" + name + ".service"
}

func (w WorkerUnit) program() program {
	return program{w.Name, append([]string{w.Binary}, w.Args...), w.Stdin, "shadowsync-store-" + w.Name}
}

func (w WorkerUnit) check() error { return w.program().check() }

func (w WorkerUnit) properties() []property {
	return slices.Concat(w.program().properties(), []property{
		prop("Description", "Credential store worker "+w.Name+" (shadowsync)"),
		// No After=: the broker may start its workers before it is ready itself.
		prop("BindsTo", []string{BrokerUnit}),
		prop("PartOf", []string{BrokerUnit}),
		prop("TimeoutStopUSec", uint64(workerStop.Microseconds())),
	}, secret(w.Credential), w.rights())
}

// rights are what the sandbox leaves to it.
func (w WorkerUnit) rights() []property {
	if w.Network != nil {
		return slices.Concat(networkOnly(w.Network.families()...), w.Network.properties())
	}
	return slices.Concat([]property{prop("User", strconv.Itoa(w.UID)), prop("Group", strconv.Itoa(w.GID))}, sandbox(), w.capabilities())
}

// capabilities replaces the sandbox's setting: a list of system calls is added to the lists before it.
func (w WorkerUnit) capabilities() []property {
	var set uint64
	for _, c := range w.Capabilities {
		set |= 1 << c
	}
	if set == 0 {
		return nil
	}
	var calls []string
	if slices.Contains(w.Capabilities, unix.CAP_CHOWN) {
		calls = append(calls, "@chown")
	}
	if slices.Contains(w.Capabilities, unix.CAP_SETUID) {
		calls = append(calls, "@setuid")
	}
	return []property{prop("CapabilityBoundingSet", set), prop("SystemCallFilter", filter{true, calls})}
}

// sandbox denies everything that a driver does not need. It uses nothing that creates a mount
// namespace (such as ProtectSystem=): a mount made over the store's folder later would then be
// invisible to the worker, which would persist a password where no application looks. The worker
// itself limits which files it may open, with Landlock.
func sandbox() []property { return sandboxWith("AF_UNIX") }

// sandboxWith is the same, with sockets of these families.
func sandboxWith(families ...string) []property {
	return append(limits(0),
		prop("RestrictAddressFamilies", filter{true, families}),
		prop("RestrictNamespaces", uint64(0)), // the set of allowed namespaces: none
		prop("RestrictRealtime", true),
		prop("RestrictSUIDSGID", true),
		prop("LockPersonality", true),
		prop("MemoryDenyWriteExecute", true),
		prop("NoNewPrivileges", true),
		prop("CapabilityBoundingSet", uint64(0)),
		prop("AmbientCapabilities", uint64(0)),
		prop("KeyringMode", "private"),
		prop("RemoveIPC", false), // the uid is the application's, so its IPC belongs to the application
		prop("SystemCallArchitectures", []string{"native"}),
		prop("SystemCallFilter", filter{true, []string{"@system-service", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}}),
		prop("SystemCallFilter", filter{false, []string{"@privileged", "@resources"}}),
		prop("SystemCallErrorNumber", int32(syscall.EPERM)),
		prop("UMask", uint32(0o077)),
	)
}

// limits keeps clear text out of core dumps and swap, and limits a hostile store.
func limits(memory int64) []property {
	return []property{
		prop("LimitCORE", uint64(0)),
		prop("LimitCORESoft", uint64(0)),
		prop("MemorySwapMax", uint64(0)),
		prop("MemoryMax", uint64(cmp.Or(memory, workerMemory))),
		prop("TasksMax", uint64(workerTasks)),
	}
}
