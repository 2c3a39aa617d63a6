package policy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/crypt"
	"github.com/shadowsync/shadowsync/internal/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// ReviewArgument is the root tool's hidden command that runs ReviewMain.
const ReviewArgument = "worker-review"

// Review is about a password that is set already: root's passwd takes what the rules refuse.
type Review struct {
	Account string
	Present string                // the hash that the password should belong to
	Former  shadowsync.Credential // what was there before it
	Record  shadowsync.Record     // and before that
	// Stack is a folder in which a private stack may be made for a moment, to ask the
	// machine's own rules; empty: they are not asked.
	Stack string
}

// Broken tells whose rules a password breaks.
type Broken struct{ Configuration, Machine bool }

type reviewQuestion struct {
	Rules   Rules
	Past    []string // hashes
	Present string
	Account string
	Stack   string // folder of the private stack; empty: no machine's rules
}

// Review judges in a worker: the caller hands the token on unread.
func (r Rules) Review(ctx context.Context, token *os.File, about Review) (Broken, error) {
	q := reviewQuestion{Rules: r, Past: r.past(about.Former, about.Record), Present: about.Present, Account: about.Account}
	line := ""
	if about.Stack != "" {
		var err error
		if line, err = machineLine("/"); err != nil {
			return Broken{}, err
		}
	}
	if line != "" {
		var err error
		if q.Stack, err = writeStack(about.Stack, line); err != nil {
			return Broken{}, fmt.Errorf("cannot ask the machine's password rules: %w", err)
		}
		defer os.RemoveAll(q.Stack)
	}
	if line == "" && r.none() {
		return Broken{}, nil
	}
	broken, err := tokenworker.Ask[reviewQuestion, Broken](ctx, ReviewArgument, token, q)
	if err != nil {
		return Broken{}, fmt.Errorf("cannot judge the password: %w", err)
	}
	return broken, nil
}

// ReviewMain is the worker.
func ReviewMain(ctx context.Context, stdin *os.File) error {
	return tokenworker.Serve(ctx, stdin, reviewQuestion.answer)
}

func (q reviewQuestion) answer(secret []byte) (broken Broken, err error) {
	if len(q.Past) > 0 {
		if same, err := crypt.Verify(q.Present, secret); err != nil || !same {
			q.Past = nil // another was set since, and the past is that one's
		}
	}
	broken.Configuration = errors.Is(q.Rules.check(secret, q.Past, ""), ErrWeak)
	if q.Stack == "" {
		return broken, nil
	}
	s := loadStack(q.Stack)
	defer s.close()
	kind, text := s.judge(q.Account, string(secret))
	if kind == answerFault {
		return broken, fmt.Errorf("cannot ask the machine's password rules: %s", text)
	}
	broken.Machine = text != ""
	return broken, nil
}
