package policy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/shadowsync/shadowsync/internal/password/tokenworker"
	"github.com/shadowsync/shadowsync/shadowsync"
)

var rulesJob = tokenworker.New("worker-rules", "Judge a new password, for the daemon", question.answer)

// RulesCommand is the hidden command of the root tool that CheckFile asks.
var RulesCommand = rulesJob.Command()

// question is what a worker needs besides the token.
type question struct {
	Rules Rules
	Past  []string // hashes
}

// verdict is empty if the rules accept the password.
type verdict struct {
	Reason string `json:"reason,omitempty"`
}

// CheckFile judges as Check does, but in a worker: the caller passes the token on unread. An error
// other than ErrWeak means that the token was not judged.
func (r Rules) CheckFile(ctx context.Context, token *os.File, present shadowsync.Credential, record shadowsync.Record) error {
	v, err := rulesJob.Ask(ctx, token, question{r, r.past(present, record)})
	if err != nil {
		return fmt.Errorf("cannot judge the password: %w", err)
	}
	if v.Reason != "" {
		return &WeakError{v.Reason}
	}
	return nil
}

func (q question) answer(secret []byte) (verdict, error) {
	err := q.Rules.check(secret, q.Past, "")
	if weak := (*WeakError)(nil); errors.As(err, &weak) {
		return verdict{weak.Reason}, nil
	}
	return verdict{}, err
}
