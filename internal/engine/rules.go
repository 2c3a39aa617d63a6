package engine

import (
	"context"
	"os"
)

// HoldToRules lets a worker judge a new password by the configuration's rules. Any error but
// policy.ErrWeak means that it was not judged. What the name's previous holder used
// does not count: the answer would tell it to others.
func (e *Engine) HoldToRules(ctx context.Context, application, user string, token *os.File) error {
	snapshot, err := e.Accounts.Read(ctx, []string{user})
	if err != nil {
		return err
	}
	memory, err := e.Recall(ctx, application, []string{user})
	if err != nil {
		return err
	}
	account, exists := snapshot.Accounts[user]
	rules := e.Config.Password.Rules()
	return rules.CheckFile(ctx, token, account.Credential, memory[user].RecordFor(account, exists))
}
