package policy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/password/crypt"
	"github.com/shadowsync/shadowsync/internal/password/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var reviewJob = tokenworker.New("worker-review", "Judge a password that is set, for the daemon", reviewQuestion.answer)

// ReviewCommand is the hidden command of the root tool that Review asks.
var ReviewCommand = reviewJob.Command()

// Review is about a password that is already set, because root's passwd accepts what the rules
// refuse.
type Review struct {
	Account string
	Present string                // the hash that the password should belong to
	Former  shadowsync.Credential // the credential before it
	Record  shadowsync.Record     // the earlier ones
	// Stack is a folder in which Review may create a private stack for a moment, to ask the
	// machine's own rules; empty: they are not asked.
	Stack string
}

// Broken says whose rules a password breaks.
type Broken struct{ Configuration, Machine bool }

type reviewQuestion struct {
	Rules   Rules
	Past    []string // hashes
	Present string
	Account string
	Stack   string // folder of the private stack; empty: no rules of the machine
}

// Review judges in a worker: the caller passes the token on unread.
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
	broken, err := reviewJob.Ask(ctx, token, q)
	if err != nil {
		return Broken{}, fmt.Errorf("cannot judge the password: %w", err)
	}
	return broken, nil
}

func (q reviewQuestion) answer(secret []byte) (broken Broken, err error) {
	if len(q.Past) > 0 {
		if same, err := crypt.Verify(q.Present, secret); err != nil || !same {
			q.Past = nil // another password was set since, and the history belongs to that one
		}
	}
	broken.Configuration = errors.Is(q.Rules.check(secret, q.Past, ""), ErrWeak)
	if q.Stack == "" {
		return broken, nil
	}
	s := loadStack(q.Stack)
	defer s.close()
	j := s.judge(q.Account, string(secret))
	if j.Fault != "" {
		return broken, fmt.Errorf("cannot ask the machine's password rules: %s", j.Fault)
	}
	broken.Machine = j.Reason != ""
	return broken, nil
}
