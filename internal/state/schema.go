package state

import (
	"context"
	"fmt"

	"github.com/shadowsync/shadowsync/shadowsync"
)

// applicationID marks the file as ours in its header (file(1) shows it): "SHsy".
const applicationID = 0x53487379

// migrations bring a database from version i, the file's user_version, to i+1. A released entry
// is never edited: a change of the schema is a new entry.
//
// Credentials are in the form of text.go, times in timeLayout (so that they sort), origins and
// events in JSON. Everything else is stored unchanged.
var migrations = []string{
	`CREATE TABLE application (
		name          TEXT PRIMARY KEY,
		synced_os     TEXT NOT NULL DEFAULT '', -- the revisions at which all was in sync
		synced_store  TEXT NOT NULL DEFAULT '',
		synced_config TEXT NOT NULL DEFAULT '',
		boot          TEXT NOT NULL DEFAULT '', -- boot id of the last boot seen
		settle        TEXT NOT NULL DEFAULT ''  -- end of the settle time
	) STRICT, WITHOUT ROWID;

	CREATE TABLE account (
		application TEXT NOT NULL,
		account     TEXT NOT NULL,
		os          TEXT, -- the baseline, a pair
		store       TEXT,
		origin      TEXT, -- of the value both sides hold
		write_backs INTEGER NOT NULL DEFAULT 0,
		PRIMARY KEY (application, account),
		CHECK ((os IS NULL) = (store IS NULL))
	) STRICT, WITHOUT ROWID;

	CREATE TABLE change ( -- the open changes
		application TEXT NOT NULL,
		account     TEXT NOT NULL,
		state       TEXT NOT NULL,
		reason      TEXT NOT NULL,
		verdict     TEXT NOT NULL,
		os          TEXT NOT NULL,
		store_hash  TEXT NOT NULL,
		origin      TEXT NOT NULL,
		since       TEXT NOT NULL,
		fields      INTEGER NOT NULL, -- that it is of, a bit each; 0: all
		PRIMARY KEY (application, account)
	) STRICT, WITHOUT ROWID;

	CREATE TABLE entry ( -- the record: pairs an account had, the highest seq the newest
		application TEXT NOT NULL,
		account     TEXT NOT NULL,
		seq         INTEGER NOT NULL,
		os          TEXT NOT NULL,
		store       TEXT NOT NULL,
		origin      TEXT NOT NULL,
		replaced    TEXT NOT NULL,
		lost        INTEGER NOT NULL,
		PRIMARY KEY (application, account, seq DESC)
	) STRICT, WITHOUT ROWID;

	CREATE TABLE past ( -- what the application may still remember, by which its old memory is known
		application TEXT NOT NULL,
		account     TEXT NOT NULL,
		digests     TEXT NOT NULL, -- newest first, separated by a space
		PRIMARY KEY (application, account)
	) STRICT, WITHOUT ROWID;

	-- AUTOINCREMENT: an id is never given twice, so that two processes that both
	-- settle a logout cannot settle somebody else's.
	CREATE TABLE logout (
		id          INTEGER PRIMARY KEY AUTOINCREMENT,
		application TEXT NOT NULL,
		account     TEXT NOT NULL,
		keep        TEXT NOT NULL,
		origin      TEXT NOT NULL
	) STRICT;

	CREATE TABLE audit (
		seq     INTEGER PRIMARY KEY,
		event   TEXT NOT NULL, -- JSON in ASCII
		hash    BLOB NOT NULL, -- SHA-256 over the hash before (32 zero bytes at first) and event
		account TEXT AS (event ->> 'account') VIRTUAL,
		at      INTEGER AS (CAST(round(86400000 * (julianday(event ->> 'at') - 2440587.5)) AS INTEGER)) VIRTUAL -- Unix time in ms
	) STRICT;
	CREATE TABLE audit_anchor ( -- the last record that was trimmed: the chain begins after it
		one  INTEGER PRIMARY KEY CHECK (one = 1),
		seq  INTEGER NOT NULL,
		hash BLOB NOT NULL
	) STRICT;
	CREATE TRIGGER audit_keep BEFORE DELETE ON audit WHEN OLD.seq > coalesce((SELECT seq FROM audit_anchor), 0)
		BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
	CREATE TRIGGER audit_fix  BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit trail is append-only'); END;
	CREATE TABLE audit_head ( -- the last record, so that one cut off the end is missed
		one  INTEGER PRIMARY KEY CHECK (one = 1),
		seq  INTEGER NOT NULL,
		hash BLOB NOT NULL
	) STRICT;

	CREATE TABLE digest ( -- of the unmanaged lines, as each application's reconcile saw them, for recognising a rollback
		application TEXT NOT NULL,
		value       TEXT NOT NULL,
		first_seen  TEXT NOT NULL,
		last_seen   TEXT NOT NULL,
		turn        INTEGER NOT NULL, -- the highest was seen last, whatever the clock said
		PRIMARY KEY (application, value)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE manifest ( -- what setup wrote
		path   TEXT PRIMARY KEY,
		wrote  TEXT NOT NULL, -- SHA-256 in hex
		before TEXT NOT NULL  -- the same of what had been there; empty: nothing
	) STRICT, WITHOUT ROWID;`,

	// An application and an account keep these when their names are edited: its unit, and its uid.
	`ALTER TABLE application ADD COLUMN unit TEXT NOT NULL DEFAULT ''; -- empty: not known yet
	ALTER TABLE account ADD COLUMN person TEXT NOT NULL DEFAULT ''; -- the uid, or "gone" once the OS had no such account; empty: not known yet
	CREATE TABLE housed ( -- the revision of the configuration that the names here are of
		one      INTEGER PRIMARY KEY CHECK (one = 1),
		revision TEXT NOT NULL
	) STRICT;`,

	`ALTER TABLE application ADD COLUMN held INTEGER NOT NULL DEFAULT 0; -- 1: its unit is held back by hand, across reboots`,

	// Of a second factor nothing belongs to an application.
	`CREATE TABLE factor (
		realm        TEXT NOT NULL,
		account      TEXT NOT NULL,
		state        TEXT NOT NULL,
		secret       BLOB NOT NULL,    -- sealed; empty: none
		generation   INTEGER NOT NULL, -- raised by each enrolment, renewal and reset
		step         INTEGER NOT NULL, -- the last of which a code was taken
		recovery     TEXT NOT NULL,    -- JSON: hashes, and when they were used
		ticket       BLOB,             -- hash of the enrolment code that a reset handed out; NULL: none is out
		ticket_boot  TEXT,             -- the boot in which it is valid
		ticket_until INTEGER,          -- and until when, in ns since that boot
		mail         TEXT NOT NULL,
		enrolled     TEXT NOT NULL,
		used         TEXT NOT NULL,
		PRIMARY KEY (realm, account),
		CHECK ((ticket IS NULL) = (ticket_boot IS NULL) AND (ticket IS NULL) = (ticket_until IS NULL))
	) STRICT, WITHOUT ROWID;`,

	`ALTER TABLE application ADD COLUMN past_unknown INTEGER NOT NULL DEFAULT 0; -- 1: this state took the place of a lost one, and the application has not read its store since, with nothing doubtful in it`,

	`ALTER TABLE factor ADD COLUMN mailed TEXT NOT NULL DEFAULT 'null'; -- JSON: the code that was mailed to who lost the authenticator, sealed`,

	`ALTER TABLE factor ADD COLUMN uid INTEGER; -- the account's, by which it is found when it was renamed; NULL: not known
	ALTER TABLE factor ADD COLUMN places TEXT NOT NULL DEFAULT 'null'; -- JSON: where its codes were right lately
	CREATE INDEX factor_uid ON factor (uid);
	CREATE TABLE listed ( -- a row: every account that the list for the PAM module names has its factor here
		one INTEGER PRIMARY KEY CHECK (one = 1)
	) STRICT;`,

	`CREATE TABLE shell ( -- the login shells that accounts had before they got the operators' shell
		account TEXT PRIMARY KEY,
		uid     INTEGER NOT NULL, -- the account's: another account of that name had none
		shell   TEXT NOT NULL
	) STRICT, WITHOUT ROWID;`,
}

