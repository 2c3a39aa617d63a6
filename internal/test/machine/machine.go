// Package machine boots throwaway machines for tests: a real systemd as process 1, with its own
// logind, journald, sshd, PAM and passwd, in well under a second each. A machine cannot change the
// host's accounts, services or network.
//
//	m := machine.Boot(t, machine.Bookworm)
//	m.AddUser("admin", "old password")
//	m.Input("new password\nnew password\n").Must("passwd", "admin")
//	if !m.Login("admin", "new password") { … }
//
// It promises that a machine has the rights and system calls that a real one gives its services
// (sandboxed units, fanotify, memfd), that its network has only loopback, that its disk survives
// Reboot and Kill, and that Close leaves no process, mount or cgroup of it. If the owner was
// killed, the next New removes them.
//
// Limits: Kill stops every process at the same instant but keeps what was written without fsync(2).
// The clock, the kernel's settings in /proc/sys and the limits MemoryMax=, TasksMax= and CPUQuota=
// are the host's.
//
// Machine returns errors and suits programs. T is the same for tests, where an error ends the test.
//
//	machine.go, boot.go, power.go        a machine and its boots
//	twin.go                              a second machine from the disk of a running one
//	disk.go, cgroup.go, sweep.go         the host's resources that it uses and frees
//	command.go, process.go, terminal.go, files.go, interactive.go, keyboard.go, letgo.go, buffer.go
//	                                     commands, terminals and files on it
//	login.go, appliance.go, install.go   accounts, the seed's appliance, our programs
//	dial.go                              its network
//	t.go, t_appliance.go, call.go, dialogue.go
//	                                     all of that for tests
//	pace.go                              how many tests boot machines at a time
//	base/                                the installed systems that machines boot from
//	browser/                             a person at a browser there
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

	"github.com/shadowsync/shadowsync/internal/test/machine/base"
)

// A Release is the Debian release a machine runs.
type Release = base.Release

// The releases that everything is tested on.
const (
	Bookworm = base.Bookworm
	Trixie   = base.Trixie
)

// A Layer is a set of packages beyond those of every machine.
type Layer = base.Layer

// The layers. None of their services is enabled: a test starts what it needs.
const (
	Bare       = base.Bare
	Apps       = base.Apps       // bookworm: servers that keep passwords of their own
	WordPress  = base.WordPress  // trixie: WordPress 6.8, MariaDB 11 and PostgreSQL 17
	Directory  = base.Directory  // bookworm: a directory server, sssd and nslcd
	Mail       = base.Mail       // bookworm: a mail server that wants a login over TLS
	Peers      = base.Peers      // bookworm: other modules that ask for second factors
	Shells     = base.Shells     // bookworm: another shell for operators
	Browser    = base.Browser    // bookworm: Chromium, and a mail server
	Cockpit    = base.Cockpit    // both releases: the web console
	Authselect = base.Authselect // trixie: authselect, and the profiles that Fedora has
	Tracer     = base.Tracer     // bookworm: strace
	Tester     = base.Tester     // both releases: autopkgtest
)

// Releases lists them, oldest first.
var Releases = []Release{Bookworm, Trixie}

// Options say how a machine differs from the usual one, which is the zero value.
type Options struct {
	Hostname string    // "node1" if empty
	Layer    Layer     // additional Debian packages; their tree is built at first use
	Progress io.Writer // receives messages about building a tree; os.Stderr if nil
}

// A Machine is a system that is on or off. Its methods may be called concurrently.
type Machine struct {
	name   string
	kind   base.Kind
	disk   *disk
	cgroup *cgroup

	mu      sync.Mutex
	current *boot         // the current or the last boot
	changed chan struct{} // closed and replaced when current changes
	held    bool          // no automatic new boot, because it was killed or closed
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
	kind := base.Kind{Release: release, Layer: options.Layer}
	tree, err := base.Open(ctx, kind, options.Progress)
	if err != nil {
		return nil, err
	}
	disk, err := newDisk(tree, release, nil)
	if err != nil {
		return nil, errors.Join(err, tree.Close())
	}
	m := &Machine{name: disk.name, kind: kind, disk: disk, changed: make(chan struct{})}
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

// Root is the path of the machine's root on the host. While the machine runs, its own /run, /proc,
// /sys and /dev are not visible there.
func (m *Machine) Root() string { return m.disk.root }

// Close ends the machine at once and removes everything of it from the host.
func (m *Machine) Close() error {
	var errs []error
	if m.cgroup != nil {
		errs = append(errs, m.Kill(), m.cgroup.remove())
	}
	return errors.Join(append(errs, m.disk.remove())...)
}

// An UnavailableError says what the host lacks for test machines.
type UnavailableError struct{ Lacks []string }

func (e *UnavailableError) Error() string {
	return "cannot boot test machines here: needs " + strings.Join(e.Lacks, ", ")
}

// tools maps required programs to their Debian packages.
var tools = map[string]string{
	"systemd-nspawn": "systemd-container",
	"debootstrap":    "debootstrap",
	"nsenter":        "util-linux",
	"unshare":        "util-linux",
	"apt-get":        "apt",
}

// Available returns nil if this host can boot machines, else an *UnavailableError.
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
