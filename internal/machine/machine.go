// Package machine boots throwaway machines for tests: a real systemd as
// process 1, with its own logind, journald, sshd, PAM and passwd, in well
// under a second each. Nothing a machine does reaches the host's accounts,
// services or network.
//
//	m := machine.Boot(t, machine.Bookworm)
//	m.AddUser("admin", "old password")
//	m.Input("new password\nnew password\n").Must("passwd", "admin")
//	if !m.Login("admin", "new password") { … }
//
// It promises that a machine has the rights and system calls that a real one
// gives its services (sandboxed units, fanotify, memfd), that only loopback is
// in its network, that its disk survives Reboot and Kill, and that nothing of
// it (process, mount, cgroup) is left after Close, nor after the next New
// where the owner was killed.
//
// What it cannot show: Kill stops every process at one instant but keeps what
// was written without fsync(2); the clock, the kernel's settings in /proc/sys
// and the limits MemoryMax=, TasksMax= and CPUQuota= are the host's.
//
// Machine answers errors and suits programs; T is the same for tests, where an
// error ends the test.
//
//	machine.go, boot.go, power.go        a machine and its lives
//	disk.go, cgroup.go, sweep.go         what it takes from the host, and gives back
//	command.go, process.go, terminal.go, files.go, interactive.go, keyboard.go, letgo.go
//	                                     acting on it
//	login.go, appliance.go, install.go   accounts, the seed's appliance, our programs
//	t.go, t_appliance.go, call.go, dialogue.go
//	                                     all of that for tests
//	base/                                the installed systems machines boot from
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/shadowsync/shadowsync/internal/machine/base"
)

// A Release is the Debian release a machine runs.
type Release = base.Release

// The releases that everything is tested on.
const (
	Bookworm = base.Bookworm
	Trixie   = base.Trixie
)

// Releases lists them, oldest first.
var Releases = []Release{Bookworm, Trixie}

// Options say how a machine differs from the usual one. The zero value is the usual one.
type Options struct {
	Hostname string    // "node1" if empty
	Packages []string  // Debian's, beyond those that all machines have; their tree is built at first use
	Progress io.Writer // told of the building of a base tree; os.Stderr if nil
}

// A Machine is a booted, or powered off, system. Its methods may be called at the same time.
type Machine struct {
	name   string
	disk   *disk
	cgroup *cgroup

	mu      sync.Mutex
	current *boot         // the present or last life
	changed chan struct{} // closed and replaced when current changes
	held    bool          // no new life by itself: killed, or closed
}

// New boots a fresh machine and returns when its start-up has finished.
func New(ctx context.Context, release Release, options Options) (*Machine, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	if options.Hostname == "" {
		options.Hostname = "node1"
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	tree, err := base.Open(ctx, base.Kind{Release: release, Packages: options.Packages}, options.Progress)
	if err != nil {
		return nil, err
	}
	disk, err := newDisk(tree, release)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	m := &Machine{name: disk.name, disk: disk, changed: make(chan struct{})}
	if err := m.begin(ctx, options); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Machine) begin(ctx context.Context, options Options) error {
	group, err := newCgroup(m.name)
	if err != nil {
		return err
	}
	m.cgroup = group
	if err := m.disk.setHostname(options.Hostname); err != nil {
		return err
	}
	return m.PowerOn(ctx)
}

// Root is the host's path of the machine's root. With the machine running its
// /run, /proc, /sys and /dev are not what it sees there.
func (m *Machine) Root() string { return m.disk.root }

// Close ends the machine at once and gives everything back to the host.
func (m *Machine) Close() error {
	var errs []error
	if m.cgroup != nil {
		errs = append(errs, m.Kill(), m.cgroup.remove())
	}
	return errors.Join(append(errs, m.disk.remove())...)
}

// An UnavailableError says what a host lacks for machines.
type UnavailableError struct{ Lacks []string }

func (e *UnavailableError) Error() string {
	return "cannot boot test machines here: needs " + strings.Join(e.Lacks, ", ")
}

// tools maps what is run to the Debian package that has it.
var tools = map[string]string{
	"systemd-nspawn": "systemd-container",
	"debootstrap":    "debootstrap",
	"nsenter":        "util-linux",
	"unshare":        "util-linux",
	"apt-get":        "apt",
}

// Available returns nil where machines can be booted, else an *UnavailableError.
func Available() error {
	var lacks []string
	if os.Geteuid() != 0 {
		lacks = append(lacks, "root")
	}
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			lacks = append(lacks, fmt.Sprintf("%s (package %s)", tool, pkg))
		}
	}
	if _, err := cgroupMount(); err != nil {
		lacks = append(lacks, "a mounted cgroup2 hierarchy")
	}
	if lacks == nil {
		return nil
	}
	slices.Sort(lacks)
	return &UnavailableError{Lacks: lacks}
}
