// Package setup wires shadowsync into a machine, and takes it off again.
//
// It promises
//
//   - that nothing is wired before OS and store are known to agree: a first
//     difference that nobody decided ends setup with the machine as it was;
//   - an order that is safe to be interrupted at any point, and idempotence: run
//     again it finishes what was begun, and run once more it changes nothing;
//   - that Remove leaves /etc byte for byte as it was: what setup writes is on
//     record, with its digest, before it is written, and what somebody changed
//     since is left and named.
//
// What `make install` installs (programs, units, PAM module and profile) is looked
// for and never written.
//
//	setup.go          Run: the steps and their order
//	step.go           a step, and the result that tells what became of it
//	check.go          what must be there before anything is done
//	configuration.go  the configuration file, or what is wrong with the flags beside it
//	baseline.go       the first import, and the differences that stop it
//	wiring.go         drop-ins, units, the list of managed accounts
//	shells.go         the operators' shell in /etc/shells
//	pam.go            the lines in the PAM stacks
//	ledger.go         files that are on record
//	systemctl.go      what the bus does not tell
//	remove.go         Remove
//	pamstack/         what a PAM stack does
package setup

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

// Options say what to set up. Unit, Accounts and Store are for a machine without a
// configuration file; beside one they may only repeat what it says.
type Options struct {
	Root   string // where the system is mounted; empty: "/"
	Config string // path of the configuration beneath Root; empty: config.DefaultPath
	Binary string // the program that units run; empty: systemd.DefaultBinary

	Unit     string // with or without ".service"
	Accounts []string
	Store    map[string]any // the table [application.store]; empty: the embedded store

	// First is the side that wins where OS and store differ and no baseline
	// tells who moved; Neither: such a difference stops setup.
	First  shadowsync.Side
	DryRun bool // tell what would be done
}

func (o Options) withDefaults() Options {
	o.Root = filepath.Clean(cmp.Or(o.Root, "/"))
	o.Config = cmp.Or(o.Config, config.DefaultPath)
	o.Binary = cmp.Or(o.Binary, systemd.DefaultBinary)
	return o
}

// job is one run of setup or remove.
type job struct {
	Options
	bus    *systemd.Bus
	ledger *ledger
	config *config.Config
	text   []byte // the configuration to write; nil: the one in place
	result Result
}

func newJob(o Options) *job {
	o = o.withDefaults()
	return &job{Options: o, bus: &systemd.Bus{}, ledger: &ledger{root: o.Root}, result: Result{DryRun: o.DryRun}}
}

// mounted tells whether the system is not the running one: no unit of it can be
// started, and no account of it changes by itself.
func (j *job) mounted() bool { return j.Root != "/" }

// path is where a file of the system is.
func (j *job) path(name string) string { return filepath.Join(j.Root, name) }

// Run sets shadowsync up. Before the baseline is taken nothing but the
// configuration is written, and that is taken back when the baseline cannot be.
//
// Errors: *CheckError, ErrIncomplete, *ContradictionError before anything is done;
// *FirstDifferenceError and *ImportError with nothing wired; *PAMError with
// everything but the PAM lines.
func Run(ctx context.Context, o Options) (Result, error) {
	j := newJob(o)
	defer j.ledger.close()
	if err := j.configure(); err != nil {
		return j.result, err
	}
	if err := j.check(ctx); err != nil {
		return j.result, err
	}
	if err := j.run(ctx, j.imports()); err != nil {
		return j.result, errors.Join(err, j.unconfigure(ctx))
	}
	return j.result, j.run(ctx, j.wiring())
}

// Repair runs single steps of setup on a machine with a configuration, in setup's
// order and whether they seem due or not. It is for doctor.
func Repair(ctx context.Context, o Options, names ...Name) (Result, error) {
	j := newJob(o)
	defer j.ledger.close()
	if err := j.configure(); err != nil {
		return j.result, err
	}
	return j.result, j.run(ctx, only(append(j.imports(), j.wiring()...), names))
}

func (j *job) imports() []step {
	return []step{
		{name: StepConfiguration, what: "configuration " + j.Config, due: j.configurationDue, do: j.writeConfiguration},
		{name: StepBaseline, what: "baseline of the accounts", due: j.baselineDue, do: j.takeBaseline},
	}
}

// wiring has the PAM lines last: from then on passwd waits for a broker that is there.
func (j *job) wiring() []step {
	steps := []step{
		{name: StepDropIns, what: "hooks around " + j.units(), due: j.dropInsDue, do: j.writeDropIns},
		{name: StepEnable, what: "sockets and broker enabled", due: j.enableDue, do: j.enable},
		j.shells(),
	}
	live := []step{
		{name: StepReload, what: "unit files read by systemd", due: j.reloadDue, do: j.reload},
		{name: StepStart, what: "sockets and broker running", due: j.startDue, do: j.start},
		{name: StepManaged, what: "list of managed accounts for the PAM module", due: j.managedDue, do: j.writeManaged},
		{name: StepPAM, what: "lines in the PAM stacks", due: j.pamDue, do: j.switchOnPAM},
	}
	if j.mounted() {
		for _, s := range live {
			s.leaveOut = "the system at " + j.Root + " is not running: run shadowsync setup on it"
			steps = append(steps, s)
		}
		return steps
	}
	return append(steps, live...)
}
