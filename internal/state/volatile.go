package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mattn/go-sqlite3"

	"github.com/shadowsync/shadowsync/internal/files/inroot"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// OpenVolatile opens a copy of the state in the folder dir of the system at root, as far as that
// can be read, or else an empty state. It is for work that cannot wait although the disk takes no
// writes. The copy is in a folder of its own below held, which is in memory (/run): later processes
// find there what one process recorded, until the state itself is written again or the machine
// boots. In is that folder. It is "" if there is no room there either; then the copy is in the
// memory of this process.
func OpenVolatile(ctx context.Context, root, dir, held string) (db *DB, in string, err error) {
	file, in := original(ctx, root, dir, held)
	defer closeOriginal(file)
	if db, err := openHeld(ctx, root, in); err == nil {
		return db, in, nil
	}
	memory, err := copyOf(ctx, file)
	if err != nil {
		return nil, "", err
	}
	if db, err = memory.put(ctx, root, held, in); err == nil {
		return db, in, memory.Close()
	}
	return memory, "", nil
}

// Glimpse returns an in-memory copy of what OpenVolatile would open, for callers that only read.
func Glimpse(ctx context.Context, root, dir, held string) (*DB, error) {
	file, in := original(ctx, root, dir, held)
	if db, err := openHeld(ctx, root, in); err == nil {
		closeOriginal(file)
		file = db
	}
	defer closeOriginal(file)
	return copyOf(ctx, file)
}

// original opens the state, nil if that fails, and names the folder of its copy. The name is the
// last record of the state's audit trail, so that a copy becomes invalid when the state itself
// records more.
func original(ctx context.Context, root, dir, held string) (*DB, string) {
	const unreadable = "unreadable"
	if _, err := inroot.Lstat(root, filepath.Join(dir, FileName)); err != nil { // else opening it creates it
		return nil, filepath.Join(held, unreadable)
	}
	file, err := OpenIn(ctx, root, dir)
	if err != nil {
		return nil, filepath.Join(held, unreadable)
	}
	name := unreadable
	_ = file.read(ctx, "read the audit of", func(tx *tx) error {
		seq, hash, err := tx.head()
		if err == nil {
			name = fmt.Sprintf("%d-%x", seq, hash[:min(len(hash), 8)])
		}
		return err
	})
	return file, filepath.Join(held, name)
}

func closeOriginal(file *DB) {
	if file != nil {
		_ = file.Close() // closing a damaged one may fail
	}
}

// openHeld opens a copy that another process left; it removes a malformed one.
func openHeld(ctx context.Context, root, in string) (*DB, error) {
	if _, err := inroot.Lstat(root, filepath.Join(in, FileName)); err != nil {
		return nil, err
	}
	db, err := OpenIn(ctx, root, in)
	if err == nil {
		if err = db.understood(ctx); err == nil {
			return db, nil
		}
		err = errors.Join(err, db.Close())
	}
	if errors.Is(err, shadowsync.ErrMalformed) {
		err = errors.Join(err, inroot.RemoveAll(root, in))
	}
	return nil, err
}

// put writes the copy to a file in the folder in, and opens the file, or the one that another process
// wrote meanwhile. The file gets its name once it is complete. It takes over what the outdated copies
// below held know, and removes them.
func (db *DB) put(ctx context.Context, root, held, in string) (*DB, error) {
	folder, err := openFolder(root, in)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	name := "new-" + rand.Text()
	path := folder.Path(name)
	defer func() { _, _ = os.Remove(path), os.Remove(path+"-journal") }()
	if err := db.writeTo(ctx, root, in, name); err != nil {
		return nil, err
	}
	if err := os.Link(path, folder.Path(FileName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	file, err := openHeld(ctx, root, in)
	if err != nil {
		return nil, err
	}
	_ = file.takeOthers(ctx, root, held, in) // if there is no room, they stay
	return file, nil
}

func (db *DB) writeTo(ctx context.Context, root, in, name string) error {
	folder, err := inroot.OpenFolder(root, in)
	if err != nil {
		return err
	}
	file, err := openFile(ctx, folder, name, migrations)
	if err != nil {
		return err
	}
	return errors.Join(copyInto(file, db), file.Close())
}

// copyOf copies a state into memory; for nil or a damaged state the copy is empty.
func copyOf(ctx context.Context, file *DB) (*DB, error) {
	db, err := openMemory(ctx)
	if err != nil {
		return nil, err
	}
	if file != nil {
		_ = copyInto(db, file) // the copy of a damaged state is not used: its transaction was rolled back
	}
	if err := db.migrate(ctx, migrations); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.understood(ctx); !errors.Is(err, shadowsync.ErrMalformed) {
		return db, nil
	}
	_ = db.Close()
	return copyOf(ctx, nil)
}

func openMemory(ctx context.Context) (*DB, error) {
	db := &DB{
		path: "in memory", turn: make(chan struct{}, 1),
		statements: make(map[string]*sql.Stmt), recollections: make(map[string]recollection),
	}
	var err error
	if db.pool, err = sql.Open("sqlite3", ":memory:"); err == nil {
		db.pool.SetMaxOpenConns(1)
		db.conn, err = db.pool.Conn(context.Background())
	}
	if err == nil {
		_, err = db.conn.ExecContext(ctx, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open a state in memory: %w", err), db.Close())
	}
	return db, nil
}

// understood reads everything that a reconcile reads: intact pages may hold malformed rows.
func (db *DB) understood(ctx context.Context) error {
	var applications []string
	err := db.read(ctx, "read", func(t *tx) (err error) {
		applications, err = t.applications()
		return err
	})
	for _, name := range applications {
		if err == nil {
			_, err = db.Load(ctx, name, nil)
		}
	}
	if err == nil {
		_, err = db.Factors(ctx)
	}
	return err
}

func (t *tx) applications() (names []string, err error) {
	var name string
	err = t.each("SELECT name FROM application UNION SELECT application FROM account UNION SELECT application FROM change",
		nil, []any{&name}, func() error {
			names = append(names, strings.Clone(name))
			return nil
		})
	return names, err
}

// copyInto copies the database from into the empty database to.
func copyInto(to, from *DB) error {
	return raw(to, func(target *sqlite3.SQLiteConn) error {
		return raw(from, func(source *sqlite3.SQLiteConn) error {
			backup, err := target.Backup("main", source, "main")
			if err != nil {
				return err
			}
			_, err = backup.Step(-1)
			return errors.Join(err, backup.Finish())
		})
	})
}

func raw(db *DB, do func(*sqlite3.SQLiteConn) error) error {
	return db.conn.Raw(func(driver any) error { return do(driver.(*sqlite3.SQLiteConn)) })
}

// FreeLocker hands out leases that lock nothing, for work on a state in memory. If no lock is
// available, each write still compares first.
type FreeLocker struct{}

// Acquire never waits.
func (FreeLocker) Acquire(context.Context) (shadowsync.Lease, error) { return freeLease{}, nil }

type freeLease struct{}

func (freeLease) Extend() error { return nil }
func (freeLease) Release()      {}
