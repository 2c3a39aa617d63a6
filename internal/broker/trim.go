package broker

import (
	"context"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// trimEvery is how often old entries are removed from the audit trail.
const trimEvery = 24 * time.Hour

// trimAudit keeps the audit trail for the configured time, until ctx ends.
func (b *Broker) trimAudit(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		e := b.engine.Load()
		by := e.OriginOf(origin.FromPID(os.Getpid()), shadowsync.SeenByWatch)
		if _, err := e.TrimAudit(ctx, by); err != nil && ctx.Err() == nil {
			b.log.Error("the audit trail was not trimmed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
