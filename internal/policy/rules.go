package policy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// RulesArgument is the root tool's hidden command that runs RulesMain.
const RulesArgument = "worker-rules"

// question is all that a worker needs beside the token.
type question struct {
	Rules Rules
	Past  []string // hashes
}

// CheckFile judges as Check does, in a worker: the caller hands the token on unread.
// An error that is not ErrWeak says that it was not judged.
func (r Rules) CheckFile(ctx context.Context, token *os.File, present shadowsync.Credential, record shadowsync.Record) error {
	reason, err := tokenworker.Ask[question, string](ctx, RulesArgument, token, question{r, r.past(present, record)})
	if err != nil {
		return fmt.Errorf("cannot judge the password: %w", err)
	}
	if reason != "" {
		return &WeakError{reason}
	}
	return nil
}

// RulesMain is the worker.
func RulesMain(ctx context.Context, stdin *os.File) error {
	return tokenworker.Serve(ctx, stdin, func(q question, secret []byte) (string, error) {
		err := q.Rules.check(secret, q.Past, "")
		if weak := (*WeakError)(nil); errors.As(err, &weak) {
			return weak.Reason, nil
		}
		return "", err
	})
}
