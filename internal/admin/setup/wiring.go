package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/internal/wire/module"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

// OurUnits are enabled and started by setup: the sockets first, so that the broker inherits them.
var OurUnits = []string{systemd.RootSocketUnit, systemd.OperatorSocketUnit, systemd.FactorSocketUnit, systemd.BrokerUnit}

// brokerPatience is how long the broker may take to answer after systemd reports it ready.
const brokerPatience = 10 * time.Second

func (j *job) units() string {
	var names []string
	for _, a := range j.config.Firsts() {
		names = append(names, a.Unit)
	}
	return strings.Join(names, ", ")
}

func (j *job) dropInsDue(ctx context.Context) (bool, error) {
	for _, a := range j.config.Firsts() {
		path, text, err := j.dropIn(ctx, a)
		if err != nil {
			return false, err
		}
		if there, err := inroot.ReadFile(j.Root, path); err != nil || string(there) != text {
			return true, nil //nolint:nilerr // an unreadable file is due; writing it reports why
		}
		if _, known, err := j.ledger.find(ctx, path); !known {
			return true, err
		}
	}
	obsolete, err := j.obsoleteDropIns(ctx)
	return len(obsolete) > 0, err
}

// obsoleteDropIns returns the drop-ins of applications that the configuration no longer contains.
func (j *job) obsoleteDropIns(ctx context.Context) ([]string, error) {
	paths, err := j.ledger.files(ctx, filepath.Base(systemd.DropInPath("/etc", "")))
	return slices.DeleteFunc(paths, func(path string) bool {
		return slices.ContainsFunc(j.config.Firsts(), func(a config.Application) bool {
			return systemd.DropInPath("/etc", a.Unit) == path
		})
	}), err
}

