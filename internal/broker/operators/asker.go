package operators

import (
	"context"
	"slices"

	"github.com/shadowsync/shadowsync/internal/detect/origin"
	"github.com/shadowsync/shadowsync/internal/factor"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/internal/wire/socket"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// asker is the peer that asks.
type asker struct {
	name    string
	realm   factor.Realm // where the account is kept
	uid     int
	role    operator.Role
	scope   []string // applications that it administers
	process origin.Process
	origin  shadowsync.Origin
}

func (a asker) root() bool { return a.uid == 0 }

// identify fills in the asker. Everything comes from the kernel and from the OS's files. The groups
// of the peer's process do not count: they may be older than the files.
func (o *Server) identify(ctx context.Context, peer socket.Peer, c *call) (err error) {
	if c.people, err = o.people.read(ctx, o.engine.Root()); err != nil {
		return err
	}
	c.process, c.uid = origin.OfPeer(peer), peer.UID
	c.origin = o.engine.OriginOf(c.process, shadowsync.SeenByPcli)
	c.origin.UID = &c.uid // the effective uid, with which the peer connected
	return o.nameAsker(ctx, c)
}

// nameAsker fills in what follows from the asker's uid.
func (o *Server) nameAsker(ctx context.Context, c *call) error {
	c.name, c.realm = c.nameOf(c.uid), factor.Local
	if err := o.identifyInDirectory(ctx, c); err != nil {
		return err
	}
	c.origin.By = c.name
	c.role = roleOf(o.engine.Config, c.people[c.name], c.uid, c.realm)
	c.scope = scopeOf(o.engine.Config, c.people[c.name], c.uid)
	return nil
}

// namesOf lists the accounts that have a uid.
func (c *call) namesOf(uid int) []string {
	var names []string
	for name, p := range c.people {
		if p.UID == uid {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// nameOf returns the account of a uid, or "" if several accounts share it.
func (c *call) nameOf(uid int) string {
	names := c.namesOf(uid)
	if len(names) != 1 && uid != 0 {
		return "" // shared by several accounts: it is unknown whose password is meant
	}
	if uid == 0 {
		return "root"
	}
	return names[0]
}
