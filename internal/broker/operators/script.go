package operators

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/shadowsync/shadowsync/internal/wire/operator"
)

// script answers in a dialogue for somebody at a page, who has sent everything with one request. The dialogue
// asks as it asks a shell. It ends where it asks for what was not sent.
type script struct {
	secrets map[operator.Secret]*os.File // each is given once
	asked   operator.Turn
	last    operator.Turn     // with which the dialogue ended
	results []json.RawMessage // of a request without a dialogue
}

// errWaits ends a dialogue that has shown the setup of an authenticator: the person goes on with another
// request.
var errWaits = errors.New("the person sets up an authenticator")

// Send takes what a shell would be sent.
func (s *script) Send(_ context.Context, v any, _ ...*os.File) error {
	switch said := v.(type) {
	case operator.Turn:
		if s.asked = said; said.Ask == "" {
			s.last = said
		}
	case operator.Answer:
		s.results = append(s.results, said.Result)
	}
	return nil
}

// Receive gives what a shell would be asked for.
func (s *script) Receive(_ context.Context, v any) ([]*os.File, error) {
	reply, replies := v.(*operator.Reply)
	t := s.asked
	switch {
	case !replies, t.Ask == "":
		return nil, io.EOF
	case t.Weak != "" && t.Ask == operator.AskNew:
		return nil, operator.Errorf(operator.Policy, "%s", t.Weak)
	case t.Weak != "":
		return nil, operator.Errorf(operator.CodeRefused, "%s", t.Weak)
	}
	file := s.secrets[t.Ask]
	delete(s.secrets, t.Ask)
	switch {
	case file == nil && t.Setup != nil:
		return nil, errWaits
	case file == nil && t.Ask == operator.AskEnrolment:
		return nil, operator.Errorf(operator.CodeRefused, "an enrolment code is needed")
	case file == nil:
		return nil, operator.Errorf(operator.Usage, "a password or a code is missing")
	}
	given, err := duplicate(file)
	if err != nil {
		return nil, err
	}
	reply.Op = "secret"
	return []*os.File{given}, nil
}

// resultOf is the result of a request, as a page shows it.
func resultOf[T any](s *script) (result T, err error) {
	for _, packed := range s.results {
		err = errors.Join(err, json.Unmarshal(packed, &result))
	}
	return result, err
}

// listOf is a list that a request has given, with what a page may see of each item.
func listOf[T any](s *script) (Reply, error) {
	list := []json.RawMessage{}
	for _, packed := range s.results {
		var some []T
		if err := json.Unmarshal(packed, &some); err != nil {
			return Reply{}, err
		}
		for _, one := range some {
			item, err := json.Marshal(one)
			if err != nil {
				return Reply{}, err
			}
			list = append(list, item)
		}
	}
	return Reply{List: list}, nil
}
