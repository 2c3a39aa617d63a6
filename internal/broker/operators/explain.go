package operators

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/shadowsync/shadowsync/internal/engine"
	"github.com/shadowsync/shadowsync/internal/term/printable"
	"github.com/shadowsync/shadowsync/internal/wire/operator"
	"github.com/shadowsync/shadowsync/shadowsync"
)

// explain turns an error into what an operator may see. Errors made for operators stay as they are;
// of all others only the kind is shown, and the full chain goes to the journal.
func (o *Server) explain(c *call, err error) *operator.Error {
	var refusal *operator.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	o.Log.Warn("an operator's request failed", "op", printable.Clip(string(c.request.Op), 32), "by", c.name, "error", printable.Quote(err.Error()))
	switch {
	case errors.Is(err, shadowsync.ErrNoAccount):
		return operator.Errorf(operator.NoAccount, "no such account")
	case errors.Is(err, shadowsync.ErrMalformed):
		return operator.Errorf(operator.Conflict, "the credential store is malformed: an administrator must look")
	case errors.Is(err, shadowsync.ErrUnavailable):
		return operator.Errorf(operator.Unavailable, "the credential store is not available")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, shadowsync.ErrLockLost):
		return operator.Errorf(operator.Unavailable, "it took too long")
	}
	return operator.Errorf(operator.Failed, "it failed; the journal of shadowsync.service tells why")
}

// outcomeError is the error for a change that is not on both sides.
func outcomeError(out engine.Settled) error {
	a := out.Holder
	reason := printable.Quote(out.Reason)
	switch {
	case out.State.Fits():
		return nil
	case out.Verdict == shadowsync.VerdictRefused:
		return operator.Errorf(operator.Policy, "%s refuses it: %s", a.Name, reason)
	case out.State == shadowsync.Conflict, out.State == shadowsync.Missing:
		return operator.Errorf(operator.Conflict, "%s: %s", out.State, reason)
	}
	return operator.Errorf(operator.Pending, "done on the OS side; %s's is %s: %s", a.Name, out.State, reason)
}

// audit records an attempt. The entry matters more than a log line, but an answer does not wait for
// a full disk.
func (o *Server) audit(ctx context.Context, c *call, account, result string) {
	o.auditAs(ctx, c, account, strings.ReplaceAll(printable.Clip(string(c.request.Op), 32), "-", " "), result)
}

func (o *Server) auditAs(ctx context.Context, c *call, account, action, result string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	application, _ := o.engine.Config.Managing(account)
	err := o.engine.Audit(ctx, shadowsync.Event{
		At: time.Now(), Application: application.Name, Account: account,
		Action: action, Reason: result, Origin: c.origin,
	})
	if err != nil {
		o.Log.Error("an attempt could not be recorded", "account", account, "error", err)
	}
}
