package driver

import "context"

// ErrNoRehearsal: the store is no Rehearser.
var ErrNoRehearsal = Malformed("the store cannot try a write")

// Rehearser is a store that can try a write which changes nothing. Looking at a file does not show
// whether it can be replaced: it may be a mount point, immutable, or beyond a quota.
type Rehearser interface {
	Rehearse(context.Context) error
}
