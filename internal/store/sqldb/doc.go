// Package sqldb reaches databases for the drivers of stores that are in one: PostgreSQL, MySQL or MariaDB,
// and SQLite, all through database/sql.
//
// It promises that a server elsewhere is verified before it gets a password or a hash, that every wait is
// bounded, also for a lock that another transaction holds, and that values are never part of SQL.
//
//	source.go     Source, a database as its URL names it
//	dialect.go    what differs in their SQL
//	statement.go  Statement, SQL with named parameters
//	database.go   Database, and its transactions
//	answer.go     Question and its answer: accounts and their values
//	connect.go    connections
//	dial.go       which of a server's addresses
//	unverified.go  connections to a server of MySQL's that no certificate tells apart
//	fault.go      errors of servers, for people
package sqldb
