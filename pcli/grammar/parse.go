package grammar

import "errors"

// Call is a parsed line.
type Call struct {
	Command int // index in the list given to New
	Words   string
	values  map[string]string
}

// Has reports whether a parameter was given. key is its keyword or, without one, its name.
func (c Call) Has(key string) bool {
	_, ok := c.values[key]
	return ok
}

// Get returns the value of a parameter, empty if it was not given.
func (c Call) Get(key string) string { return c.values[key] }

// Parse parses a whole line. For an empty line it returns ok = false and no error.
func (s *Set) Parse(line string) (call Call, ok bool, err error) {
	tokens, err := lex(line)
	if err != nil || len(tokens) == 0 {
		return Call{}, false, err
	}
	p, err := s.walk(tokens)
	var notFound *NotFoundError
	switch {
	case errors.As(err, &notFound):
		notFound.Meant = s.meant(tokens)
		return Call{}, false, err
	case err != nil:
		return Call{}, false, err
	case tokens[len(tokens)-1].open:
		return Call{}, false, ErrOpenQuote
	case p.command < 0:
		return Call{}, false, &IncompleteError{p.words}
	}
	if err := p.missing(); err != nil {
		return Call{}, false, err
	}
	return Call{Command: s.index[p.command], Words: p.words, values: p.values}, true, nil
}