func (j *job) writeDropIns(ctx context.Context) error {
	for _, a := range j.config.Firsts() {
		path, text, err := j.dropIn(ctx, a)
		if err != nil {
			return err
		}
		if jobs, err := j.jobs(ctx, a.Unit); err == nil {
			j.noteJobs(a.Unit, jobs, text)
		}
		changed, err := j.ledger.changed(ctx, path)
		if err != nil {
			return err
		}
		if changed {
			j.note("%s was changed since setup wrote it; that is undone now (put changes into a drop-in of your own)", path)
		}
		if err := j.ledger.write(ctx, path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	obsolete, err := j.obsoleteDropIns(ctx)
	if err != nil {
		return err
	}
	for _, path := range obsolete {
		if err := j.takeBack(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// takeBack removes a file of ours, or notes that it was changed and is left.
func (j *job) takeBack(ctx context.Context, path string) error {
	left, err := j.ledger.takeBack(ctx, path)
	if left {
		j.note("%s was changed since setup wrote it, and stays; remove it by hand if you do not need it", path)
	}
	return err
}

func (j *job) reloadDue(ctx context.Context) (bool, error) {
	for _, o := range j.result.Steps {
		if (o.Step == StepDropIns || o.Step == StepCapability || o.Step == StepWeb) && o.State != Kept {
			return true, nil
		}
	}
	for _, a := range j.config.Firsts() {
		if w, err := j.bus.Wiring(ctx, a.Unit); err != nil || w.Outdated || w.Load != "loaded" {
			return true, err
		}
	}
	if !j.config.Web.On() {
		return false, nil
	}
	for _, unit := range []string{systemd.WebSocketUnit, systemd.WebUnit} {
		if w, err := j.bus.Wiring(ctx, unit); err != nil || w.Outdated {
			return true, err
		}
	}
	return false, nil
}

func (j *job) enableDue(context.Context) (bool, error) {
	for _, unit := range j.ours() {
		if enabled, err := Enabled(j.Root, unit); err != nil || !enabled {
			return true, err
		}
	}
	return false, nil
}

func (j *job) enable(ctx context.Context) error {
	for _, unit := range j.ours() {
		if masked(j.Root, unit) {
			return &MaskedError{j.Root, unit}
		}
	}
	if !j.mounted() {
		return j.bus.Enable(ctx, j.ours()...)
	}
	for _, unit := range j.ours() {
		if err := enableIn(j.Root, unit); err != nil {
			return fmt.Errorf("cannot enable %s: %w", unit, err)
		}
	}
	return nil
}

func (j *job) startDue(ctx context.Context) (bool, error) {
	for _, unit := range j.ours() {
		state, err := j.bus.Unit(ctx, unit)
		if err != nil || state.Active != "active" {
			return true, err
		}
	}
	return BrokerOutdated(ctx, j.bus, j.Config)
}

// BrokerOutdated reports whether the broker works by another configuration than the file's, or by
// other lists of accounts than those beside it.
func BrokerOutdated(ctx context.Context, bus *systemd.Bus, path string) (bool, error) {
	state, err := bus.Unit(ctx, systemd.BrokerUnit)
	if err != nil {
		return false, err
	}
	if c, err := engine.CheckConfig("/", path); err == nil && state.Active == "active" {
		if outdated, err := BrokerDiffers(ctx, c); err == nil {
			return outdated, nil
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return state.Active == "active" && info.ModTime().After(state.Entered), nil
}

func (j *job) start(ctx context.Context) error {
	outdated, err := BrokerOutdated(ctx, j.bus, j.Config)
	if err != nil {
		return err
	}
	if outdated {
		if err := j.bus.Stop(ctx, systemd.BrokerUnit); err != nil {
			return err
		}
	}
	for _, unit := range j.ours() {
		if err := j.startUnit(ctx, unit); err != nil {
			return err
		}
	}
	return j.awaitBroker(ctx)
}

// startUnit starts a unit. A socket unit cannot start while its service already runs, for example
// started by hand, so that is stopped first.
func (j *job) startUnit(ctx context.Context, unit string) error {
	state, err := j.bus.Unit(ctx, unit)
	if err != nil || state.Active == "active" {
		return err
	}
	service := systemd.BrokerUnit
	if unit == systemd.WebSocketUnit {
		service = systemd.WebUnit
	}
	if unit != service {
		if err := j.bus.Stop(ctx, service); err != nil {
			return err
		}
	}
	return j.bus.Start(ctx, unit)
}

func (j *job) awaitBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	for {
		err := AskBroker(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// nobody is an account name that no configuration can contain.
const nobody = ":"

// AskBroker asks the broker about an unmanaged account, through the socket that the PAM module
// uses.
func AskBroker(ctx context.Context) error {
	said, err := askBroker(ctx, module.Request{Op: "pam-changed", User: nobody})
	if err == nil && said != "" {
		err = errors.New("it is not what the PAM module understands")
	}
	if err != nil {
		return fmt.Errorf("cannot get an answer from the broker: %w", err)
	}
	return nil
}

// BrokerHealth asks the broker whether it can work.
func BrokerHealth(ctx context.Context) error {
	said, err := askBroker(ctx, module.Request{Op: "health"})
	if err != nil {
		return fmt.Errorf("cannot get an answer from the broker: %w", err)
	}
	if said != "" {
		return fmt.Errorf("the broker cannot do its work: %s", said)
	}
	return nil
}

// BrokerDiffers asks the broker whether it runs with another configuration than this one.
func BrokerDiffers(ctx context.Context, c *config.Config) (bool, error) {
	revision, err := askBroker(ctx, module.Request{Op: "configuration"})
	return revision != c.Revision, err
}

func askBroker(ctx context.Context, request module.Request) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // the PAM module waits as long
	defer cancel()
	conn, err := socket.Dial(ctx, filepath.Join(engine.RunDir, "root.sock"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	peer, err := conn.Peer()
	if err != nil {
		return "", err
	}
	defer peer.Close()
	if peer.UID != 0 {
		return "", fmt.Errorf("uid %d answers in its place", peer.UID)
	}
	if err := conn.Send(ctx, request); err != nil {
		return "", err
	}
	var answer struct{ Message *string }
	if _, err := conn.Receive(ctx, &answer); err != nil {
		return "", err
	}
	if answer.Message == nil {
		return "", errors.New("it is not what the PAM module understands")
	}
	return *answer.Message, nil
}

// Managed is the path of the list of managed accounts under the root directory.
var Managed = filepath.Join(engine.RunDir, "managed")

func (j *job) managedDue(ctx context.Context) (bool, error) {
	var awaiting map[string]bool
	if j.ledger.exists() {
		db, err := j.ledger.open(ctx)
		if err != nil {
			return false, err
		}
		if awaiting, err = db.AwaitingLogin(ctx); err != nil {
			return false, err
		}
	}
	there, err := inroot.ReadFile(j.Root, Managed)
	return err != nil || !bytes.Equal(there, engine.ManagedList(j.config, awaiting)), nil //nolint:nilerr // an unreadable file is due; writing it reports why
}

func (j *job) writeManaged(ctx context.Context) error {
	db, err := j.ledger.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(engine.Provide(j.Root, j.config), engine.WriteManaged(ctx, j.Root, j.config, db))
}
