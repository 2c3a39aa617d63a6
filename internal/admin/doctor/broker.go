package doctor

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/systemd"
)

// afresh is the command that also recreates the sockets. A single restart would not do: a socket
// unit cannot start while its service is about to stop.
func afresh(units []string) string {
	return "systemctl stop " + strings.Join(units, " ") + " && systemctl start " + strings.Join(units, " ")
}

func startAfresh(units []string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, verb := range []string{"stop", "start"} {
			if _, err := setup.Systemctl(ctx, append([]string{verb}, units...)...); err != nil {
				return err
			}
		}
		return nil
	}
}

// ours are the units that must be enabled and running. Without its program, a page has none.
func (e *exam) ours() []string {
	if !e.hasPage() {
		return setup.OurUnits
	}
	return setup.OursFor(e.config)
}

func checkEnabled(_ context.Context, e *exam) verdict {
	var off []string
	for _, unit := range e.ours() {
		enabled, err := setup.Enabled("/", unit)
		if err != nil {
			return fail("%v", err)
		}
		if !enabled {
			off = append(off, unit)
		}
	}
	if len(off) > 0 {
		return fail("not enabled, so not running after the next boot: %s", strings.Join(off, ", ")).
			by("systemctl enable "+strings.Join(off, " "), e.repair(setup.StepEnable))
	}
	return pass("%s", strings.Join(e.ours(), ", "))
}

func checkRunning(ctx context.Context, e *exam) verdict {
	var down []string
	for _, unit := range e.ours() {
		state, err := e.bus.Unit(ctx, unit)
		if err != nil {
			return fail("%v", err)
		}
		if state.Active != "active" {
			down = append(down, unit+" ("+state.Active+")")
		}
	}
	if len(down) > 0 {
		return e.afterConfig(fail("not running: %s", strings.Join(down, ", ")).by(afresh(e.ours()), startAfresh(e.ours())))
	}
	if e.configErr != nil {
		return pass("%s", strings.Join(e.ours(), ", "))
	}
	if filepath.Clean(e.Config) != config.DefaultPath {
		if differs, err := setup.BrokerDiffers(ctx, e.config); err == nil && differs {
			return warn("the broker works by %s, which differs from %s", config.DefaultPath, e.Config).
				person("run doctor without --config, or to install the other file", "install -m 600 "+e.Config+" "+config.DefaultPath)
		}
		return pass("%s", strings.Join(e.ours(), ", "))
	}
	if outdated, err := setup.BrokerOutdated(ctx, e.bus, e.Config); err == nil && outdated {
		restart := []string{"restart", systemd.BrokerUnit}
		return warn("the broker runs with an older configuration or list of accounts").by("systemctl "+strings.Join(restart, " "), systemctl(restart...))
	}
	return pass("%s", strings.Join(e.ours(), ", "))
}

// afterConfig tells the administrator to correct the configuration first if the broker could start
// neither with it nor with the last good one.
func (e *exam) afterConfig(v verdict) verdict {
	if e.config != nil {
		return v
	}
	return v.person("correct the configuration first", checkCommand)
}

func checkBroker(ctx context.Context, e *exam) verdict {
	if err := setup.AskBroker(ctx); err != nil {
		return e.afterConfig(fail("%v", err).by(afresh(e.ours()), startAfresh(e.ours())))
	}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	if _, err := (operator.Client{}).Hello(ctx); err != nil {
		return e.afterConfig(fail("operators get no answer from the broker: %v", err).by(afresh(e.ours()), startAfresh(e.ours())))
	}
	return pass("answers as root on %s/root.sock, and operators on %s", engine.RunDir, operator.Path)
}

// helloTime limits the wait for an answer on the operators' socket.
const helloTime = 5 * time.Second

// checkManaged: the PAM module ignores accounts that are not in the list, and accepts only a list
// that root owns.
func checkManaged(ctx context.Context, e *exam) verdict {
	if e.config == nil || e.state == nil {
		return notChecked("the configuration, or the state, cannot be read")
	}
	mend := func(ctx context.Context) error {
		// WriteManaged would keep a file with the right text but a wrong owner.
		if err := os.Remove(setup.Managed); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return engine.WriteManaged(ctx, "/", e.config, e.state)
	}
	command := "systemctl restart " + systemd.BrokerUnit
	if e.configErr != nil {
		command = checkCommand // it must come before any restart
	}
	info, err := os.Lstat(setup.Managed)
	if err != nil {
		return fail("the list of managed accounts: %v", err).by(command, mend)
	}
	if v := assessPrivate(setup.Managed, info, 0o644); v.state != OK || !info.Mode().IsRegular() {
		return fail("%s can be changed by others than root", setup.Managed).by("rm "+setup.Managed+" && "+command, mend)
	}
	awaiting, err := e.state.AwaitingLogin(ctx)
	if err != nil {
		return fail("%v", err)
	}
	text, err := os.ReadFile(setup.Managed)
	if err != nil || !bytes.Equal(text, engine.ManagedList(e.config, awaiting)) {
		return fail("%s does not list the accounts of the configuration", setup.Managed).by(command, mend)
	}
	return pass("%s lists them", setup.Managed)
}
