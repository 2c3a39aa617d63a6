package hook

import (
	"context"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/store"
)

// early reports whether the server of a store has not started yet, so that to look at the store would only
// take time. The broker looks once it has.
func (h moment) early(ctx context.Context, of config.Application) bool {
	o, err := store.Parse(of.Store)
	if err != nil || o.After == "" || h.units == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, unitPatience)
	defer cancel()
	activity, err := h.units.Activity(ctx, o.After)
	return err == nil && !activity.Active
}
