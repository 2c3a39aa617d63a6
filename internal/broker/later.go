package broker

import (
	"context"
	"sync"
	"time"

	"github.com/shadowsync/shadowsync/internal/broker/keeper"
	"github.com/shadowsync/shadowsync/internal/store"
)

// How often the broker asks whether a store's server is active: while it is not, and while it is.
const (
	awaitPause = 2 * time.Second
	seenPause  = 30 * time.Second
)

// followServers looks at a store as soon as the unit of its key "after" is active.
func (b *Broker) followServers(ctx context.Context, wg *sync.WaitGroup) {
	for _, a := range b.engine.Load().Config.Applications {
		if o, err := store.Parse(a.Store); err == nil && o.After != "" {
			wg.Go(func() {
				await(ctx, func(ctx context.Context) (bool, error) {
					activity, err := b.bus.Activity(ctx, o.After)
					return activity.Active, err
				}, func() { b.keepers[a.Name].Tell(keeper.Noticed) })
			})
		}
	}
}

// await calls became whenever active turns true, until ctx ends.
func await(ctx context.Context, active func(context.Context) (bool, error), became func()) {
	was := true // the keeper has just looked
	for {
		asking, cancel := context.WithTimeout(ctx, awaitPause)
		is, err := active(asking)
		cancel()
		if err == nil {
			if is && !was {
				became()
			}
			was = is
		}
		pause := awaitPause
		if was {
			pause = seenPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
