package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// DefaultPath is where the database is unless the configuration says otherwise.
const DefaultPath = "/var/lib/shadowsync/credentials.db"

// Driver is the driver "sqlite". Its key beside the common ones:
//
//	group  the group that may read; path must then be in a folder of its own
var Driver = driver.Driver{
	Placement: placement,
	Fields:    shadowsync.AllFields,
	Validate:  func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:   prepare,
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err != nil {
			return nil, err // a nil *Store would not be a nil interface
		}
		return s, nil
	},
}

// placement: the default database is beside the state, where the broker may write.
// One in a folder that others may read is opened by a worker, like any other store.
func placement(o driver.Options) driver.Placement {
	if o.Path == "" || o.Path == DefaultPath {
		return driver.InProcess
	}
	return driver.OwnerWorker
}

func prepare(ctx context.Context, o driver.Options) error {
	s, err := configure(o)
	if err != nil {
		return err
	}
	return s.create(ctx)
}

func configure(o driver.Options) (*Store, error) {
	k := driver.NewKeys(o.Keys)
	group := k.Text("group")
	if err := k.Err(); err != nil {
		return nil, err
	}
	path := o.Path
	if path == "" {
		path = DefaultPath
	}
	if own := filepath.Dir(DefaultPath); group != "" && strings.HasPrefix(path, own+"/") {
		return nil, fmt.Errorf(`"group" needs a "path" in a folder of its own, such as "/var/lib/shadowsync-%s/credentials.db": %s is for root alone`, group, own)
	}
	formats, err := o.Accepted()
	return &Store{root: o.Root, path: path, group: group, formats: formats}, err
}