// Schema is the newest schema that this program can read. In the file it is SQLite's user_version, the four
// bytes from 60 on, where packages look before they are installed.
func Schema() int { return len(migrations) }

// NewerError is the error for a state that a newer shadowsync wrote.
type NewerError struct {
	Path          string
	Schema, Known int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("cannot open state %s: written by a newer shadowsync (schema %d, this one knows %d)", e.Path, e.Schema, e.Known)
}

// migrate brings the schema up to date. It reads the version again inside the transaction that
// changes it, because another process may be doing the same.
func (db *DB) migrate(ctx context.Context, list []string) error {
	var version int
	err := db.read(ctx, "open", func(tx *tx) (err error) {
		db.blank = true
		if version, err = db.version(tx, len(list)); err != nil || version == 0 {
			return err
		}
		_, err = tx.get("SELECT NOT EXISTS (SELECT 1 FROM audit_head UNION ALL SELECT 1 FROM audit UNION ALL SELECT 1 FROM application)", nil, &db.blank)
		return err
	})
	if err != nil || version == len(list) {
		return err
	}
	return db.write(ctx, "migrate", func(tx *tx) error {
		version, err := db.version(tx, len(list))
		if err != nil {
			return err
		}
		for _, step := range list[version:] {
			if err := tx.run(step); err != nil {
				return err
			}
		}
		return tx.run(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, len(list)))
	})
}

// version reads the schema's version, and refuses a database that is not ours.
func (db *DB) version(tx *tx, known int) (int, error) {
	var version, id, tables int
	if _, err := tx.get("SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version, pragma_application_id",
		nil, &version, &id, &tables); err != nil {
		return 0, err
	}
	empty := version == 0 && id == 0 && tables == 0
	switch {
	case empty:
		return 0, nil
	case id != applicationID || version <= 0:
		return 0, fmt.Errorf("%w: not a state database of shadowsync", shadowsync.ErrMalformed)
	case version > known:
		return 0, &NewerError{Path: db.path, Schema: version, Known: known}
	}
	return version, nil
}
