// Package sqlite is the driver of the embedded credential store: a SQLite
// database of root's own, for applications without a user database. Its schema
// is an interface for them, see Schema.
//
// # For the application
//
// An application that runs as root reads DefaultPath. For any other application the
// configuration names a group and a path in a folder of its own:
//
//	[application.store]
//	driver = "sqlite"
//	path   = "/var/lib/shadowsync-conductor/credentials.db"
//	group  = "conductor"
//
// The folder is then root:conductor 0750 and the database root:conductor 0640. (The default
// path does not work: /var/lib/shadowsync also holds shadowsync's state, and only root can enter it.)
// The application opens the database read-only and without changing its journal
// mode, which is DELETE:
//
//	sqlite3 'file:/var/lib/shadowsync-conductor/credentials.db?mode=ro' \
//	    "SELECT password FROM credential WHERE name = 'admin'"
//
// Transactions must be short: while one is open no password can be written.
// SQLITE_BUSY means a write that takes milliseconds, so set a busy timeout.
// SQLITE_READONLY_ROLLBACK means that a writer was killed in the middle of a write.
// Only root can roll it back; the next access by shadowsync does that. To notice changes,
// watch the folder (the database is written in place, its journal comes and goes) and
// compare revision.value.
//
// Only root can write: whatever writes a SQLite database also creates files in its folder,
// and a file of root's must not be in a folder that others can write to. The members of the
// group can only read. A read lock that is held longer than a write waits makes the store
// unavailable.
//
//	driver.go     the configuration
//	database.go   checks the database's place, and creates it
//	connection.go the open database
//	store.go      reads and writes
//	row.go        a row and its credential
//	embedded.go   all rows at once, for backups
//	image.go      the rows as a file in a backup
//	error.go      turns SQLite's errors into faults
//	writer.go     one write, and what the schema would refuse
//	group.go      the group that may read
package sqlite

import _ "embed"

// Schema is the interface for applications, version 1.
//
//go:embed schema.sql
var Schema string
