package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/systemd"
)

// pageStatus is whether browsers find the page. Whether it works is for doctor.
type pageStatus struct {
	State  string `json:"state"`
	Listen string `json:"listen"`
	Reason string `json:"reason,omitempty"`
}

// The states of the page.
const (
	pageListening = "listening"
	pageStopped   = "stopped"
	pageUnknown   = "unknown"
)

// mend is the command for a page that is stopped. The first one cannot bring its program, whose package may have been
// removed; the second one says what can.
func (p pageStatus) mend() string {
	if _, err := os.Stat(installedAt + "-web"); err == nil {
		return "shadowsync doctor --fix"
	}
	return "shadowsync doctor"
}

// askPage asks systemd whether the page's socket listens; nil: there is none to ask about.
func (a *app) askPage(ctx context.Context, c *config.Config) *pageStatus {
	if a.mounted() || !c.Web.On() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	address := c.Web.Address().String()
	state, err := (&systemd.Bus{}).Unit(ctx, systemd.WebSocketUnit)
	switch {
	case err != nil:
		return &pageStatus{State: pageUnknown, Listen: address, Reason: err.Error()}
	case state.Active != "active":
		return &pageStatus{State: pageStopped, Listen: address, Reason: fmt.Sprintf("nothing listens on %s for browsers (%s is %s)", address, systemd.WebSocketUnit, state.Active)}
	}
	return &pageStatus{State: pageListening, Listen: address}
}
