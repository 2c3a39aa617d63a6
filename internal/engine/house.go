package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/shadowsync/shadowsync/internal/account/shadowfile"
	"github.com/shadowsync/shadowsync/internal/config"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/state"
	"github.com/shadowsync/shadowsync/internal/store"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// housed is a configuration that the state follows.
type housed struct {
	config *config.Config
	events []shadowsync.Event // recorded already
	lost   loss
}

// rehouse makes the state follow the configuration's names. An account that was removed from the
// configuration while its change waits for the store stays in it until that is settled, because
// otherwise a start of the application would undo the change.
func rehouse(ctx context.Context, db *state.DB, accounts *shadowfile.File, o Options) (housed, error) {
	c := o.Config
	renamed, err := db.Renamed(ctx, c.Revision, housesOf(c))
	if err != nil {
		return housed{}, err
	}
	if c, err = c.Follow(o.Root, renamed, !o.Volatile); err != nil {
		return housed{}, err
	}
	events, err := db.Rehouse(ctx, c.Revision, housesOf(c), func(names []string) (map[string]shadowsync.Account, error) {
		snapshot, err := accounts.Read(ctx, names)
		return snapshot.Accounts, err
	})
	if err != nil {
		return housed{}, err
	}
	if len(events) > 0 && !o.Volatile { // an account may have another name now, under which it must show a code
		if err := WriteEnrolled(ctx, o.Root, db); err != nil && !errors.Is(err, factor.ErrList) {
			return housed{}, err
		}
	}
	waiting, err := db.Waiting(ctx)
	if err != nil {
		return housed{}, err
	}
	kept := map[string][]string{}
	for _, a := range c.Applications {
		for _, name := range waiting[a.Name] {
			of := a.Application()
			if _, managed := c.Managing(name); !managed && !slices.Contains(kept[of], name) {
				kept[of] = append(kept[of], name)
			}
		}
	}
	if len(kept) > 0 {
		c = c.Keeping(kept)
	}
	return housed{config: c, events: events}, nil
}

func housesOf(c *config.Config) []state.House {
	houses := make([]state.House, len(c.Applications))
	for i, a := range c.Applications {
		kind, at := store.Identity(a.Store)
		houses[i] = state.House{
			Application: a.Name, Unit: a.Unit, Accounts: a.Accounts, Further: !a.First(),
			Store: state.Store{Name: a.StoreName, Kind: kind, Place: at},
		}
	}
	return houses
}

// housing opens the state and makes it follow the configuration. With Look, if the disk cannot be
// written, it works on a copy in memory.
func housing(ctx context.Context, o *Options, accounts *shadowfile.File) (*state.DB, shadowsync.Locker, housed, error) {
	db, lock, err := openState(ctx, *o)
	if err != nil {
		return nil, nil, housed{}, err
	}
	db.KeepPasswords(o.Config.Password.History)
	lost, err := begin(ctx, db, *o)
	var settled housed
	if err == nil {
		settled, err = rehouse(ctx, db, accounts, *o)
		settled.lost = lost
	}
	switch {
	case err == nil:
		return db, lock, settled, nil
	case !o.Look || o.Volatile || errors.Is(err, shadowsync.ErrMalformed):
		return nil, nil, housed{}, errors.Join(err, db.Close())
	}
	_ = db.Close() // it is opened again
	o.Volatile = true
	db, lock, settled, failed := housing(ctx, o, accounts)
	if failed != nil {
		return nil, nil, housed{}, err
	}
	return db, lock, settled, nil
}
