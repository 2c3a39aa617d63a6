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
	"github.com/shadowsync/shadowsync/internal/socket"
	"github.com/shadowsync/shadowsync/systemd"
)

// OurUnits are enabled and started by setup: the sockets first, so that the broker
// is handed them.
var OurUnits = []string{systemd.RootSocketUnit, systemd.OperatorSocketUnit, systemd.BrokerUnit}

// brokerPatience is how long the broker may take to answer after systemd said that it is ready.
const brokerPatience = 10 * time.Second

func (j *job) units() string {
	var names []string
	for _, a := range j.config.Applications {
		names = append(names, a.Unit)
	}
	return strings.Join(names, ", ")
}

// DropIn is the text of an application's drop-in, and the path at which it belongs
// beneath the root directory.
func DropIn(a config.Application, binary string) (path, text string, err error) {
	text, err = systemd.DropIn(systemd.StartPolicy(a.Start), binary)
	return systemd.DropInPath("/etc", a.Unit), text, err
}

func (j *job) dropInsDue(ctx context.Context) (bool, error) {
	for _, a := range j.config.Applications {
		path, text, err := DropIn(a, j.Binary)
		if err != nil {
			return false, err
		}
		if there, err := os.ReadFile(j.path(path)); err != nil || string(there) != text {
			return true, nil //nolint:nilerr // what cannot be read is due; writing it tells why
		}
		if _, known, err := j.ledger.find(ctx, path); !known {
			return true, err
		}
	}
	obsolete, err := j.obsoleteDropIns(ctx)
	return len(obsolete) > 0, err
}

// obsoleteDropIns are of applications that the configuration no longer has.
func (j *job) obsoleteDropIns(ctx context.Context) ([]string, error) {
	paths, err := j.ledger.files(ctx, filepath.Base(systemd.DropInPath("/etc", "")))
	return slices.DeleteFunc(paths, func(path string) bool {
		return slices.ContainsFunc(j.config.Applications, func(a config.Application) bool {
			return systemd.DropInPath("/etc", a.Unit) == path
		})
	}), err
}

func (j *job) writeDropIns(ctx context.Context) error {
	for _, a := range j.config.Applications {
		path, text, err := DropIn(a, j.Binary)
		if err != nil {
			return err
		}
		changed, err := j.ledger.changed(ctx, path)
		if err != nil {
			return err
		}
		if changed {
			j.note("%s was changed since setup wrote it; it is as before now (changes belong in a drop-in of their own)", path)
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

// takeBack removes a file of ours and says so if somebody has changed it.
func (j *job) takeBack(ctx context.Context, path string) error {
	left, err := j.ledger.takeBack(ctx, path)
	if left {
		j.note("%s was changed since setup wrote it, and is left; remove it by hand if it is not wanted", path)
	}
	return err
}

func (j *job) reloadDue(ctx context.Context) (bool, error) {
	for _, o := range j.result.Steps {
		if o.Step == StepDropIns && o.State != Kept {
			return true, nil
		}
	}
	for _, a := range j.config.Applications {
		properties, err := Properties(ctx, a.Unit, "NeedDaemonReload")
		if err != nil || properties["NeedDaemonReload"] == "yes" {
			return true, err
		}
	}
	return false, nil
}

func (j *job) reload(ctx context.Context) error { return j.bus.Reload(ctx) }

func (j *job) enableDue(ctx context.Context) (bool, error) {
	for _, unit := range OurUnits {
		if enabled, err := Enabled(ctx, j.Root, unit); err != nil || !enabled {
			return true, err
		}
	}
	return false, nil
}

func (j *job) enable(ctx context.Context) error {
	if !j.mounted() {
		return j.bus.Enable(ctx, OurUnits...)
	}
	_, err := Systemctl(ctx, append([]string{"--root=" + j.Root, "--quiet", "enable", "--"}, OurUnits...)...)
	return err
}

func (j *job) startDue(ctx context.Context) (bool, error) {
	for _, unit := range OurUnits {
		state, err := j.bus.Unit(ctx, unit)
		if err != nil || state.Active != "active" {
			return true, err
		}
	}
	return BrokerOutdated(ctx, j.bus, j.path(j.Config))
}

// BrokerOutdated tells whether the broker runs with an older configuration than the file's.
func BrokerOutdated(ctx context.Context, bus *systemd.Bus, path string) (bool, error) {
	state, err := bus.Unit(ctx, systemd.BrokerUnit)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return state.Active == "active" && info.ModTime().After(state.Entered), nil
}

func (j *job) start(ctx context.Context) error {
	outdated, err := BrokerOutdated(ctx, j.bus, j.path(j.Config))
	if err != nil {
		return err
	}
	if outdated {
		if err := j.bus.Stop(ctx, systemd.BrokerUnit); err != nil {
			return err
		}
	}
	for _, unit := range OurUnits {
		if err := j.startUnit(ctx, unit); err != nil {
			return err
		}
	}
	return j.awaitBroker(ctx)
}

// startUnit starts a unit. A socket unit whose service runs already, started by
// hand without it, cannot be: the service has to let go first.
func (j *job) startUnit(ctx context.Context, unit string) error {
	state, err := j.bus.Unit(ctx, unit)
	if err != nil || state.Active == "active" {
		return err
	}
	if unit != systemd.BrokerUnit {
		if err := j.bus.Stop(ctx, systemd.BrokerUnit); err != nil {
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

// nobody is an account that no configuration can name.
const nobody = ":"

// AskBroker asks the broker, through the socket that the PAM module uses, about an
// account that nobody manages.
func AskBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // as long as the module would wait
	defer cancel()
	if err := askBroker(ctx); err != nil {
		return fmt.Errorf("cannot get an answer from the broker: %w", err)
	}
	return nil
}

func askBroker(ctx context.Context) error {
	conn, err := socket.Dial(ctx, filepath.Join(engine.RunDir, "root.sock"))
	if err != nil {
		return err
	}
	defer conn.Close()
	peer, err := conn.Peer()
	if err != nil {
		return err
	}
	defer peer.Close()
	if peer.UID != 0 {
		return fmt.Errorf("uid %d answers in its place", peer.UID)
	}
	request := map[string]string{"op": "pam-changed", "user": nobody}
	if err := conn.Send(ctx, request); err != nil {
		return err
	}
	var answer struct{ Message *string }
	if _, err := conn.Receive(ctx, &answer); err != nil {
		return err
	}
	if answer.Message == nil || *answer.Message != "" {
		return errors.New("it is not what the PAM module understands")
	}
	return nil
}

// Managed is the path of the list of managed accounts beneath the root directory.
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
	there, err := os.ReadFile(j.path(Managed))
	return err != nil || !bytes.Equal(there, engine.ManagedList(j.config, awaiting)), nil //nolint:nilerr // what cannot be read is due; writing it tells why
}

func (j *job) writeManaged(ctx context.Context) error {
	db, err := j.ledger.open(ctx)
	if err != nil {
		return err
	}
	return engine.WriteManaged(ctx, j.Root, j.config, db)
}
