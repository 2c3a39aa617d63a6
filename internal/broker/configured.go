package broker

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/shadowsync"
	"github.com/shadowsync/shadowsync/systemd"
)

const (
	// calm is how long the configuration must stay unchanged before the broker uses it: editors
	// write a file in parts, and people save it several times.
	calm = 2 * time.Second
	// mostCalm bounds how often the broker waits that long for operators who are typing passwords.
	mostCalm = 30
)

// tellConfig keeps a copy of a good configuration for a later start that finds a bad one. If this
// start uses the copy, it says so in the journal and the audit.
func (b *Broker) tellConfig(ctx context.Context) {
	e := b.engine.Load()
	c := e.Config
	if c.Instead == nil {
		b.keepConfig(e)
		return
	}
	reason := printable.Quote(c.Instead.Error()) + "; going on with the last good one, kept at " + c.KeptAt.Format(time.RFC3339)
	b.log.Error("the configuration cannot be used: run shadowsync config check", "reason", reason)
	by := e.OriginOf(origin.FromPID(os.Getpid()), shadowsync.SeenByStart)
	event := shadowsync.Event{At: time.Now(), Action: "configuration-refused", Result: shadowsync.Pending, Reason: reason, Origin: by}
	if err := e.Audit(ctx, event); err != nil {
		b.log.Error("the refused configuration could not be recorded in the audit", "error", err)
	}
}

func (b *Broker) keepConfig(e *engine.Engine) {
	if err := e.KeepConfig(); err != nil {
		b.log.Error("no copy of the good configuration is kept", "error", err)
	}
}

// configStatus is the beginning of the line in `systemctl status`.
func (b *Broker) configStatus() string {
	c := b.engine.Load().Config
	if c.Instead == nil {
		return ""
	}
	if _, err := engine.CheckConfig("/", b.file); err != nil {
		return "the configuration cannot be used, going on with the last good one: run shadowsync config check; "
	}
	return "going on with the last good configuration until the next restart; "
}

// followConfig makes the broker start again when the file, or a list of accounts beside it, has
// another content that can be used. The hooks and the tool read them each time, so otherwise they and
// the broker would work by different configurations.
func (b *Broker) followConfig(ctx context.Context, wg *sync.WaitGroup) {
	changed, err := b.watchConfig(ctx, wg)
	if err != nil {
		b.log.Warn("a changed configuration is used only after systemctl restart "+systemd.BrokerUnit, "error", err)
		return
	}
	wg.Go(func() {
		pause := time.NewTimer(calm) // the first look covers changes since the file was read
		defer pause.Stop()
		for waited := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waited = 0
				pause.Reset(calm)
			case <-pause.C:
				differs, err := superseded(b.engine.Load(), b.file)
				switch {
				case err != nil:
					b.log.Error("the changed configuration cannot be used; going on as before: run shadowsync config check", "reason", printable.Quote(err.Error()))
				case !differs:
				case b.dialogues.InProgress() && waited < mostCalm:
					waited++
					pause.Reset(calm)
				default:
					b.startAgain(ctx)
					pause.Reset(mostCalm * calm) // we are still here only if that failed
				}
			}
		}
	})
}

// watchConfig announces changes of the configuration and of the lists of accounts beside it.
func (b *Broker) watchConfig(ctx context.Context, wg *sync.WaitGroup) (<-chan struct{}, error) {
	files := []string{b.file}
	for _, a := range b.engine.Load().Config.Firsts() {
		files = append(files, config.ListPath(b.file, a.Name))
	}
	changed := make(chan struct{}, 1)
	for _, file := range files {
		events, err := watch.Watch(ctx, file, b.log)
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			for range events {
				select {
				case changed <- struct{}{}:
				default: // one is waiting already
				}
			}
		})
	}
	return changed, nil
}

// superseded reports whether the file, or a list beside it, has another content than this engine's
// configuration. An error means that it cannot be used.
func superseded(e *engine.Engine, file string) (bool, error) {
	c, err := engine.CheckConfig(e.Root(), file)
	return err == nil && (!e.Config.IsOf(c) || e.Config.Revision != c.Revision), err
}

// startAgain has systemd restart the broker: the sockets stay open, and what is in progress ends as
// with any restart.
func (b *Broker) startAgain(ctx context.Context) {
	b.log.Info("the configuration was changed; starting again with it")
	if err := b.bus.RestartIfRunning(ctx, systemd.BrokerUnit); err != nil && ctx.Err() == nil {
		b.log.Error("the changed configuration is not in use: run systemctl restart "+systemd.BrokerUnit, "error", err)
	}
}
