package broker

import (
	"context"
	"os"
	"time"

	"github.com/shadowsync/shadowsync/internal/origin"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// trimEvery is how often what the configuration no longer keeps goes from the audit trail.
const trimEvery = 24 * time.Hour

// trimAudit keeps the trail as long as the configuration says, until ctx ends.
func (b *Broker) trimAudit(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		by := b.engine.Load().OriginOf(origin.FromPID(os.Getpid()), shadowsync.SeenByWatch)
		if _, err := b.engine.Load().TrimAudit(ctx, by); err != nil && ctx.Err() == nil {
			b.log.Error("the audit trail was not trimmed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
