package sqltable

import (
	"slices"
	"strconv"
	"strings"

	"github.com/shadowsync/shadowsync/internal/config/key"
	"github.com/shadowsync/shadowsync/internal/password/scheme"
	"github.com/shadowsync/shadowsync/internal/store/driver"
	"github.com/shadowsync/shadowsync/internal/store/sqldb"
)

// statements are the SQL of a store.
type statements struct {
	read, update sqldb.Statement
	clear        *sqldb.Statement // nil: nothing is cleared
	// parts are the columns that make up a value, by the names of their keys and parameters.
	parts []string
}

// The parameters, beside the parts.
const (
	namesParameter = "names"
	nameParameter  = "name"
	oldPrefix      = "old_"
)

// text is SQL before it is compiled, and the key that it comes from.
type text struct{ read, update, clear string }

func newStatements(dialect sqldb.Dialect, parts []scheme.Part, o driver.Options) (s statements, err error) {
	for _, part := range parts {
		s.parts = append(s.parts, map[scheme.Part]string{
			scheme.Algorithm: "algorithm", scheme.Salt: "salt", scheme.Hash: "password",
		}[part])
	}
	make := s.fromColumns
	if o.Text("read") != "" || o.Text("update") != "" || o.Text("clear") != "" {
		make = s.ofTheApplication
	}
	sql, err := make(dialect, o)
	if err != nil {
		return s, err
	}
	values := []string{nameParameter}
	for _, part := range s.parts {
		values = append(values, part, oldPrefix+part)
	}
	if s.read, err = compile(dialect, "read", sql.read, namesParameter); err == nil {
		s.update, err = compile(dialect, "update", sql.update, values...)
	}
	if err == nil && sql.clear != "" {
		var clears sqldb.Statement
		clears, err = compile(dialect, "clear", sql.clear, nameParameter)
		s.clear = &clears
	}
	return s, err
}

// compile compiles SQL that must hold these parameters, and no others.
func compile(dialect sqldb.Dialect, from, sql string, must ...string) (sqldb.Statement, error) {
	s, err := sqldb.Compile(dialect, sql)
	if err != nil {
		return s, key.Bad(from, "%s cannot be used: %v", from, err)
	}
	for _, name := range must {
		if !slices.Contains(s.Parameters(), name) {
			return s, key.Bad(from, "%s has no :%s", from, name)
		}
	}
	for _, name := range s.Parameters() {
		if !slices.Contains(must, name) {
			return s, key.Bad(from, "%s has the parameter :%s; there are :%s", from, name, strings.Join(must, ", :"))
		}
	}
	return s, nil
}

// ofTheApplication takes the statements as they are configured.
func (s statements) ofTheApplication(_ sqldb.Dialect, o driver.Options) (text, error) {
	for _, name := range []string{"read", "update"} {
		if o.Text(name) == "" {
			return text{}, key.Missing(name)
		}
	}
	for _, name := range []string{"table", "name", "password", "salt", "algorithm", "sessions", "sessions_account", "sessions_refers"} {
		if o.Text(name) != "" {
			return text{}, key.Bad(name, `%s and "read" say the same: one of them must go`, name)
		}
	}
	return text{o.Text("read"), o.Text("update"), o.Text("clear")}, nil
}

// distinct returns what would make a write change a name, or delete an account: one column for two things, or
// the table of accounts as that of sessions.
func (s statements) distinct(dialect sqldb.Dialect, o driver.Options) error {
	same := strings.EqualFold
	if dialect == sqldb.PostgreSQL {
		same = func(a, b string) bool { return a == b }
	}
	columns := append([]string{"name"}, s.parts...)
	for i, name := range columns {
		for _, other := range columns[:i] {
			if same(o.Text(name), o.Text(other)) {
				return key.Bad(name, "%s = %q: that is the column of %q", name, o.Text(name), other)
			}
		}
	}
	accounts, sessions := o.Text("table"), o.Text("sessions")
	if !strings.Contains(accounts, ".") || !strings.Contains(sessions, ".") {
		accounts, sessions = accounts[strings.IndexByte(accounts, '.')+1:], sessions[strings.IndexByte(sessions, '.')+1:]
	}
	if same(accounts, sessions) {
		return key.Bad("sessions", "sessions = %q: that is the table of the accounts, whose rows would be deleted", o.Text("sessions"))
	}
	return nil
}

// fromColumns makes the statements. The plain comparison of the name lets the server use its index.
func (s statements) fromColumns(dialect sqldb.Dialect, o driver.Options) (text, error) {
	for _, name := range append([]string{"table", "name"}, s.parts...) {
		if o.Text(name) == "" {
			return text{}, key.Missing(name)
		}
	}
	for _, name := range []string{"salt", "algorithm"} {
		if o.Text(name) != "" && !slices.Contains(s.parts, name) {
			return text{}, key.Bad(name, "the scheme keeps no %s in a column of its own", name)
		}
	}
	if err := s.distinct(dialect, o); err != nil {
		return text{}, err
	}
	table, name := dialect.Table(o.Text("table")), dialect.Identifier(o.Text("name"))
	this := name + " = :name AND " + dialect.Text(name) + " = " + dialect.Text(":name")
	columns, set, expected := []string{dialect.Start(name, strconv.Itoa(sqldb.MaxName+1))}, []string{}, []string{this} // as text, without the blanks of CHAR(n)
	for _, part := range s.parts {
		column := dialect.Identifier(o.Text(part))
		columns = append(columns, dialect.Start(column, strconv.Itoa(sqldb.MaxPassword+1)))
		set = append(set, column+" = :"+part)
		expected = append(expected, dialect.Text("COALESCE("+column+", '')")+" = "+dialect.Text(":"+oldPrefix+part))
	}
	sql := text{
		read:   "SELECT " + strings.Join(columns, ", ") + " FROM " + table + " WHERE " + name + " IN (:names)",
		update: "UPDATE " + table + " SET " + strings.Join(set, ", ") + " WHERE " + strings.Join(expected, " AND "),
	}
	sessions, account, refers := o.Text("sessions"), o.Text("sessions_account"), o.Text("sessions_refers")
	if (sessions == "") != (account == "") || sessions == "" && refers != "" {
		return text{}, key.Bad("sessions", `"sessions" needs "sessions_account", the column that says whose a row is`)
	}
	if sessions != "" {
		if refers == "" {
			refers = o.Text("name")
		}
		sql.clear = "DELETE FROM " + dialect.Table(sessions) + " WHERE " + dialect.Identifier(account) +
			" IN (SELECT " + dialect.Identifier(refers) + " FROM " + table + " WHERE " + this + ")"
	}
	return sql, nil
}
