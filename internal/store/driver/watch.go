package driver

import (
	"context"
	"errors"
	"log/slog"

	"github.com/shadowsync/shadowsync/internal/detect/watch"
	"github.com/shadowsync/shadowsync/internal/files/inroot"
)

// Watch is the Watch of a store that is a file: it sends whenever the file may have changed, and
// ends with ctx. A mounted system is not watched.
func Watch(ctx context.Context, root, path string) (<-chan struct{}, error) {
	if !inroot.Live(root) {
		return nil, Unavailable(errors.New("a mounted system is not watched"))
	}
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
