package sqldb

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Statement is SQL with parameters that have names, as in "WHERE name = :name". Values are always bound,
// never part of the text.
type Statement struct {
	dialect Dialect
	text    []string // the SQL around the parameters
	names   []string
}

// List is the value of a parameter that stands in "IN (:names)".
type List []string

// Compile finds the parameters in SQL. It skips quoted texts and names, comments, and the casts of
// PostgreSQL ("::text").
func Compile(dialect Dialect, text string) (Statement, error) {
	s := Statement{dialect: dialect}
	begin := 0
	for at := 0; at < len(text); {
		length, parameter, err := token(dialect, text[at:])
		if err != nil {
			return s, err
		}
		if parameter {
			s.text = append(s.text, text[begin:at])
			s.names = append(s.names, text[at+1:at+length])
			begin = at + length
		}
		at += length
	}
	s.text = append(s.text, text[begin:])
	return s, nil
}

// token returns the length of what the text begins with, and whether it is a parameter.
func token(dialect Dialect, text string) (length int, parameter bool, err error) {
	switch {
	case text[0] == '\'' || text[0] == '"' || text[0] == '`':
		length, err = quoted(dialect, text)
	case strings.HasPrefix(text, "--") || strings.HasPrefix(text, "/*") || text[0] == ';' || text[0] == '$' || text[0] == '?' || text[0] == '#' && dialect == MySQL:
		err = fmt.Errorf("it holds %q, which a statement here cannot have", text[:min(2, len(text))])
	case strings.HasPrefix(text, "::"):
		length = 2
	case text[0] == ':':
		length = 1 + len(text[1:]) - len(strings.TrimLeft(text[1:], "abcdefghijklmnopqrstuvwxyz_"))
		parameter = length > 1
	default:
		length = 1
	}
	return length, parameter, err
}

// quoted returns the length of a quoted text or name. A doubled quote is two quoted texts, which is the
// same here.
func quoted(dialect Dialect, text string) (int, error) {
	end := strings.IndexByte(text[1:], text[0])
	switch {
	case end < 0:
		return 0, fmt.Errorf("a quote (%c) is not closed", text[0])
	case dialect != SQLite && strings.Contains(text[1:1+end], `\`): // whether it quotes depends on settings of the server
		return 0, fmt.Errorf("a quoted text holds a backslash")
	}
	return end + 2, nil
}

// Parameters returns the names of the parameters, in their order.
func (s Statement) Parameters() []string { return s.names }

// Bind returns the SQL with the placeholders of its dialect, and their values. Every parameter has a
// value: a string or a List.
func (s Statement) Bind(values map[string]any) (query string, args []any) {
	var b strings.Builder
	numbers := map[string]int{} // PostgreSQL's parameters have numbers
	for i, name := range s.names {
		b.WriteString(s.text[i])
		list, isList := values[name].(List)
		switch {
		case s.dialect == PostgreSQL:
			if numbers[name] == 0 {
				args = append(args, values[name])
				if isList {
					args[len(args)-1] = []string(list)
				}
				numbers[name] = len(args)
			}
			number := "$" + strconv.Itoa(numbers[name])
			if isList {
				b.WriteString("SELECT unnest(" + number + "::text[])")
			} else {
				b.WriteString(number + "::text")
			}
		case isList && s.dialect == SQLite:
			b.WriteString("SELECT value FROM json_each(?)")
			text, _ := json.Marshal(list) // a list of strings always has a JSON text
			args = append(args, string(text))
		case isList:
			b.WriteString(strings.TrimSuffix(strings.Repeat("?,", len(list)), ","))
			for _, one := range list {
				args = append(args, one)
			}
		default:
			b.WriteByte('?')
			args = append(args, values[name])
		}
	}
	b.WriteString(s.text[len(s.names)])
	return b.String(), args
}
