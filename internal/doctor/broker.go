package doctor

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/operator"
	"github.com/shadowsync/shadowsync/internal/setup"
	"github.com/shadowsync/shadowsync/systemd"
)

// afresh is the command that makes the sockets anew too. It is not one restart: a
// socket unit cannot start while its service is still about to stop.
var afresh = "systemctl stop " + strings.Join(setup.OurUnits, " ") + " && systemctl start " + strings.Join(setup.OurUnits, " ")

func startAfresh(ctx context.Context) error {
	for _, verb := range []string{"stop", "start"} {
		if _, err := setup.Systemctl(ctx, append([]string{verb}, setup.OurUnits...)...); err != nil {
			return err
		}
	}
	return nil
}

func checkEnabled(ctx context.Context, e *exam) verdict {
	var off []string
	for _, unit := range setup.OurUnits {
		enabled, err := setup.Enabled(ctx, "/", unit)
		if err != nil {
			return fail("%v", err)
		}
		if !enabled {
			off = append(off, unit)
		}
	}
	if len(off) > 0 {
		return fail("not enabled, so gone after the next boot: %s", strings.Join(off, ", ")).
			by("systemctl enable "+strings.Join(off, " "), e.repair(setup.StepEnable))
	}
	return pass("%s", strings.Join(setup.OurUnits, ", "))
}

func checkRunning(ctx context.Context, e *exam) verdict {
	var down []string
	for _, unit := range setup.OurUnits {
		state, err := e.bus.Unit(ctx, unit)
		if err != nil {
			return fail("%v", err)
		}
		if state.Active != "active" {
			down = append(down, unit+" ("+state.Active+")")
		}
	}
	if len(down) > 0 {
		return fail("not running: %s", strings.Join(down, ", ")).by(afresh, startAfresh)
	}
	if outdated, err := setup.BrokerOutdated(ctx, e.bus, e.Config); err == nil && outdated {
		restart := []string{"restart", systemd.BrokerUnit}
		return warn("the broker runs with an older configuration").by("systemctl "+strings.Join(restart, " "), systemctl(restart...))
	}
	return pass("%s", strings.Join(setup.OurUnits, ", "))
}

func checkBroker(ctx context.Context, _ *exam) verdict {
	if err := setup.AskBroker(ctx); err != nil {
		return fail("%v", err).by(afresh, startAfresh)
	}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	if _, err := (operator.Client{}).Hello(ctx); err != nil {
		return fail("operators get no answer from the broker: %v", err).by(afresh, startAfresh)
	}
	return pass("answers as root on %s/root.sock, and operators on %s", engine.RunDir, operator.Path)
}

// helloTime bounds the wait for an answer on the operators' socket.
const helloTime = 5 * time.Second

// checkManaged: the PAM module stays silent about accounts that the list does not
// name, and believes no list of anybody but root.
func checkManaged(ctx context.Context, e *exam) verdict {
	if e.config == nil || e.state == nil {
		return notChecked("the configuration, or the state, cannot be read")
	}
	mend := func(ctx context.Context) error {
		// One with the right text and a wrong owner would be kept.
		if err := os.Remove(setup.Managed); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return engine.WriteManaged(ctx, "/", e.config, e.state)
	}
	command := "systemctl restart " + systemd.BrokerUnit
	info, err := os.Lstat(setup.Managed)
	if err != nil {
		return fail("the list of managed accounts: %v", err).by(command, mend)
	}
	if v := judgePrivate(setup.Managed, info, 0o644); v.state != OK || !info.Mode().IsRegular() {
		return fail("%s is not a file of root's alone", setup.Managed).by("rm "+setup.Managed+" && "+command, mend)
	}
	awaiting, err := e.state.AwaitingLogin(ctx)
	if err != nil {
		return fail("%v", err)
	}
	text, err := os.ReadFile(setup.Managed)
	if err != nil || !bytes.Equal(text, engine.ManagedList(e.config, awaiting)) {
		return fail("%s does not name the accounts of the configuration", setup.Managed).by(command, mend)
	}
	return pass("%s names them", setup.Managed)
}
