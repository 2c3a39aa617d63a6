// Package setup wires shadowsync into a machine, and removes it again.
//
// It promises that
//
//   - nothing is wired before OS and store are known to agree: an undecided first difference ends
//     setup and leaves the machine as it was;
//   - setup may be interrupted at any point and run again: it then finishes its work, and a further
//     run changes nothing;
//   - Remove leaves /etc byte for byte as it was: setup records each file with its digest before it
//     writes it, and Remove leaves and names files that were changed since.
//
// Setup checks for what `make install` installs (programs, units, PAM module and profile), and
// never writes it.
//
//	setup.go          Run: the steps and their order
//	step.go           one step, and the result of all
//	check.go          what must exist before setup begins
//	configuration.go  the configuration file, and flags that contradict it
//	baseline.go       the first import, and the differences that stop it
//	capability.go     what the broker needs if /etc/shadow has mode 0000
//	wiring.go         drop-ins, units, the list of managed accounts
//	hooks.go          what a drop-in may say, and whether systemd accepts it
//	shells.go         the operators' shell in /etc/shells
//	giveshell.go      the shells of accounts before and after that one
//	pam.go            the lines in the PAM stacks
//	services.go       the lines in the services that ask for second factors
//	sshd.go           what sshd needs to ask
//	web.go            the page for browsers: account, PAM service, address
//	certificate.go    its certificate
//	survival.go       whether a password survived a restart
//	restart.go        one watched start of the application
//	ledger.go         recorded files
//	recognise.go      files whose record was lost
//	systemctl.go      what the bus does not report
//	remove.go         Remove: what there is to remove, and in which order
//	unwire.go         the steps of Remove
//	enable.go         systemctl enable for a system that is not running
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

// Options say what to set up. Unit, Accounts and Store are for a machine without a configuration
// file; if there is one, they may only repeat what it says.
type Options struct {
	Root   string // mount point of the system; empty: "/"
	Config string // path of the configuration under Root; empty, and none but: config.DefaultPath
	Binary string // the program that units run; empty: systemd.DefaultBinary

	Unit     string // with or without ".service"
	Accounts []string
	Store    map[string]any // the table [application.store]; a new configuration needs a driver in it

	// First is the side that wins if OS and store differ and no baseline shows which one changed.
	// With Neither such a difference stops setup.
	First  shadowsync.Side
	DryRun bool // only report what would be done

	Page Page // for browsers

	// Restart restarts the applications at the end and watches their start.
	Restart bool
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
	text   []byte // the configuration to write; nil: use the existing one
	former []byte // the text that it replaces; nil: there is none
	result Result
}

func newJob(o Options) *job {
	o = o.withDefaults()
	return &job{Options: o, bus: &systemd.Bus{}, ledger: &ledger{root: o.Root}, result: Result{DryRun: o.DryRun}}
}

// mounted reports whether the system is not the running one: its units cannot be started, and its
// accounts do not change by themselves.
func (j *job) mounted() bool { return j.Root != "/" }

// Run sets shadowsync up. Before it has taken the baseline it writes only the configuration, and it
// removes that again if the baseline cannot be taken.
//
// Errors: *CheckError, ErrIncomplete, *OtherFileError, *ContradictionError before anything is done;
// *FirstDifferenceError and *ImportError with nothing wired; *PAMError with everything wired except
// the PAM lines; *StartError and *WrongStoreError with everything wired.
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
	if err := j.run(ctx, j.wiring(ctx)); err != nil {
		return j.result, err
	}
	return j.result, j.tellSurvival(ctx)
}

// Repair runs single steps of setup, for doctor, on a machine with a configuration. It keeps
// setup's order and runs steps that seem done too.
func Repair(ctx context.Context, o Options, names ...Name) (Result, error) {
	j := newJob(o)
	defer j.ledger.close()
	if err := j.configure(); err != nil {
		return j.result, err
	}
	return j.result, j.run(ctx, only(append(j.imports(), j.wiring(ctx)...), names))
}

func (j *job) imports() []step {
	return []step{
		{name: StepConfiguration, what: "configuration " + j.Config, due: j.configurationDue, do: j.writeConfiguration},
		{name: StepBaseline, what: "baseline of the accounts", due: j.baselineDue, do: j.takeBaseline, rehearse: j.rehearseBaseline},
	}
}

// wiring adds the PAM lines last: from then on passwd contacts the broker, which must be running. Services
// that ask for second factors need the line for logins.
func (j *job) wiring(ctx context.Context) []step {
	steps := []step{
		{name: StepDropIns, what: "hooks around " + j.units(), due: j.dropInsDue, do: j.writeDropIns},
		{name: StepCapability, what: "the broker's right to read /etc/shadow, which its mode requires", due: j.capabilityDue, do: j.setCapability},
	}
	if j.needsWeb(ctx) {
		steps = append(steps, j.web())
	}
	steps = append(steps, []step{
		{name: StepReload, what: "unit files read by systemd", due: j.reloadDue, do: j.reload, live: true},
		{name: StepEnable, what: "sockets and broker enabled", due: j.enableDue, do: j.enable},
		j.shells(),
		{name: StepStart, what: "sockets and broker running", due: j.startDue, do: j.start, live: true},
		{name: StepManaged, what: "list of managed accounts for the PAM module", due: j.managedDue, do: j.writeManaged, live: true},
		{name: StepPAM, what: "lines in the PAM stacks", due: j.pamDue, do: j.switchOnPAM, live: true},
	}...)
	if j.needsServices(ctx) {
		steps = append(steps, j.services())
	}
	for i := range steps {
		if steps[i].live && j.mounted() {
			steps[i].leaveOut = "the system at " + j.Root + " is not running: run shadowsync setup on it"
		}
	}
	return steps
}
