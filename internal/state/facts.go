package state

import (
	"context"
	"time"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// Boot returns the id of the boot (boot.ID) that SetBoot last recorded for an application; empty:
// none yet.
func (db *DB) Boot(ctx context.Context, application string) (id string, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		_, err := tx.get("SELECT boot FROM application WHERE name = ?", []any{application}, &id)
		return err
	})
	return id, err
}

// SetBoot records the boot in which an application was last looked at.
func (db *DB) SetBoot(ctx context.Context, application, id string) error {
	return db.set(ctx, "INSERT INTO application (name, boot) VALUES (?, ?) ON CONFLICT DO UPDATE SET boot = excluded.boot", application, id)
}

// SetSettle records the end of an application's settle time; zero ends it.
func (db *DB) SetSettle(ctx context.Context, application string, until time.Time) error {
	return db.set(ctx, "INSERT INTO application (name, settle) VALUES (?, ?) ON CONFLICT DO UPDATE SET settle = excluded.settle",
		application, timeText(until))
}

// Begin records that this state took the place of a lost one: what these applications remember may
// not be on record (Memory.PastUnknown). The event tells of the loss. Begin reports false if another
// process was faster.
func (db *DB) Begin(ctx context.Context, applications []string, event shadowsync.Event) (begun bool, err error) {
	err = db.write(ctx, "write to", func(tx *tx) error {
		seq, _, err := tx.head()
		if begun = err == nil && seq == 0; !begun {
			return err
		}
		for _, name := range applications {
			if err := tx.setPastUnknown(name, true); err != nil {
				return err
			}
		}
		return tx.audit(event)
	})
	return begun && err == nil, err
}

// SetStarting records that an application is about to read its store, and that nothing in it is
// doubtful (Report.Doubtful): what the application remembers from then on is on record.
func (db *DB) SetStarting(ctx context.Context, application string) error {
	memory, err := db.Load(ctx, application, []string{})
	if err != nil || !memory.PastUnknown {
		return err
	}
	return db.write(ctx, "write to", func(tx *tx) error { return tx.setPastUnknown(application, false) })
}

func (t *tx) setPastUnknown(application string, unknown bool) error {
	_, err := t.exec("INSERT INTO application (name, past_unknown) VALUES (?, ?) ON CONFLICT DO UPDATE SET past_unknown = excluded.past_unknown", application, unknown)
	return err
}

// Held reports whether an application's unit is held back by hand.
func (db *DB) Held(ctx context.Context, application string) (held bool, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		_, err := tx.get("SELECT held FROM application WHERE name = ?", []any{application}, &held)
		return err
	})
	return held, err
}

// SetHeld records that an application's unit is held back by hand, or no longer is.
func (db *DB) SetHeld(ctx context.Context, application string, held bool) error {
	return db.set(ctx, "INSERT INTO application (name, held) VALUES (?, ?) ON CONFLICT DO UPDATE SET held = excluded.held", application, held)
}

// ReleaseHeld records that no unit is held back by hand any longer.
func (db *DB) ReleaseHeld(ctx context.Context) error {
	return db.set(ctx, "UPDATE application SET held = 0 WHERE held <> 0")
}

// AwaitingLogin names the accounts, of any application, to which the clear text of a login matters: see
// shadowsync.ChangeState.Awaits.
func (db *DB) AwaitingLogin(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	err := db.read(ctx, "read", func(tx *tx) error {
		var name string
		var state string
		return tx.each("SELECT account, state FROM change", nil, []any{&name, &state}, func() error {
			if shadowsync.ChangeState(state).Awaits() {
				names[name] = true
			}
			return nil
		})
	})
	return names, err
}

func (db *DB) set(ctx context.Context, query string, args ...any) error {
	return db.write(ctx, "write to", func(tx *tx) error {
		_, err := tx.exec(query, args...)
		return err
	})
}

// Digest is a digest of what shadowsync does not manage, as it was seen. A digest that comes back
// after others were seen indicates a rollback.
type Digest struct {
	Value string
	First time.Time
	Last  time.Time // to the hour
}

// How many digests are kept, and how old Digest.Last may be.
const (
	digestsKept  = 16
	digestsStale = time.Hour
)

// SeenDigests returns the last 16 distinct digests that an application saw, the latest first.
func (db *DB) SeenDigests(ctx context.Context, application string) (seen []Digest, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		seen, err = tx.digests(application)
		return err
	})
	return seen, err
}

// NoteDigest records that a digest was seen at a time. Noting the same one again within the hour
// costs no write.
func (db *DB) NoteDigest(ctx context.Context, application, value string, at time.Time) error {
	seen, err := db.SeenDigests(ctx, application)
	if err != nil {
		return err
	}
	if len(seen) > 0 && seen[0].Value == value && at.Sub(seen[0].Last) < digestsStale {
		return nil
	}
	return db.write(ctx, "write to", func(tx *tx) error {
		if _, err := tx.exec(`INSERT INTO digest (application, value, first_seen, last_seen, turn)
			VALUES (?1, ?2, ?3, ?3, (SELECT coalesce(max(turn), 0) + 1 FROM digest WHERE application = +?1))
			ON CONFLICT DO UPDATE SET last_seen = excluded.last_seen, turn = excluded.turn`, application, value, timeText(at)); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM digest WHERE application = ?1 AND turn NOT IN
			(SELECT turn FROM digest WHERE application = +?1 ORDER BY turn DESC LIMIT ?2)`, application, digestsKept)
		return err
	})
}

func (t *tx) digests(application string) (seen []Digest, err error) {
	var value, first, last string
	err = t.each("SELECT value, first_seen, last_seen FROM digest WHERE application = +? ORDER BY turn DESC", []any{application}, []any{&value, &first, &last}, func() (err error) {
		d := Digest{Value: value}
		if d.First, err = parseTime(first); err != nil {
			return err
		}
		if d.Last, err = parseTime(last); err != nil {
			return err
		}
		seen = append(seen, d)
		return nil
	})
	return seen, err
}

// SetupFile is a file that setup wrote.
type SetupFile struct {
	Path   string
	Wrote  string // SHA-256 of what setup wrote, in hex
	Before string // SHA-256 of the file before setup; empty: there was none
}

// Manifest lists the files that setup wrote, sorted by path.
func (db *DB) Manifest(ctx context.Context) (files []SetupFile, err error) {
	err = db.read(ctx, "read", func(tx *tx) error {
		var f SetupFile
		return tx.each("SELECT path, wrote, before FROM manifest ORDER BY path", nil, []any{&f.Path, &f.Wrote, &f.Before}, func() error {
			files = append(files, f)
			return nil
		})
	})
	return files, err
}

// SetManifest replaces the list of files that setup wrote.
func (db *DB) SetManifest(ctx context.Context, files []SetupFile) error {
	return db.write(ctx, "write to", func(tx *tx) error {
		if _, err := tx.exec("DELETE FROM manifest"); err != nil {
			return err
		}
		for _, f := range files {
			if _, err := tx.exec("INSERT INTO manifest (path, wrote, before) VALUES (?, ?, ?)", f.Path, f.Wrote, f.Before); err != nil {
				return err
			}
		}
		return nil
	})
}
