package proof

import (
	"context"
	"errors"
	"os"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Pair adds to a change the store's own hash, if the store needs another than the OS's, or the
// reason why the store cannot hold that password at all.
func Pair(ctx context.Context, store shadowsync.CredentialStore, change *shadowsync.Change, token []*os.File) error {
	hash, err := Translate(ctx, store.Capabilities().Formats, change.OS.Hash, token)
	if refused := (*shadowsync.RefusedError)(nil); errors.As(err, &refused) {
		change.Verdict, change.Reason = shadowsync.VerdictRefused, refused.Reason
		return nil
	}
	change.StoreHash = hash
	return err
}

// Translate makes the store's hash from the token if the application cannot verify the OS's hash.
// Otherwise it leaves the descriptor unread.
func Translate(ctx context.Context, formats shadowsync.Formats, osHash string, token []*os.File) (string, error) {
	if len(token) == 0 || formats.Accept(osHash) {
		return "", nil
	}
	return Make(ctx, token[0], osHash, formats)
}
