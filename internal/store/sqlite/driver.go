package sqlite

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/files/rootonly"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// DefaultPath is the path of the database if the configuration names none.
const DefaultPath = "/var/lib/shadowsync/credentials.db"

var keys = []key.Key{
	{Name: "path", Kind: key.Text, Form: driver.Path.Form, Default: "`" + DefaultPath + "`", Doc: "The database. With `group`, it must be in a folder of its own."},
	{Name: "group", Kind: key.Text, Doc: "The group whose members may read the database."},
}

// Driver is the driver "sqlite".
var Driver = driver.Driver{
	Traits:    driver.Traits{Doc: "an embedded SQLite database, for an application without a user database", Creates: true},
	Placement: placement,
	Fields:    shadowsync.AllFields,
	Keys:      keys,
	Validate:  func(o driver.Options) error { _, err := configure(o); return err },
	Prepare:   prepare,
	Place:     place,
	Plain: func(o driver.Options) map[string]string {
		return map[string]string{"path": cmp.Or(o.Path, DefaultPath)}
	},
	Image: &driver.Image{Default: DefaultPath, Write: writeImage, Read: readImage},
	Open: func(_ context.Context, o driver.Options) (shadowsync.CredentialStore, error) {
		s, err := configure(o)
		if err != nil {
			return nil, err // a nil *Store would not be a nil interface
		}
		return s, nil
	},
}

// placement: the default database is beside the state, where the broker may write. A worker opens a
// database in a folder that others may read, like any other store.
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

// place refuses a folder that another user can change: that user could replace the database, and
// the file that SQLite takes for its journal.
func place(o driver.Options) error {
	s, err := configure(o)
	if err != nil {
		return err
	}
	folder, err := rootonly.Folder(s.root, filepath.Dir(s.path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // setup creates it, and checks the place
	}
	if err != nil {
		return err
	}
	return folder.Close()
}

func configure(o driver.Options) (*Store, error) {
	if err := o.Check(keys); err != nil {
		return nil, err
	}
	group, path := o.Text("group"), o.Path
	if path == "" {
		path = DefaultPath
	}
	if own := filepath.Dir(DefaultPath); group != "" && strings.HasPrefix(path, own+"/") {
		return nil, key.Bad("group", `"group" needs a "path" in a folder of its own, such as "/var/lib/shadowsync-%s/credentials.db": %s is for root alone`, group, own)
	}
	formats, err := o.Accepted()
	return &Store{root: o.Root, path: path, group: group, formats: formats}, err
}
