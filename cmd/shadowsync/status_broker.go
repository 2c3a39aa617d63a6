package main

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/internal/admin/setup"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

type brokerStatus struct {
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// The states of the broker. It is unknown on a mounted system and before setup.
const (
	brokerOK      = "ok"
	brokerFailed  = "failed"  // it does not answer, or cannot work
	brokerStopped = "stopped" // it and its sockets were stopped; hooks and tool work without it
	brokerUnknown = "unknown"
	// brokerOutdated: the file was changed, and the broker does not use the new content yet.
	brokerOutdated = "outdated"
)

// askBroker asks the broker whether it can work, and by which configuration.
func (a *app) askBroker(ctx context.Context, c *config.Config) brokerStatus {
	if a.mounted() {
		return brokerStatus{State: brokerUnknown}
	}
	if err := setup.BrokerHealth(ctx); err != nil {
		if stopped(ctx) {
			return brokerStatus{State: brokerStopped, Reason: "changes are seen at the next start of the broker or of the application"}
		}
		return brokerStatus{State: brokerFailed, Reason: err.Error()}
	}
	if a.config != config.DefaultPath || c.Instead != nil {
		return brokerStatus{State: brokerOK}
	}
	if differs, err := setup.BrokerDiffers(ctx, c); err == nil && differs {
		return brokerStatus{State: brokerOutdated, Reason: "it runs with an older configuration than the hooks: it takes a changed file within seconds, unless an operator is changing something"}
	}
	return brokerStatus{State: brokerOK}
}

// stopped reports whether the broker and its socket were stopped cleanly and can be started.
func stopped(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	bus := &systemd.Bus{}
	for _, unit := range []string{systemd.BrokerUnit, systemd.RootSocketUnit} {
		state, err := bus.Unit(ctx, unit)
		if err != nil || state.Load != "loaded" || state.Active != "inactive" {
			return false
		}
	}
	return true
}
