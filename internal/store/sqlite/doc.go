// Package sqlite is the driver of the embedded credential store: a SQLite
// database of root's own, for applications without a user database. Its schema
// is an interface for them, see Schema.
//
// # For the application
//
// An application that runs as root reads DefaultPath. For one that does not, the
// configuration names a group and a path in a folder of its own:
//
//	[application.store]
//	driver = "sqlite"
//	path   = "/var/lib/shadowsync-conductor/credentials.db"
//	group  = "conductor"
//
// The folder is then root:conductor 0750 and the database root:conductor 0640. (The
// default path cannot be used: /var/lib/shadowsync holds shadowsync's state too and is root's alone.)
// The application opens the database read-only and without changing its journal
// mode, which is DELETE:
//
//	sqlite3 'file:/var/lib/shadowsync-conductor/credentials.db?mode=ro' \
//	    "SELECT password FROM credential WHERE name = 'admin'"
//
// Transactions must be short: while one is open no password can be written.
// SQLITE_BUSY means a write that takes milliseconds, so set a busy timeout.
// SQLITE_READONLY_ROLLBACK means that a writer was killed in the middle of
// one: it goes away with the next look of shadowsync, for only root can roll it
// back. To notice changes, watch the folder (the database is written in place,
// its journal comes and goes) and compare revision.value.
//
// Only root can write: who writes a SQLite database writes files in its
// folder, and a folder that others can write to is no place for a file of
// root's. The members of the group can do nothing but read; holding a read lock for
// longer than a write waits makes the store unavailable.
//
//	driver.go     what the configuration says
//	database.go   where the database may be, and making it
//	connection.go the open database
//	store.go      reading, writing
//	row.go        a row and its credential
//	error.go      SQLite's errors in our words
package sqlite

import _ "embed"

// Schema is the interface for applications, version 1.
//
//go:embed schema.sql
var Schema string
