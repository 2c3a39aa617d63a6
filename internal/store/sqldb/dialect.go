package sqldb

import "strings"

// Dialect is the SQL that a server speaks.
type Dialect int

// The dialects. MariaDB is MySQL.
const (
	PostgreSQL Dialect = iota
	MySQL
	SQLite
)

// dialects are the schemes of URLs.
var dialects = map[string]Dialect{
	"postgres": PostgreSQL, "postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MySQL, "sqlite": SQLite,
}

// Begins returns the beginning of the dialect's URLs.
func (d Dialect) Begins() string { return [...]string{"postgres://", "mysql://", "sqlite:///"}[d] }

func (d Dialect) port() string {
	if d == PostgreSQL {
		return "5432"
	}
	return "3306"
}

// socketSetting is the setting of a URL that names a Unix socket, as the servers' own clients call it.
func (d Dialect) socketSetting() string {
	if d == PostgreSQL {
		return "host"
	}
	return "socket"
}

// Identifier quotes a name of a column or of a table. SQLite takes a name in double quotes for a text if
// there is no such column: backquotes always quote a name.
func (d Dialect) Identifier(name string) string {
	quote := "`"
	if d == PostgreSQL {
		quote = `"`
	}
	return quote + strings.ReplaceAll(name, quote, quote+quote) + quote
}

// Table quotes the name of a table, with or without its schema.
func (d Dialect) Table(name string) string {
	schema, table, two := strings.Cut(name, ".")
	if !two {
		return d.Identifier(name)
	}
	return d.Identifier(schema) + "." + d.Identifier(table)
}

// Table quotes the name of a table for whoever is not connected to the database of the source: MySQL's
// tables without a schema are in that database.
func (s Source) Table(name string) string {
	if s.Dialect == MySQL && !strings.Contains(name, ".") {
		return s.Dialect.Identifier(s.Database) + "." + s.Dialect.Identifier(name)
	}
	return s.Dialect.Table(name)
}

// Text is an expression's value as text, byte by byte: comparing such values depends on no collation, for
// which 'Admin' may equal 'admin'.
func (d Dialect) Text(expression string) string {
	switch d {
	case PostgreSQL:
		return "(" + expression + `)::text COLLATE "C"`
	case MySQL: // as bytes, because every collation ignores trailing spaces
		return "CAST(CONVERT(" + expression + " USING utf8mb4) AS BINARY)"
	}
	return "CAST(" + expression + " AS BLOB)"
}

// Start is a text's beginning, so that a huge one is not fetched.
func (d Dialect) Start(expression, most string) string {
	switch d {
	case PostgreSQL:
		return "left(" + expression + "::text, " + most + ")"
	case MySQL:
		return "LEFT(" + expression + ", " + most + ")"
	}
	return "substr(" + expression + ", 1, " + most + ")"
}
