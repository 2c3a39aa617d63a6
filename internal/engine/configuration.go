package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/store"
)

// CheckConfig reads the configuration below root and checks that an engine can open with it,
// including the stores' options. Errors are a *config.Fault.
func CheckConfig(root, path string) (*config.Config, error) {
	return withStores(config.Load(root, path))
}

// CheckCandidate does the same with a file that will replace the configuration at path.
func CheckCandidate(root, file, path string) (*config.Config, error) {
	return withStores(config.LoadCandidate(root, file, path))
}

func withStores(c *config.Config, err error) (*config.Config, error) {
	if err != nil {
		return nil, err
	}
	for i, a := range c.Applications {
		_, err := store.Parse(a.Store)
		if err != nil && a.Unnamed {
			err = key.Bad("driver", `the key "driver" is missing, and without it the store is one of the driver sqlite: %v`, err)
		}
		if err != nil {
			return nil, c.StoreFault(i, err)
		}
		if lender, lent := c.Lender(a); lent {
			mine, theirs := schemeOf(a), schemeOf(lender)
			if mine != theirs {
				return nil, c.StoreFault(i, key.Bad("shares", "shares = %q: that store's values are of another scheme: %s, not %s", lender.StoreName, theirs, mine))
			}
		}
	}
	return c, nil
}

// schemeOf names the scheme of a store's values, also where the driver chooses it.
func schemeOf(a config.Application) string {
	o, err := store.Parse(a.Store)
	if err != nil {
		return "unknown"
	}
	closed, err := store.Open(context.Background(), o) // a driver's Open does not touch the store
	if err != nil {
		return "unknown"
	}
	defer closed.Close()
	return cmp.Or(closed.Capabilities().Scheme, "crypt(3)")
}

// LoadConfig reads the configuration. If it cannot be used, LoadConfig returns the last good one,
// and Instead says why. Otherwise the broker and hooks would not start because of a typo, and the
// changes that passwd announces meanwhile would be lost.
func LoadConfig(root, path string) (*config.Config, error) {
	c, err := CheckConfig(root, path)
	if err == nil {
		return c, nil
	}
	kept, without := withStores(config.Kept(root, StateDir, path))
	switch {
	case errors.Is(without, config.ErrNotFound):
		return nil, err
	case without != nil:
		return nil, fmt.Errorf("%w; the last good one cannot be used either: %v", err, without)
	}
	kept.Instead = err
	return kept, nil
}

// KeepConfig saves the configuration for LoadConfig, if it is the file's.
func (e *Engine) KeepConfig() error { return e.Config.Keep(e.root, StateDir) }

// Outdated reports whether an engine opened now would have another configuration than this one.
func (e *Engine) Outdated() bool {
	c, err := LoadConfig(e.root, e.Config.Path())
	return err == nil && c.Revision != e.Config.Revision
}

// Rewritten reports whether the configuration's file has another text, which can be used, than this
// engine's configuration. Lists of accounts do not count.
func (e *Engine) Rewritten() bool {
	c, err := CheckConfig(e.root, e.Config.Path())
	return err == nil && !e.Config.IsOf(c)
}
