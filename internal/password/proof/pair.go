package proof

import (
	"context"
	"errors"
	"os"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Pair adds to a change the store's own hash, if the store needs another than the OS's, or the
// reason why the store cannot hold that password at all.
func (m Maker) Pair(ctx context.Context, r *shadowsync.Reconciler, change *shadowsync.Change, token []*os.File) error {
	if len(token) == 0 {
		return nil
	}
	t, _ := Of(ctx, r, change.Account)
	if !t.Needed(change.OS.Hash) {
		return nil
	}
	hash, err := m.Make(ctx, token[0], change.OS.Hash, t)
	if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
		change.Verdict, change.Reason = shadowsync.VerdictRefused, refused.Reason
		return nil
	}
	change.StoreHash = hash
	return err
}
