package driver

import (
	"context"
	"log/slog"

	"github.com/shadowsync/shadowsync/internal/watch"
)

// Watch is the Watch of a store that is a file: it sends whenever the file may
// have changed, and ends with ctx.
func Watch(ctx context.Context, path string) (<-chan struct{}, error) {
	events, err := watch.Watch(ctx, path, slog.Default())
	if err != nil {
		return nil, Unavailable(err)
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		for range events {
			select {
			case changed <- struct{}{}:
			default: // one is waiting already
			}
		}
	}()
	return changed, nil
}
